"""CSV to Arrow: the delimiter sniffed, names and types found in a bounded sample, ragged records told.

A record that has more or fewer cells than the header is not padded: it is left out and told as a `Rejection` with its
number (the header is record 1), so that it can be quarantined.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from data_workbench.connectors.base import Rejection
from data_workbench.connectors.column_types import field_of
from data_workbench.connectors.files.formats import FileOptions
from data_workbench.connectors.files.inference import infer
from data_workbench.errors import SchemaConflict, StreamUnknown, UsageError
from data_workbench.mapping.text_values import from_text

if TYPE_CHECKING:
    from typing import IO

DELIMITERS = ",;\t|"
_HEAD_BYTES = 256 * 1024
_BAD_CELL = re.compile(
    r"In CSV column #(\d+): (?:Row #(\d+): )?CSV conversion error to ([^:]+): (?:invalid value '(.*)')?", re.S
)
Opener = Callable[[], "IO[bytes] | pa.NativeFile"]


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
    """What must be known before the first record: delimiter, names and types of the columns, which one is dropped.

    Args:
        path: for messages.
        opener: opens the decompressed bytes; called for each pass.
        schema: types known beforehand (reading back what was written); otherwise they are inferred.
    """

    def __init__(self, path: str, opener: Opener, options: FileOptions, schema: pa.Schema | None = None) -> None:
        self.path, self.options, self._opener = path, options, opener
        head = self._head()
        self.delimiter = options.delimiter or (
            "\t" if ".tsv" in path.lower() else sniff_delimiter(head, options.quote or None)
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
        with self._opener() as handle:
            raw = handle.read(_HEAD_BYTES)
        try:
            decoder = codecs.getincrementaldecoder(_python_encoding(self.options.encoding))(errors="replace")
        except LookupError:
            raise UsageError(
                f"{self.path}: unknown encoding {self.options.encoding!r}", hint="use utf-8, utf-16, latin-1, …"
            ) from None
        text = decoder.decode(raw, final=len(raw) < _HEAD_BYTES)
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
                return _distinct(given), {given[-1]}
            if first and len(first) != len(given):
                raise UsageError(
                    f"{self.path}: options.columns names {len(given)} columns, the file has {len(first)}",
                    hint="name every column, in order",
                )
            return _distinct(list(given)), set()
        if not self.options.header:
            return [f"column_{index}" for index in range(1, len(first) + 1)], set()
        wanted = [name.strip() if strip or not name.strip() else name for name in first]
        names = _distinct([name or f"column_{index}" for index, name in enumerate(wanted, 1)])
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
        with self._opener() as handle, _explained(self):
            reader = self.open(handle, {name: pa.string() for name in self.names}, lambda _row: "skip")
            return next(iter(reader), None)

    def open(
        self, handle: Any, types: dict[str, pa.DataType], on_ragged: Callable[[pacsv.InvalidRow], str]
    ) -> pacsv.CSVStreamingReader:
        """A streaming reader; one thread, because only then records are numbered."""
        options = self.options
        return pacsv.open_csv(
            handle,
            read_options=pacsv.ReadOptions(
                use_threads=False,
                block_size=options.max_row_bytes,
                skip_rows=options.skip,
                skip_rows_after_names=1 if options.header else 0,
                column_names=self.names,
                encoding=_python_encoding(options.encoding, arrow=True),
            ),
            parse_options=pacsv.ParseOptions(
                delimiter=self.delimiter,
                quote_char=options.quote or False,
                escape_char=options.escape or False,
                newlines_in_values=True,
                # In a file of one column an empty line is a null.
                ignore_empty_lines=len(self.names) > 1,
                invalid_row_handler=on_ragged,
            ),
            convert_options=pacsv.ConvertOptions(
                column_types=types,
                null_values=options.nulls,
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
                decimal_point=options.decimal,
                true_values=["true", "True", "TRUE", "t", "1"],
                false_values=["false", "False", "FALSE", "f", "0"],
                timestamp_parsers=[pacsv.ISO8601, "%Y-%m-%d %H:%M:%S%z", "%Y-%m-%dT%H:%M:%S%z"],
            ),
        )


class CsvBatches:
    """Iterates over the batches of one CSV file; ragged records are appended to `rejections`."""

    def __init__(self, layout: CsvLayout, handle: Any, rejections: list[Rejection]) -> None:
        self.layout, self.schema = layout, layout.schema
        self._handle, self._rejections = handle, rejections
        # What Arrow's CSV reader does not convert by itself is read as text.
        self._converted = {
            name
            for name, item in layout.fields.items()
            # Arrow reads years of four digits only; what we wrote may have others.
            if not _reads_directly(item.type) or (layout.is_own and pa.types.is_temporal(item.type))
        }

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        layout = self.layout
        if layout.is_empty:
            return
        types = {
            name: pa.string() if name in self._converted or name in layout.dropped else layout.fields[name].type
            for name in layout.names
        }
        with _explained(layout):
            for batch in layout.open(self._handle, types, self._reject):
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
            return from_text(values, item.type)
        except SchemaConflict as error:
            raise SchemaConflict(
                f"{self.layout.path}: column {item.name!r}: {error.message}",
                hint=f"read it as text with `options: {{types: {{{item.name}: text}}}}`",
            ) from error

    def _reject(self, row: pacsv.InvalidRow) -> str:
        text = row.text if len(row.text) <= 500 else row.text[:500] + "…"
        reason = f"{row.actual_columns} cells where the header has {row.expected_columns}: {text}"
        key = {"file": self.layout.path, "record": row.number}
        self._rejections.append(Rejection(key=key, rule="csv_cells", reason=reason))
        return "skip"


def _reads_directly(kind: pa.DataType) -> bool:
    simple = (
        pa.types.is_integer,
        pa.types.is_floating,
        pa.types.is_boolean,
        pa.types.is_decimal128,
        pa.types.is_string,
    )
    return any(test(kind) for test in simple) or kind in (pa.date32(), pa.timestamp("us"), pa.timestamp("us", "UTC"))


@contextmanager
def _explained(layout: CsvLayout) -> Iterator[None]:
    """Turn Arrow's errors into ours: column by name, record, value, and the option that helps."""
    try:
        yield
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise _explanation(layout, error) from error


def _explanation(layout: CsvLayout, error: Exception) -> SchemaConflict:
    path, text = layout.path, str(error)
    cell = _BAD_CELL.search(text)
    if cell and "UTF8" not in text:
        name = layout.names[int(cell[1])]
        where = f"record {cell[2]}, column {name!r}" if cell[2] else f"column {name!r}"
        return SchemaConflict(
            f"{path}: {where} holds {(cell[4] or '')[:80]!r}, which is not {cell[3]} as the first rows were",
            hint=f"read it as text with `options: {{types: {{{name}: text}}}}`, or name what means null in `nulls`",
        )
    if "straddl" in text or "too large" in text:
        return SchemaConflict(
            f"{path}: a row is larger than {layout.options.max_row_bytes} bytes, or a quote is never closed",
            hint="raise `options: {max_row_bytes: …}`, or check `quote` and `escape`",
        )
    if isinstance(error, UnicodeDecodeError) or "UTF8" in text or "UTF-8" in text:
        return SchemaConflict(
            f"{path}: bytes that are not {layout.options.encoding}",
            hint="name the encoding: `options: {encoding: latin-1}`",
        )
    return SchemaConflict(f"{path}: {text.splitlines()[0][:300]}", hint="check delimiter, quote and escape")


def _distinct(names: list[str]) -> list[str]:
    taken: set[str] = set()
    result = []
    for name in names:
        candidate, number = name, 2
        while candidate in taken:
            candidate, number = f"{name}_{number}", number + 1
        taken.add(candidate)
        result.append(candidate)
    return result


def _python_encoding(name: str, *, arrow: bool = False) -> str:
    plain = name.lower().replace("_", "-")
    if plain in ("utf-8", "utf8", "utf-8-sig"):
        return "utf8" if arrow else "utf-8-sig"
    return name
