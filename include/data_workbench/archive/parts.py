"""Parts: rows as zstd Parquet with statistics, page checksums and Parquet's own bloom filters over the key.

Each column's encoding, the level and the row group are chosen by writing a sample in several ways. Rows come sorted by
key, so that statistics and filters leave out most row groups of a look-up; DuckDB, Spark and pyarrow use both without
knowing of us.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data_workbench.archive.policy import Compression
from data_workbench.mapping.text_values import to_text

_CHOICES = tuple(Compression(level=level, row_group=rows) for level in (3, 9) for rows in (16_384, 65_536))
SAMPLE_ROWS = 65_536
_ENCODED_ROWS = 16_384
"""Of the sample, for a column's encoding: a row group of the smaller kind."""
_SAMPLE_BYTES = 32 * 1024**2
"""Of a sample: twice those of 65,536 rows of a few hundred bytes."""
PART_BATCHES = 8
"""A part is read as a whole, so it has no more bytes than so many batches: rows of 2 kB and more are cut by them."""
_WORTH = 1.03
"""A slower way has to save three hundredths of the bytes for each doubling of the time."""
_FIRST_DAY, _LAST_DAY, _MICROSECONDS = -719_162, 2_932_896, 86_400_000_000
"""The year 1 and the end of 9999, in days of 1970: beyond them texts of dates sort otherwise."""
_LEAST = 64
"""Another encoding has to save a byte for so many rows."""
_MOST_ATTRIBUTES = 64
_LONGEST_BOUND = 200
_LONGEST_INTEGER = 18
"""Digits of a numeric that fits into 64 bits, as which it is then written."""
DICTIONARY = "DICTIONARY"


@dataclass(frozen=True)
class Trial:
    """What one way of writing the sample took."""

    compression: Compression
    bytes: int
    seconds: float


@dataclass
class Layout:
    """How the parts of a table are written: found out with the first rows, kept for those that follow.

    Args:
        compression: given, or else chosen among `trials`.
        encodings: by column; those that are not here are left to Parquet's dictionaries.
    """

    compression: Compression | None = None
    encodings: dict[str, str] = field(default_factory=dict)
    trials: list[Trial] = field(default_factory=list)
    is_settled: bool = False

    def settle(self, rows: pa.Table, key: Sequence[str]) -> Compression:
        """Choose by the first rows; what was chosen."""
        if not self.is_settled:
            self.encodings = encodings_of(sample(rows, _ENCODED_ROWS))
            if self.compression is None:
                best, found = choose(sample(rows, SAMPLE_ROWS), key, self.encodings)
                self.compression, self.trials = best, sorted(found, key=lambda one: one.compression != best)
            self.is_settled = True
        assert self.compression is not None
        return self.compression


def sample(rows: pa.Table, most: int, size: int = _SAMPLE_BYTES) -> pa.Table:
    """The first rows: so many, or fewer where they are wide, since they are written over and over."""
    return rows.slice(0, max(1, min(most, rows.num_rows * size // max(rows.nbytes, 1))))


def choose(
    sample: pa.Table, key: Sequence[str], encodings: Mapping[str, str] = MappingProxyType({})
) -> tuple[Compression, list[Trial]]:
    """The way of writing that pays for this sample, and what all of them took."""
    trials = [_tried(sample, key, choice, encodings) for choice in _CHOICES]
    best = trials[0]
    for one in trials[1:]:
        slower = max(one.seconds / max(best.seconds, 1e-6), 1.0)
        if best.bytes / one.bytes > _WORTH ** max(slower - 1.0, 0.0) and one.bytes < best.bytes:
            best = one
    return best.compression, trials


def _tried(sample: pa.Table, key: Sequence[str], choice: Compression, encodings: Mapping[str, str]) -> Trial:
    begun = time.process_time()
    size = len(encoded(sample, key, choice, encodings))
    return Trial(choice, size, time.process_time() - begun)


def encodings_of(sample: pa.Table) -> dict[str, str]:
    """The encoding of each column that makes the sample smallest; a dictionary where that is as good."""
    found = {}
    for item in sample.schema:
        column, sizes = sample.select([item.name]), {}
        for encoding in (DICTIONARY, *_encodings(item.type)):
            sizes[encoding] = len(encoded(column, [], _CHOICES[0], {item.name: encoding}))
        best = min(sizes, key=lambda one: sizes[one])
        if sizes[best] * _WORTH + sample.num_rows // _LEAST < sizes[DICTIONARY]:
            found[item.name] = best
    return found


def _encodings(kind: pa.DataType) -> tuple[str, ...]:
    """What Parquet has for a type besides dictionaries, and its readers know."""
    if pa.types.is_floating(kind):
        return ("PLAIN", "BYTE_STREAM_SPLIT")
    is_number = pa.types.is_integer(kind) or (pa.types.is_decimal(kind) and kind.precision <= _LONGEST_INTEGER)
    if is_number or pa.types.is_temporal(kind):
        return ("PLAIN", "DELTA_BINARY_PACKED")
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        return ("PLAIN", "DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY")
    return ()


def encoded(
    rows: pa.Table,
    key: Sequence[str],
    compression: Compression,
    encodings: Mapping[str, str] = MappingProxyType({}),
) -> bytes:
    """A part's file."""
    sink = io.BytesIO()
    group = min(compression.row_group, max(rows.num_rows, 1))
    blooms = {
        name: {"ndv": group, "fpp": 0.01} for name in key if not pa.types.is_boolean(rows.schema.field(name).type)
    }
    others = {name: one for name, one in encodings.items() if one != DICTIONARY}
    pq.write_table(
        rows,
        sink,
        compression="zstd",
        compression_level=compression.level,
        row_group_size=group,
        use_dictionary=[name for name in rows.column_names if name not in others],
        column_encoding=others or None,
        store_decimal_as_integer=True,
        write_page_checksum=True,
        bloom_filter_options=blooms,
    )
    return sink.getvalue()


def decoded(content: bytes) -> pa.Table:
    """The rows of a part, with the schema they were written with."""
    return pq.read_table(pa.BufferReader(content), page_checksum_verification=True)


def decoded_groups(content: bytes) -> Iterator[pa.Table]:
    """The same, a row group at a time."""
    file = pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True)
    for number in range(file.num_row_groups):
        yield file.read_row_group(number)


def cut(batches: Iterable[pa.RecordBatch], rows: int, size: int) -> Iterator[pa.Table]:
    """Batches as tables of so many rows, or of fewer once they have so many bytes; the last may have less."""
    waiting: list[pa.RecordBatch] = []
    count = held = 0
    for batch in batches:
        while count + batch.num_rows >= rows:
            taken = rows - count
            yield pa.Table.from_batches([*waiting, batch.slice(0, taken)])
            batch, waiting, count, held = batch.slice(taken), [], 0, 0
        if batch.num_rows:
            waiting.append(batch)
            count, held = count + batch.num_rows, held + batch.nbytes
        if held >= size:
            yield pa.Table.from_batches(waiting)
            waiting, count, held = [], 0, 0
    if waiting:
        yield pa.Table.from_batches(waiting)


def live_rows(rows: pa.Table, place: int, gone: pa.Table) -> pa.Table:
    """The rows of a part that are live in it."""
    dead = gone.filter(pc.equal(gone.column("part"), place)).column("row").combine_chunks()
    return rows.filter(pc.invert(pc.is_in(pa.array(np.arange(len(rows))), value_set=dead)))


def bounds(rows: pa.Table, column: str) -> tuple[str, str]:
    """The lowest and the highest value as `sortable` texts."""
    values = rows.column(column)
    if _sorts_alike(values):
        ends = pc.min_max(values)
        values = pa.chunked_array([pa.array([ends["min"].as_py(), ends["max"].as_py()], values.type)])
    texts = sortable(values)
    found = pc.min_max(texts)
    return found["min"].as_py() or "", found["max"].as_py() or ""


def _sorts_alike(values: pa.ChunkedArray) -> bool:
    """Whether the texts of all these values sort as the values do, so that the lowest text is that of the lowest."""
    if pa.types.is_integer(values.type):
        return True
    if not pa.types.is_date32(values.type) and not pa.types.is_timestamp(values.type):
        return False
    days = pa.types.is_date32(values.type)
    ends = pc.min_max(values.cast(pa.int32() if days else pa.timestamp("us", values.type.tz)).cast(pa.int64()))
    first, last = (_FIRST_DAY, _LAST_DAY) if days else (_FIRST_DAY * _MICROSECONDS, _LAST_DAY * _MICROSECONDS)
    return ends["min"].as_py() is not None and first <= ends["min"].as_py() and ends["max"].as_py() < last


def sortable(values: pa.ChunkedArray | pa.Array) -> pa.Array:
    """Texts that sort byte by byte as the values do: what ranges of keys are kept and compared as.

    Integers are shifted to be positive and padded; other values are their canonical text. Long ones are cut, which
    keeps their order.
    """
    if isinstance(values, pa.ChunkedArray):
        values = pa.concat_arrays(values.chunks) if values.num_chunks else pa.array([], values.type)
    if pa.types.is_integer(values.type):
        numbers = [None if one is None else f"{one + 2**63:020d}" for one in values.to_pylist()]
        return pa.array(numbers, pa.large_string())
    return pc.utf8_slice_codeunits(to_text(values), 0, _LONGEST_BOUND).cast(pa.large_string(), safe=False)


def attributes(rows: pa.Table, columns: Sequence[str]) -> dict[str, list[str]]:
    """The values of each column as texts, sorted; left out where there are many."""
    found = {}
    for name in columns:
        values = pc.unique(to_text(rows.column(name)))
        if len(values) <= _MOST_ATTRIBUTES:
            found[name] = sorted(value for value in values.to_pylist() if value is not None)
    return found
