"""A sample of a stream whose length nobody knows: each row as likely as any other, bounded in rows and in bytes.

Rows are kept with a rate that begins at one and is halved, with half of what was kept, whenever too much was. Drawn
from a fixed seed: the same batches give the same sample.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_workbench.quality.profiling.columns import LONGEST, is_text

ROWS = 50_000
BYTES = 64 * 1024**2


class Sample:
    """Add batches, then take `table`."""

    def __init__(self, schema: pa.Schema, *, rows: int = ROWS, size: int = BYTES) -> None:
        self._schema, self._rows, self._size = schema, rows, size
        self._kept: list[pa.RecordBatch] = []
        self._rate = 1.0
        self._random = np.random.default_rng(20_260_117)
        self.seen = 0

    @property
    def is_whole(self) -> bool:
        """Whether every row that was seen is in it."""
        return self._rate == 1.0

    @property
    def table(self) -> pa.Table:
        """What was kept, texts cut to what is shown of them."""
        return pa.Table.from_batches(self._kept, self._schema)

    def add(self, batch: pa.RecordBatch) -> None:
        """Take in a batch."""
        self.seen += batch.num_rows
        self._kept.append(self._cut(self._thinned(batch, self._rate)))
        while self._is_too_much():
            self._rate /= 2
            self._kept = [self._thinned(one, 0.5) for one in self._kept]

    def _thinned(self, batch: pa.RecordBatch, rate: float) -> pa.RecordBatch:
        if rate == 1.0:
            return batch
        return batch.take(pa.array(np.flatnonzero(self._random.random(batch.num_rows) < rate)))

    def _is_too_much(self) -> bool:
        rows = sum(one.num_rows for one in self._kept)
        return rows > 1 and (rows > self._rows or sum(one.nbytes for one in self._kept) > self._size)

    def _cut(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        columns = [
            pc.utf8_slice_codeunits(column, 0, LONGEST + 1)
            if is_text(column.type) and column.nbytes > _SMALL
            else column
            for column in batch.columns
        ]
        return pa.RecordBatch.from_arrays(columns, schema=self._schema)


_SMALL = 4_096
"""Bytes of a column in which nothing long can hide that would matter."""
