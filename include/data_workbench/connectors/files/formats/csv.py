"""CSV to Arrow and back: ragged records told, several blocks parsed at once, order kept.

A record that has more or fewer cells than the header is not padded: it is left out and told as a rejection with its
number (the header is record 1), so that it can be quarantined.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from data_workbench.connectors.files.encodings import Prefixed
from data_workbench.connectors.files.formats.csv_blocks import Block, cut
from data_workbench.connectors.files.formats.csv_layout import CsvLayout, explained
from data_workbench.connectors.files.formats.opening import Batches, Encoder, Opening
from data_workbench.errors import SchemaConflict
from data_workbench.mapping.text_values import from_text, to_text

_ZONE = r":\d\d(\.\d+)?\s*([Zz]|[+-]\d\d(:?\d\d)*)$"


def read(opening: Opening) -> Batches:
    """Names and types from a bounded sample, then all records."""
    return CsvBatches(CsvLayout(opening), opening)


@dataclass
class _Parsed:
    """The rows of one block and its ragged records, numbered within the block."""

    table: pa.Table
    ragged: list[tuple[int, str]] = field(default_factory=list)


class CsvBatches:
    """Iterates over the batches of one CSV file; ragged records are rejected."""

    def __init__(self, layout: CsvLayout, opening: Opening) -> None:
        self.layout, self.schema = layout, layout.schema
        self._opening = opening
        self._records = 0
        self._at_start = True
        # What Arrow's CSV reader does not convert by itself is read as text.
        self._converted = {
            name
            for name, item in layout.fields.items()
            # Arrow reads years of four digits only; what we wrote, or what is said to be a time, may have others.
            if not _reads_directly(item.type)
            or (pa.types.is_temporal(item.type) and (layout.is_own or name in layout.options.types))
        }
        self._types = {
            name: pa.string() if name in self._converted or name in layout.dropped else layout.fields[name].type
            for name in layout.names
        }

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        if self.layout.is_empty:
            return
        handle = self._opening.handle()
        options = self.layout.options
        if options.escape:  # a quote behind it is none: only Arrow's own reader knows
            yield from self._streamed(handle)
            return
        blocks = cut(handle, quote=options.quote or None, delimiter=self.layout.delimiter, most=options.max_row_bytes)
        with ThreadPoolExecutor(self._opening.settings.duckdb_threads, "csv") as pool:
            waiting: deque[Future[_Parsed]] = deque()
            try:
                for block in blocks:
                    if not block.is_whole:
                        yield from self._drained(waiting)
                        yield from self._streamed(Prefixed(block.data, handle))
                        return
                    waiting.append(pool.submit(self._parse, block, from_start=self._at_start))
                    self._at_start = False
                    if len(waiting) > self._opening.settings.duckdb_threads:
                        yield from self._taken(waiting.popleft())
                yield from self._drained(waiting)
            finally:
                for one in waiting:
                    one.cancel()

    def _parse(self, block: Block, *, from_start: bool) -> _Parsed:
        ragged: list[tuple[int, str]] = []

        def on_ragged(row: pacsv.InvalidRow) -> str:
            ragged.append((row.number, _ragged(row)))
            return "skip"

        return _Parsed(self.layout.block(block.data, self._types, on_ragged, from_start=from_start), ragged)

    def _drained(self, waiting: deque[Future[_Parsed]]) -> Iterator[pa.RecordBatch]:
        while waiting:
            yield from self._taken(waiting.popleft())

    def _taken(self, coming: Future[_Parsed]) -> Iterator[pa.RecordBatch]:
        with explained(self.layout, self._records):
            parsed = coming.result()
        for number, reason in parsed.ragged:
            self._reject(self._records + number, reason)
        if self._records == 0 and self.layout.options.header:
            self._records = 1
        self._records += parsed.table.num_rows + len(parsed.ragged)
        for batch in parsed.table.to_batches():
            yield self._shaped(batch)

    def _streamed(self, handle: Any) -> Iterator[pa.RecordBatch]:
        """All that is left, by Arrow's own reader of streams."""
        before = self._records

        def on_ragged(row: pacsv.InvalidRow) -> str:
            self._reject(before + row.number, _ragged(row))
            return "skip"

        with explained(self.layout, before):
            reader = self.layout.stream(handle, self._types, on_ragged, from_start=self._at_start)
            for batch in reader:
                yield self._shaped(batch)

    def _shaped(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        for name in self.layout.dropped:
            if batch.column(name).null_count < batch.num_rows:
                value = pc.drop_null(batch.column(name))[0].as_py()
                raise SchemaConflict(
                    f"{self.layout.path}: a column without a name, empty at first, holds {value[:80]!r} further down",
                    hint="name all columns with `options: {columns: [...]}`",
                )
        columns = []
        for item in self.schema:
            values = batch.column(item.name)
            columns.append(self._convert(values, item) if item.name in self._converted else values)
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def _convert(self, values: pa.Array, item: pa.Field) -> pa.Array:
        try:
            if pa.types.is_temporal(item.type) and not self.layout.is_own:
                values = _with_its_zone(pc.utf8_trim_whitespace(values), item.type)
            return from_text(values, item.type)
        except SchemaConflict as error:
            raise SchemaConflict(
                f"{self.layout.path}: column {item.name!r}: {error.message}",
                hint=f"read it as text with `options: {{types: {{{item.name}: text}}}}`",
            ) from error

    def _reject(self, record: int, reason: str) -> None:
        self._opening.reject({"record": record}, "csv_cells", reason)


def _with_its_zone(texts: pa.Array, kind: pa.DataType) -> pa.Array:
    """The texts, if each has a zone where the type has one, and none where it has none: neither is guessed.

    Raises:
        SchemaConflict: one has not.
    """
    if not pa.types.is_timestamp(kind):
        return texts
    zoned = pc.match_substring_regex(texts, _ZONE)
    wrong = pc.and_(pc.invert(pc.match_substring(texts, "infinity")), pc.invert(zoned) if kind.tz else zoned)
    first = pc.index(wrong, True).as_py()
    if first >= 0:
        what = "has no zone" if kind.tz else "has a zone"
        raise SchemaConflict(f"{texts[first].as_py()[:80]!r} {what}, and {kind} has {'one' if kind.tz else 'none'}")
    return texts


def _ragged(row: pacsv.InvalidRow) -> str:
    text = row.text if len(row.text) <= 500 else row.text[:500] + "…"
    return f"{row.actual_columns} cells where the header has {row.expected_columns}: {text}"


def _reads_directly(kind: pa.DataType) -> bool:
    simple = (
        pa.types.is_integer,
        pa.types.is_floating,
        pa.types.is_boolean,
        pa.types.is_decimal128,
        pa.types.is_string,
    )
    return any(test(kind) for test in simple) or kind in (pa.date32(), pa.timestamp("us"), pa.timestamp("us", "UTC"))


# ------------------------------------------------------------------------------------------------------ writing


def write(handle: IO[bytes], schema: pa.Schema) -> Encoder:
    """A header and a record a row: `to_text` of text_values.py, quoted so that an empty text differs from a null."""
    return _Csv(handle, schema)


class _Csv:
    def __init__(self, handle: IO[bytes], schema: pa.Schema) -> None:
        self._schema = pa.schema([pa.field(item.name, _csv_type(item.type)) for item in schema])
        self._writer = pacsv.CSVWriter(handle, self._schema, write_options=pacsv.WriteOptions(quoting_style="needed"))

    def write(self, table: pa.Table) -> None:
        for batch in table.to_batches(max_chunksize=8192):
            columns = [
                values if item.type == values.type else to_text(values)
                for item, values in zip(self._schema, batch.columns, strict=True)
            ]
            self._writer.write(pa.RecordBatch.from_arrays(columns, schema=self._schema))

    def close(self) -> None:
        self._writer.close()


def _csv_type(kind: pa.DataType) -> pa.DataType:
    plain = pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_string(kind)
    return kind if plain else pa.large_string()
