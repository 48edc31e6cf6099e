"""Functions that golden cases call in python steps."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc


def multiply(batches: Iterator[pa.RecordBatch], *, by: int = 2) -> Iterator[pa.RecordBatch]:
    """The column n, multiplied, beside the id."""
    for batch in batches:
        yield pa.RecordBatch.from_arrays([pc.multiply(batch["n"], by), batch["id"]], ["m", "id"])


def gather(batches: Iterator[pa.RecordBatch]) -> pa.Table:
    """One row of all: how many there are, and the sum of n."""
    table = pa.Table.from_batches(list(batches), pa.schema([("id", pa.int32()), ("n", pa.int32())]))
    return pa.table({"rows": [table.num_rows], "total": [pc.sum(table["n"]).as_py()]})


def twice(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Every row two times, without reading ahead."""
    for batch in batches:
        yield from (batch, batch)


def first_only(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The first row; the rest is not read."""
    yield next(batches).slice(0, 1)


def fail(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Reads a batch and raises."""
    next(batches)
    raise KeyError("no such part")


def not_batches(batches: Iterator[pa.RecordBatch]) -> list[str]:
    """Gives something else."""
    return [str(batch.num_rows) for batch in batches]


def halve(batches: Iterator[pa.RecordBatch], *, odd: str = "raise") -> Iterator[pa.RecordBatch]:
    """Half of n for each row; it has no answer for odd ones."""
    for batch in batches:
        numbers = batch["n"].to_pylist()
        if odd == "raise" and any(n is not None and n % 2 for n in numbers):
            raise ValueError("an odd number has no half")
        yield pa.RecordBatch.from_pydict({"half": pa.array([n and (n / 2 if n % 2 else n // 2) for n in numbers])})


def leave(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Gives n as m, and ends the process when it meets an odd one, as a script may."""
    for batch in batches:
        if any(n % 2 for n in batch["n"].to_pylist()):
            sys.exit(3)
        yield pa.RecordBatch.from_arrays([batch["n"]], ["m"])


NOT_A_FUNCTION = 7
