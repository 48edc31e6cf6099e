"""Cutting a part into transactions: bounded in rows and in bytes, in a fixed order, prepared one ahead."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as kinds

from data_workbench.records.marks import OP, RETRACTION, TOMBSTONE, UPSERT

TRANSACTION_ROWS: Final = 10_000
"""Between 1,000 and 50,000 the speed is the same (measured); more only holds more memory in the server."""
TRANSACTION_BYTES: Final = 16 * 1024**2

Operation = Literal["u", "d", "f"]
Prepared = TypeVar("Prepared")


@dataclass(frozen=True)
class Chunk:
    """Rows of one transaction; `end` is the position behind them in the ordered part."""

    operation: Operation
    rows: pa.Table
    end: int


def ordered(part: pa.Table) -> list[tuple[Operation, pa.Table]]:
    """The part's rows by what they ask for: upserts, then tombstones, then retractions. Without marks all upsert."""
    if OP not in part.column_names:
        return [(UPSERT, part)]
    marks, rows = part.column(OP), part.drop_columns([OP])
    operations: tuple[Operation, ...] = (UPSERT, TOMBSTONE, RETRACTION)
    return [(mark, rows.filter(pc.equal(marks, mark))) for mark in operations]


def cut(groups: list[tuple[Operation, pa.Table]], offset: int) -> Iterator[Chunk]:
    """Chunks behind `offset`."""
    start = 0
    for operation, rows in groups:
        done = min(max(offset - start, 0), rows.num_rows)
        for first, last in _ranges(rows.slice(done)):
            yield Chunk(operation, rows.slice(done + first, last - first), start + done + last)
        start += rows.num_rows


def _ranges(rows: pa.Table) -> Iterator[tuple[int, int]]:
    """Row ranges of at most TRANSACTION_ROWS and, unless one row alone is larger, TRANSACTION_BYTES."""
    if rows.nbytes <= TRANSACTION_BYTES:
        for first in range(0, rows.num_rows, TRANSACTION_ROWS):
            yield first, min(first + TRANSACTION_ROWS, rows.num_rows)
        return
    first = size = 0
    for position, weight in enumerate(_weights(rows)):
        if position > first and (position - first >= TRANSACTION_ROWS or size + weight > TRANSACTION_BYTES):
            yield first, position
            first, size = position, 0
        size += weight
    if first < rows.num_rows:
        yield first, rows.num_rows


def _weights(rows: pa.Table) -> list[int]:
    """About how many bytes each row has: texts exactly, the rest by their column's average."""
    flat, weights = 0.0, None
    for column in rows.columns:
        if kinds.is_string(column.type) or kinds.is_binary(column.type) or kinds.is_large_string(column.type):
            lengths = pc.fill_null(pc.binary_length(column).cast(pa.int64()), 0)
            weights = lengths if weights is None else pc.add(weights, lengths)
        else:
            flat += column.nbytes / max(rows.num_rows, 1)
    if weights is None:
        return [int(flat)] * rows.num_rows
    return [int(value) for value in pc.add(weights, int(flat)).to_pylist()]


def prepared_ahead(chunks: Iterator[Chunk], prepare: Callable[[Chunk], Prepared]) -> Iterator[tuple[Chunk, Prepared]]:
    """Each chunk prepared while the server works on the one before it."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="neo4j-rows") as pool:
        current = next(chunks, None)
        pending = pool.submit(prepare, current) if current is not None else None
        while current is not None and pending is not None:
            ready, chunk = pending.result(), current
            current = next(chunks, None)
            pending = pool.submit(prepare, current) if current is not None else None
            yield chunk, ready
