"""Parts: rows as zstd Parquet with statistics, page checksums and Parquet's own bloom filters over the key.

Level and row group are chosen by writing a sample in several ways. Rows come sorted by key, so that statistics and
filters leave out most row groups of a look-up; DuckDB, Spark and pyarrow use both without knowing of us.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data_workbench.archive.policy import Compression
from data_workbench.mapping.text_values import to_text

_CHOICES = tuple(Compression(level=level, row_group=rows) for level in (3, 9) for rows in (16_384, 65_536))
SAMPLE_ROWS = 65_536
_WORTH = 1.03
"""A slower way has to save three hundredths of the bytes for each doubling of the time."""
_MOST_ATTRIBUTES = 64
_LONGEST_BOUND = 200


@dataclass(frozen=True)
class Trial:
    """What one way of writing the sample took."""

    compression: Compression
    bytes: int
    seconds: float


def choose(sample: pa.Table, key: Sequence[str]) -> tuple[Compression, list[Trial]]:
    """The way of writing that pays for this sample, and what all of them took."""
    trials = [_tried(sample, key, choice) for choice in _CHOICES]
    best = trials[0]
    for one in trials[1:]:
        slower = max(one.seconds / max(best.seconds, 1e-6), 1.0)
        if best.bytes / one.bytes > _WORTH ** max(slower - 1.0, 0.0) and one.bytes < best.bytes:
            best = one
    return best.compression, trials


def _tried(sample: pa.Table, key: Sequence[str], choice: Compression) -> Trial:
    begun = time.process_time()
    size = len(encoded(sample, key, choice))
    return Trial(choice, size, time.process_time() - begun)


def encoded(rows: pa.Table, key: Sequence[str], compression: Compression) -> bytes:
    """A part's file."""
    sink = io.BytesIO()
    group = min(compression.row_group, max(rows.num_rows, 1))
    blooms = {
        name: {"ndv": group, "fpp": 0.01} for name in key if not pa.types.is_boolean(rows.schema.field(name).type)
    }
    pq.write_table(
        rows,
        sink,
        compression="zstd",
        compression_level=compression.level,
        row_group_size=group,
        write_page_checksum=True,
        bloom_filter_options=blooms,
    )
    return sink.getvalue()


def decoded(content: bytes) -> pa.Table:
    """The rows of a part, with the schema they were written with."""
    return pq.read_table(pa.BufferReader(content), page_checksum_verification=True)


def cut(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    """Batches as tables of so many rows; the last may have fewer."""
    waiting: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        while count + batch.num_rows >= rows:
            taken = rows - count
            yield pa.Table.from_batches([*waiting, batch.slice(0, taken)])
            batch, waiting, count = batch.slice(taken), [], 0
        if batch.num_rows:
            waiting.append(batch)
            count += batch.num_rows
    if waiting:
        yield pa.Table.from_batches(waiting)


def bounds(rows: pa.Table, column: str) -> tuple[str, str]:
    """The lowest and the highest value as `sortable` texts."""
    texts = sortable(rows.column(column))
    found = pc.min_max(texts)
    return found["min"].as_py() or "", found["max"].as_py() or ""


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
