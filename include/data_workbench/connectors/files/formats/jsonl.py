"""JSON lines to Arrow and back: one object a line, nested values become structs and lists.

Arrow's own reader takes a block where it can. What it cannot (mixed types, decimals, documents kept as text, lines that
are no object) goes line by line through `payload_values`, and only then broken lines are told apart.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pajson

from data_workbench.connectors.column_types import field_of
from data_workbench.connectors.files.formats.csv_blocks import cut
from data_workbench.connectors.files.formats.documents import (
    MOST_DEEP,
    Numbered,
    arrays,
    flattened,
    is_too_deep,
    plain,
    sampled,
)
from data_workbench.connectors.files.formats.opening import Batches, Encoder, Opening
from data_workbench.errors import SchemaConflict
from data_workbench.mapping.payload_values import to_payload
from data_workbench.mapping.text_values import is_text, to_text
from data_workbench.records.names import literal
from data_workbench.records.types import native_type

_LINES = 8192


def read(opening: Opening) -> Batches:
    """The schema from a bounded sample and the declared types, then all lines."""
    return JsonLines(opening)


class JsonLines:
    """Iterates over the batches of one file; lines that are no JSON object are rejected."""

    def __init__(self, opening: Opening) -> None:
        self._opening, self._options = opening, opening.options
        self._documents: set[str] = set()
        self._line_by_line = opening.schema is not None or opening.options.flatten
        self.schema = opening.schema if opening.schema is not None else self._infer()

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        if len(self.schema) == 0:
            return
        before = 0
        handle = self._opening.handle()
        for block in cut(handle, quote=None, delimiter=",", most=self._options.max_row_bytes):
            if not block.is_whole:
                raise self._oversized()
            yield from self._fast(block.data) or self._slow(block.data, before)
            before += block.data.count(b"\n")

    # ---------------------------------------------------------------------------------------------------- schema

    def _infer(self) -> pa.Schema:
        declared = {name: field_of(name, kind) for name, kind in self._options.types.items()}
        fields = self._sampled(frozenset(declared)) | declared
        self._line_by_line |= bool(self._documents) or any(
            native_type(item) is not None or not _reads_directly(item.type) for item in declared.values()
        )
        return pa.schema(list(fields.values()))

    def _sampled(self, declared: frozenset[str]) -> dict[str, pa.Field]:
        with self._opening.open() as handle:
            head = handle.read(self._options.max_row_bytes)
        lines = head
        if len(head) == self._options.max_row_bytes:
            lines = head[: head.rfind(b"\n") + 1]
            if not lines:
                raise self._oversized()
        if not lines.strip():
            return {}
        # Arrow gives up the file at half of a surrogate pair; line by line only its line is set aside.
        if not self._line_by_line and not _may_be_deep(lines) and b"\\ud" not in lines.lower():
            try:
                block = pajson.ReadOptions(use_threads=False, block_size=max(len(lines) + 1, 4096))
                found = pajson.read_json(pa.BufferReader(lines), block)
                return {item.name: pa.field(item.name, plain(item.type)) for item in found.schema}
            except pa.ArrowInvalid:
                pass  # told apart line by line
        self._line_by_line = True
        return sampled([row for _, row in self._objects(lines.split(b"\n"), 0, None)], declared, self._documents)

    def _oversized(self) -> SchemaConflict:
        return SchemaConflict(
            f"{self._opening.name}: a line is larger than {self._options.max_row_bytes} bytes",
            hint="raise `options: {max_row_bytes: …}`",
        )

    # ---------------------------------------------------------------------------------------------------- batches

    def _fast(self, data: bytes) -> list[pa.RecordBatch]:
        """By Arrow's own reader; none where it cannot."""
        if self._line_by_line or _may_be_deep(data) or b"\\ud" in data.lower():
            return []
        try:
            table = pajson.read_json(
                pa.BufferReader(data),
                pajson.ReadOptions(use_threads=False, block_size=len(data) + 1),
                pajson.ParseOptions(explicit_schema=self.schema, unexpected_field_behavior="error"),
            )
            batches: list[pa.RecordBatch] = table.cast(self.schema).to_batches()
            return batches
        except pa.ArrowInvalid:
            return []

    def _slow(self, data: bytes, before: int) -> Iterator[pa.RecordBatch]:
        lines = data.split(b"\n")
        for start in range(0, len(lines), _LINES):
            records = list(self._objects(lines[start : start + _LINES], before + start, self._opening))
            if records:
                yield arrays(self._opening, self.schema, self._documents, records)

    def _objects(self, lines: list[bytes], before: int, told: Opening | None) -> Iterator[Numbered]:
        for number, line in enumerate(lines, before + 1):
            if not line.strip():
                continue
            try:
                value = json.loads(line, parse_float=exact_float)
                reason = None if isinstance(value, dict) else f"a JSON {type(value).__name__} where an object is wanted"
                if reason is None and b"\\ud" in line.lower() and not _is_text(value):
                    reason = "text with half of a surrogate pair, which is no character"
                if reason is None and is_too_deep(value):
                    reason = f"nested deeper than {MOST_DEEP} levels"
            except RecursionError:
                reason = f"nested deeper than {MOST_DEEP} levels"
            except ValueError as error:
                reason = f"no JSON: {str(error)[:200]}"
            if reason is None:
                yield number, flattened(value) if self._options.flatten else value
            elif told is not None:
                told.reject({"line": number}, "json_object", reason)


def _may_be_deep(data: bytes) -> bool:
    """Whether a line opens more objects and lists than may lie in one another; told without reading it."""
    if data.count(b"{") + data.count(b"[") <= MOST_DEEP:
        return False
    values = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(values == 10)
    opens = np.flatnonzero((values == 123) | (values == 91))
    counts = np.bincount(np.searchsorted(ends, opens))
    return bool(counts.max() > MOST_DEEP)


def _is_text(value: Any) -> bool:
    """Whether all text in a document is Unicode that can be written."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    except RecursionError:
        return True  # too deep, which is told next
    return True


class _Digits(float):
    """A float that keeps the digits it was written with, for decimals."""

    digits: str

    def __str__(self) -> str:
        return self.digits


def exact_float(text: str) -> float:
    """A number that can still be read as a decimal."""
    number = _Digits(text)
    number.digits = text
    return number


def _reads_directly(kind: pa.DataType) -> bool:
    return (
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind) or pa.types.is_string(kind)
    )


# ------------------------------------------------------------------------------------------------------ writing


def write(handle: IO[bytes], schema: pa.Schema) -> Encoder:
    """One object a line; values as in `payload_values.py`."""
    return Lines(handle, schema)


class Lines:
    """Writes rows as JSON objects."""

    def __init__(self, handle: IO[bytes], schema: pa.Schema) -> None:
        import duckdb

        self._handle, self._names = handle, schema.names
        self._duckdb = duckdb.connect(config={"enable_external_access": "false"})

    def write(self, table: pa.Table) -> None:
        for batch in table.to_batches(max_chunksize=8192):
            self.put(self._lines(batch))

    def close(self) -> None:
        self._duckdb.close()

    def put(self, lines: pa.ChunkedArray) -> None:
        """Write what `_lines` made."""
        for chunk in lines.chunks:
            self._handle.write(_bytes_of(chunk))

    def _lines(self, batch: pa.RecordBatch) -> pa.ChunkedArray:
        """Large texts, each an object and a newline."""
        pairs = [_json_column(column) for column in batch.columns]
        names = [f"c{index}" for index in range(len(pairs))]
        rows = pa.table([column for column, _ in pairs], names=names)
        members = ", ".join(
            f"{literal(name)}, {place}{'::JSON' if is_document else ''}"
            for name, place, (_, is_document) in zip(self._names, names, pairs, strict=True)
        )
        self._duckdb.register("batch", rows)
        lines = self._duckdb.sql(f"SELECT json_object({members}) || chr(10) AS line FROM batch").to_arrow_table()
        self._duckdb.unregister("batch")
        return lines.column("line").cast(pa.large_string())


def _bytes_of(texts: pa.Array) -> Any:
    """All texts of an array without nulls, one after the other, as they lie in memory."""
    if len(texts) == 0:
        return b""
    offsets = pa.Array.from_buffers(pa.int64(), len(texts) + 1, [None, texts.buffers()[1]], offset=texts.offset)
    start, end = offsets[0].as_py(), offsets[len(texts)].as_py()
    return memoryview(texts.buffers()[2])[start:end]


def _json_column(values: pa.Array) -> tuple[pa.Array, bool]:
    """A column whose values DuckDB writes as JSON rightly, and whether they are JSON documents already."""
    kind = values.type
    if is_text(kind) or pa.types.is_boolean(kind) or (pa.types.is_integer(kind) and not pa.types.is_uint64(kind)):
        return values, False
    if pa.types.is_floating(kind) and pc.all(pc.is_finite(values)).as_py() is not False:
        return values.cast(pa.float64()), False
    if pa.types.is_decimal(kind) or pa.types.is_date(kind) or pa.types.is_time(kind):
        return to_text(values), False
    if pa.types.is_timestamp(kind):
        return pc.replace_substring(to_text(values), " ", "T", max_replacements=1), False
    texts = [None if value is None else json.dumps(value, ensure_ascii=False) for value in to_payload(values)]
    return pa.array(texts, pa.large_string()), True
