"""What must be known of a CSV before its first record: delimiter, names, types, and how Arrow is told to read it."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv

from data_workbench.connectors.column_types import field_of
from data_workbench.connectors.files.encodings import Prefixed
from data_workbench.connectors.files.formats.csv_blocks import cut
from data_workbench.connectors.files.formats.inference import infer
from data_workbench.connectors.files.formats.names import distinct
from data_workbench.connectors.files.formats.opening import Opening
from data_workbench.errors import SchemaConflict, StreamUnknown, UsageError

DELIMITERS = ",;\t|"
_HEAD_BYTES = 256 * 1024
_SAMPLE_BYTES = 4 * 1024**2
"""Types are told from so much: the more is looked at, the fewer cells further down do not fit."""
_BAD_CELL = re.compile(
    r"In CSV column #(\d+): (?:Row #(\d+): )?CSV conversion error to ([^:]+): (?:invalid value '(.*)')?", re.S
)
OnRagged = Callable[[pacsv.InvalidRow], str]


def sniff_delimiter(head: str, quote: str | None) -> str:
    """The delimiter that cuts the first lines into the same number of cells, most cells first; a comma if none does."""
    best, score = ",", (0, 0)
    for candidate in DELIMITERS:
        widths = [len(row) for row in _rows(head, candidate, quote, None)][:50]
        if not widths:
            continue
        width, times = Counter(widths).most_common(1)[0]
        if width > 1 and (times, width) > score:
            best, score = candidate, (times, width)
    return best


def _rows(head: str, delimiter: str, quote: str | None, escape: str | None) -> list[list[str]]:
    style: dict[str, Any] = {"delimiter": delimiter, "escapechar": escape, "strict": False}
    style |= {"quotechar": quote} if quote else {"quoting": csv.QUOTE_NONE}
    limit = csv.field_size_limit(1024**3)
    try:
        return [row for row in csv.reader(io.StringIO(head, newline=""), **style) if row]
    finally:
        csv.field_size_limit(limit)


class CsvLayout:
    """Delimiter, names and types of the columns, which one is dropped.

    With a schema known beforehand (reading back what was written) nothing is inferred.
    """

    def __init__(self, opening: Opening) -> None:
        self.path, self.options, self._opening = opening.name, opening.options, opening
        head = self._head()
        options, schema = self.options, opening.schema
        self.delimiter = options.delimiter or (
            "\t" if ".tsv" in self.path.lower() else sniff_delimiter(head, options.quote or None)
        )
        rows = _rows(head, self.delimiter, options.quote or None, options.escape)
        self.is_empty = not rows
        self.names, unnamed = self._names(self._first(rows), strip=schema is None)
        self.dropped: list[str] = []
        self.is_own = schema is not None
        if schema is not None:
            known = {item.name: item for item in schema}
            self.dropped = [name for name in self.names if name in unnamed and name not in known]
            self.fields = {name: known.get(name) or pa.field(name, pa.string()) for name in self.names}
        else:
            self.fields = self._infer(unnamed)
        kept = [self.fields[name] for name in self.names if name not in self.dropped]
        self.schema = pa.schema(kept)

    def _head(self) -> str:
        with self._opening.open() as handle:
            raw = handle.read(_HEAD_BYTES)
        text = raw.decode("utf-8", errors="replace")
        for _ in range(self.options.skip):
            text = text.partition("\n")[2]
        if len(raw) < _HEAD_BYTES:
            return text
        return text[: text.rfind("\n") + 1] or text

    def _first(self, rows: list[list[str]]) -> list[str]:
        """The header, with a nameless column more where every record ends in a delimiter that the header lacks."""
        if not rows:
            return []
        width = len(rows[0])
        # The last record may be cut off where the head ends.
        longer = [row for row in (rows[1:-1] or rows[1:]) if len(row) == width + 1 and row[-1] == ""]
        usual = self.options.header and longer and len(longer) >= max(1, len(rows[1:-1]) * 0.9)
        return [*rows[0], ""] if usual else rows[0]

    def _names(self, first: list[str], *, strip: bool) -> tuple[list[str], set[str]]:
        given = self.options.columns
        if given is not None:
            if len(first) == len(given) + 1 and not first[-1]:
                given = [*given, f"column_{len(first)}"]
                return distinct(given), {given[-1]}
            if first and len(first) != len(given):
                raise UsageError(
                    f"{self.path}: options.columns names {len(given)} columns, the file has {len(first)}",
                    hint="name every column, in order",
                )
            return distinct(list(given)), set()
        if not self.options.header:
            return [f"column_{index}" for index in range(1, len(first) + 1)], set()
        wanted = [name.strip() if strip or not name.strip() else name for name in first]
        names = distinct([name or f"column_{index}" for index, name in enumerate(wanted, 1)])
        return names, {name for name, written in zip(names, first, strict=True) if not written.strip()}

    def _infer(self, unnamed: set[str]) -> dict[str, pa.Field]:
        declared = {name: field_of(name, kind) for name, kind in self.options.types.items()}
        unknown = sorted(set(declared) - set(self.names))
        if unknown:
            raise StreamUnknown(
                f"{self.path}: options.types names {', '.join(map(repr, unknown))}, which is not a column",
                hint=f"it has {', '.join(self.names)}",
            )
        sample = self._sample()
        for name in unnamed - set(declared):
            if sample is None or sample.column(name).null_count == sample.num_rows:
                self.dropped.append(name)
        fields = {}
        for name in self.names:
            kind = infer(sample.column(name), decimal=self.options.decimal) if sample is not None else pa.string()
            fields[name] = declared.get(name) or pa.field(name, kind)
        return fields

    def _sample(self) -> pa.RecordBatch | None:
        """The first block, all text."""
        if self.is_empty:
            return None
        types = {name: pa.string() for name in self.names}
        options = self.options
        with self._opening.open() as handle, explained(self):
            if not options.escape:
                quote = options.quote or None
                most = options.max_row_bytes
                block = next(cut(handle, quote=quote, delimiter=self.delimiter, most=most, size=_SAMPLE_BYTES), None)
                if block is not None and block.is_whole:
                    return _first_batch(self.block(block.data, types, _skip, from_start=True))
                handle = Prefixed(block.data if block is not None else b"", handle)  # type: ignore[assignment]
            return next(iter(self.stream(handle, types, _skip)), None)

    def stream(
        self, handle: Any, types: Mapping[str, pa.DataType], on_ragged: OnRagged, *, from_start: bool = True
    ) -> pacsv.CSVStreamingReader:
        """A reader that finds the records' ends itself, whatever the quotes.

        Args:
            from_start: whether the header is still to come.
        """
        return pacsv.open_csv(
            handle,
            read_options=self._reading(self.options.max_row_bytes, from_start=from_start),
            parse_options=self._parsing(on_ragged, newlines_in_values=True),
            convert_options=self._converting(types),
        )

    def block(self, data: Any, types: Mapping[str, pa.DataType], on_ragged: OnRagged, *, from_start: bool) -> pa.Table:
        """The rows of whole records."""
        return pacsv.read_csv(
            pa.BufferReader(data),
            read_options=self._reading(len(data) + 1, from_start=from_start),
            # The block is one chunk, so Arrow need not look for the ends of records: its parser knows quotes anyway.
            parse_options=self._parsing(on_ragged, newlines_in_values=False),
            convert_options=self._converting(types),
        )

    def _reading(self, block_size: int, *, from_start: bool) -> pacsv.ReadOptions:
        # One thread, because only then records are numbered.
        return pacsv.ReadOptions(
            use_threads=False,
            block_size=block_size,
            skip_rows=self.options.skip if from_start else 0,
            skip_rows_after_names=1 if self.options.header and from_start else 0,
            column_names=self.names,
        )

    def _parsing(self, on_ragged: OnRagged, *, newlines_in_values: bool) -> pacsv.ParseOptions:
        return pacsv.ParseOptions(
            delimiter=self.delimiter,
            quote_char=self.options.quote or False,
            escape_char=self.options.escape or False,
            newlines_in_values=newlines_in_values,
            # In a file of one column an empty line is a null.
            ignore_empty_lines=len(self.names) > 1,
            invalid_row_handler=on_ragged,
        )

    def _converting(self, types: Mapping[str, pa.DataType]) -> pacsv.ConvertOptions:
        return pacsv.ConvertOptions(
            column_types=types,
            null_values=self.options.nulls,
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            decimal_point=self.options.decimal,
            true_values=["true", "True", "TRUE", "t", "1"],
            false_values=["false", "False", "FALSE", "f", "0"],
            timestamp_parsers=[pacsv.ISO8601, "%Y-%m-%d %H:%M:%S%z", "%Y-%m-%dT%H:%M:%S%z"],
        )


def _skip(_row: pacsv.InvalidRow) -> str:
    return "skip"


def _first_batch(table: pa.Table) -> pa.RecordBatch | None:
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else None


@contextmanager
def explained(layout: CsvLayout, before: int = 0) -> Iterator[None]:
    """Turn Arrow's errors into ours: column by name, record, value, and the option that helps.

    Args:
        before: records that came before those Arrow has counted.
    """
    try:
        yield
    except pa.ArrowException as error:
        raise _explanation(layout, error, before) from error


def _explanation(layout: CsvLayout, error: Exception, before: int) -> SchemaConflict:
    path, text = layout.path, str(error)
    cell = _BAD_CELL.search(text)
    if cell and "UTF8" not in text:
        name = layout.names[int(cell[1])]
        where = f"record {int(cell[2]) + before}, column {name!r}" if cell[2] else f"column {name!r}"
        return SchemaConflict(
            f"{path}: {where} holds {(cell[4] or '')[:80]!r}, which is not {cell[3]} as the first rows were",
            hint=f"read it as text with `options: {{types: {{{name}: text}}}}`, or name what means null in `nulls`",
        )
    if "straddl" in text or "too large" in text:
        return oversized(layout)
    if "UTF8" in text or "UTF-8" in text:
        return SchemaConflict(
            f"{path}: bytes that are not {layout.options.encoding or 'utf-8'}",
            hint="name the encoding: `options: {encoding: latin-1}`",
        )
    return SchemaConflict(f"{path}: {text.splitlines()[0][:300]}", hint="check delimiter, quote and escape")


def oversized(layout: CsvLayout) -> SchemaConflict:
    """A record that does not end."""
    return SchemaConflict(
        f"{layout.path}: a row is larger than {layout.options.max_row_bytes} bytes, or a quote is never closed",
        hint="raise `options: {max_row_bytes: …}`, or check `quote` and `escape`",
    )
