"""JSONL to Arrow: one object a line, nested values become structs and lists.

Arrow's own reader does the work where it can. Columns it cannot read (mixed types, decimals, documents kept as text)
and reading back with a known schema go line by line through `payload_values`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import IO, Any

import pyarrow as pa
import pyarrow.json as pajson

from data_workbench.connectors.base import Rejection
from data_workbench.connectors.column_types import field_of
from data_workbench.connectors.files.formats import FileOptions
from data_workbench.errors import SchemaConflict
from data_workbench.mapping.payload_values import from_payload
from data_workbench.records.types import native_type

Opener = Callable[[], "IO[bytes] | pa.NativeFile"]
_LINES = 8192


class JsonLayout:
    """The schema of a JSONL file, from a bounded sample and the declared types."""

    def __init__(self, path: str, opener: Opener, options: FileOptions, schema: pa.Schema | None = None) -> None:
        self.path, self.options, self._opener = path, options, opener
        self.documents: set[str] = set()
        self.line_by_line = schema is not None
        self.schema = schema if schema is not None else self._infer()

    def _infer(self) -> pa.Schema:
        declared = {name: field_of(name, kind) for name, kind in self.options.types.items()}
        fields = self._sampled(frozenset(declared))
        fields |= declared
        self.line_by_line |= bool(self.documents) or any(
            native_type(item) is not None or not _reads_directly(item.type) for item in declared.values()
        )
        return pa.schema(list(fields.values()))

    def _sampled(self, declared: frozenset[str]) -> dict[str, pa.Field]:
        with self._opener() as handle:
            head = handle.read(self.options.max_row_bytes)
        lines = head[: head.rfind(b"\n") + 1] or head if len(head) == self.options.max_row_bytes else head
        if not lines.strip():
            return {}
        # Arrow gives up the file at half of a surrogate pair; line by line only its line is set aside.
        self.line_by_line |= b"\\ud" in lines.lower()
        try:
            found = pajson.read_json(pa.BufferReader(lines), pajson.ReadOptions(block_size=max(len(lines) + 1, 4096)))
            return {item.name: pa.field(item.name, _plain(item.type)) for item in found.schema}
        except pa.ArrowInvalid:
            return self._mixed(lines, declared)

    def _mixed(self, lines: bytes, declared: frozenset[str]) -> dict[str, pa.Field]:
        """Columns one by one: those whose values have no common type become JSON documents as text."""
        rows = [row for _, row in _objects(self.path, lines.splitlines(), 0, None)]
        names = list(dict.fromkeys(name for row in rows for name in row))
        fields = {}
        for name in names:
            values = [row.get(name) for row in rows]
            try:
                kind = _plain(pa.array(values).type)
            except (pa.ArrowInvalid, pa.ArrowTypeError):
                kind = pa.string()
                if name not in declared:
                    self.documents.add(name)
            fields[name] = pa.field(name, kind)
        self.line_by_line = True
        return fields


class JsonBatches:
    """Iterates over the batches of one JSONL file; lines that are no JSON object are appended to `rejections`."""

    def __init__(self, layout: JsonLayout, handle: Any, rejections: list[Rejection]) -> None:
        self.layout, self.schema = layout, layout.schema
        self._handle, self._rejections = handle, rejections

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        if len(self.schema) == 0:
            return iter(())
        return self._slow() if self.layout.line_by_line else self._fast()

    def _fast(self) -> Iterator[pa.RecordBatch]:
        options = pajson.ParseOptions(explicit_schema=self.schema, unexpected_field_behavior="error")
        block = pajson.ReadOptions(use_threads=False, block_size=self.layout.options.max_row_bytes)
        try:
            for batch in pajson.open_json(self._handle, block, options):
                yield batch.cast(self.schema) if batch.schema != self.schema else batch
        except pa.ArrowInvalid as error:
            raise _explained(self.layout.path, str(error)) from error

    def _slow(self) -> Iterator[pa.RecordBatch]:
        number, pending, size = 0, [], 0
        for line in _lines(self._handle):
            pending.append(line)
            size += len(line)
            if len(pending) >= _LINES or size >= self.layout.options.max_row_bytes:
                yield self._batch(pending, number)
                number, pending, size = number + len(pending), [], 0
        if pending:
            yield self._batch(pending, number)

    def _batch(self, lines: list[bytes], before: int) -> pa.RecordBatch:
        rows = [row for _, row in _objects(self.layout.path, lines, before, self._rejections)]
        columns = []
        for item in self.schema:
            values = [row.get(item.name) for row in rows]
            if item.name in self.layout.documents or native_type(item) in ("json", "jsonb"):
                values = [value if value is None or isinstance(value, str) else _dump(value) for value in values]
            try:
                columns.append(from_payload(values, item.type))
            except SchemaConflict as error:
                raise SchemaConflict(
                    f"{self.layout.path}: lines {before + 1} to {before + len(lines)}, {item.name!r}: {error.message}",
                    hint=f"read it as a document with `options: {{types: {{{item.name}: json}}}}`",
                ) from error
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)


def _lines(handle: Any) -> Iterator[bytes]:
    """Lines of a binary handle; Arrow's streams have no line iterator of their own."""
    rest = b""
    while block := handle.read(1024**2):
        rest += block
        *whole, rest = rest.split(b"\n")
        yield from whole
    if rest:
        yield rest


def _objects(
    path: str, lines: list[bytes], before: int, rejections: list[Rejection] | None
) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(lines, before + 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line.removeprefix(b"\xef\xbb\xbf"), parse_float=_exact_float)
        except (ValueError, RecursionError) as error:
            reason = f"no JSON: {str(error)[:200]}"
        else:
            if not isinstance(value, dict):
                reason = f"a JSON {type(value).__name__} where an object is wanted"
            elif b"\\ud" in line.lower() and not _is_text(value):
                reason = "text with half of a surrogate pair, which is no character"
            else:
                yield number, value
                continue
        if rejections is not None:
            rejections.append(Rejection(key={"file": path, "line": number}, rule="json_object", reason=reason))


def _is_text(value: Any) -> bool:
    """Whether all text in a document is Unicode that can be written."""
    try:
        _dump(value).encode()
    except UnicodeEncodeError:
        return False
    return True


class _Digits(float):
    """A float that keeps the digits it was written with, for decimals."""

    digits: str

    def __str__(self) -> str:
        return self.digits


def _exact_float(text: str) -> float:
    number = _Digits(text)
    number.digits = text
    return number


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(", ", ": "))


def _plain(kind: pa.DataType) -> pa.DataType:
    """Types a table can have: null becomes text, seconds become microseconds."""
    if pa.types.is_null(kind):
        return pa.string()
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", kind.tz)
    if pa.types.is_list(kind):
        return pa.list_(_plain(kind.value_type))
    if pa.types.is_struct(kind):
        members = [kind.field(index) for index in range(kind.num_fields)]
        return pa.struct([pa.field(member.name, _plain(member.type)) for member in members])
    return kind


def _reads_directly(kind: pa.DataType) -> bool:
    return (
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind) or pa.types.is_string(kind)
    )


def _explained(path: str, text: str) -> SchemaConflict:
    first = text.splitlines()[0][:300]
    column = re.search(r"Column\(/([^)]*)\)", text)
    if column:
        name = column[1].split("/")[0]
        hint = f"its values have no common type: read it as a document with `options: {{types: {{{name}: json}}}}`"
    elif "unexpected field" in text:
        hint = "a field that the first lines did not have: name it in `options: {types: {…}}`"
    elif "straddl" in text:
        hint = "a line is larger than `options: {max_row_bytes: …}`"
    else:
        hint = "each line must be one JSON object"
    return SchemaConflict(f"{path}: {first}", hint=hint)
