"""Reading a segment's end: rows to the destination's parts, rejected rows to the quarantine, all of them counted.

One pass does all three. Nothing here looks at a row on its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from data_workbench.records.marks import HELD, OP, ORDINAL, RETRACTION, TOMBSTONE, UPSERT
from data_workbench.transforms.ahead import ahead
from data_workbench.transforms.drafts import named
from data_workbench.transforms.plan import (
    ALIVE,
    GONE,
    HELD_ROW,
    HOLDS,
    REJECTED,
    RETRACTED_ROW,
    RETRACTS,
    STATUS,
    TOMBSTONE_ROW,
    Drop,
    NodePlan,
)
from data_workbench.transforms.text import frame_name, listing

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    import pyarrow as pa

Sink = Callable[["pa.RecordBatch"], None]


class Drain:
    """Reads the ends of segments.

    Args:
        quarantine: takes rejected rows with the columns of `quarantine_schema()`.
        batch_rows: rows in a batch.
    """

    def __init__(
        self, engine: duckdb.DuckDBPyConnection, drops: Mapping[int, Drop], quarantine: Sink, batch_rows: int
    ) -> None:
        self.engine = engine
        self.drops = drops
        self.quarantine = quarantine
        self.batch_rows = batch_rows

    def stream(self, node: NodePlan, sink: Sink, *, rejects: bool) -> Counter[int]:
        """Give the node's rows to the sink and rejected rows of its segment to the quarantine; count by status."""
        hidden = [STATUS, ORDINAL, REJECTED] if rejects else [STATUS]
        sql = f"SELECT {listing(node.columns.names)}, {', '.join(hidden)} FROM {frame_name(node.name)}"
        counts: Counter[int] = Counter()
        for batch in self._batches(sql, node.name):
            status = _numbers(batch.column(STATUS))
            counts.update(_histogram(status))
            if rejects:
                self._reject(batch)
            alive = _emitted(batch, status)
            if alive.num_rows:
                sink(_output(alive, node))
        return counts

    def count(self, node: NodePlan, *, rejects: bool) -> Counter[int]:
        """Only count, and give rejected rows to the quarantine."""
        frame = frame_name(node.name)
        with named(node.name):
            rows = self.engine.execute(f"SELECT {STATUS}, count(*) FROM {frame} GROUP BY 1").fetchall()
        counts: Counter[int] = Counter({int(status): int(count) for status, count in rows})
        wanted = [
            status for status in counts if status > ALIVE and self.drops[code_of(status)].counter == "quarantined"
        ]
        if rejects and wanted:
            codes = ", ".join(map(str, wanted))
            sql = f"SELECT {STATUS}, {ORDINAL}, {REJECTED} FROM {frame} WHERE {STATUS} IN ({codes})"
            for batch in self._batches(sql, node.name):
                self._reject(batch)
        return counts

    def _batches(self, sql: str, node: str) -> Iterator[pa.RecordBatch]:
        with named(node), ahead(self.engine.sql(sql).to_arrow_reader(self.batch_rows)) as batches:
            yield from batches

    def _reject(self, batch: pa.RecordBatch) -> None:
        found = batch.column(REJECTED)
        if found.null_count == len(found):
            return
        rows = batch.filter(found.is_valid())
        self.quarantine(_quarantined(rows, self.drops))


def _histogram(status: np.ndarray) -> dict[int, int]:
    import numpy as np

    if not status.any():
        return {ALIVE: len(status)}
    values, counts = np.unique(status, return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def _emitted(batch: pa.RecordBatch, status: np.ndarray) -> pa.RecordBatch:
    """Rows that leave the segment: alive, tombstones, and retractions and held ones, old and new."""
    keep = ((status <= ALIVE) & (status > GONE)) | (status >= RETRACTS)
    return batch if keep.all() else batch.filter(_mask(keep))


# Buffers are shared with numpy directly: pyarrow's own conversions import pandas, which takes more than a second.


def _numbers(status: pa.Array) -> np.ndarray:
    import numpy as np

    return np.frombuffer(status.buffers()[1], dtype=np.int32)[status.offset : status.offset + len(status)]


def _mask(keep: np.ndarray) -> pa.Array:
    import numpy as np
    import pyarrow as pa

    bits = np.packbits(keep, bitorder="little")
    return pa.Array.from_buffers(pa.bool_(), len(keep), [None, pa.py_buffer(bits)])


def _output(batch: pa.RecordBatch, node: NodePlan) -> pa.RecordBatch:
    """The visible columns with the plan's types, and `_wb_op` where rows may be marked."""
    import pyarrow as pa

    arrays: list[Any] = [_as(batch.column(index), item.type) for index, item in enumerate(node.columns)]
    schema = node.columns
    if node.marks:
        arrays.append(_marks(_numbers(batch.column(STATUS))))
        schema = schema.append(pa.field(OP, pa.string()))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _as(values: pa.Array, kind: pa.DataType) -> pa.Array:
    import pyarrow as pa

    if isinstance(values, pa.ExtensionArray):
        values = values.storage
    return values if values.type.equals(kind) else values.cast(kind)


def _marks(status: np.ndarray) -> pa.Array:
    """One letter a row, laid out as Arrow lays out strings."""
    import numpy as np
    import pyarrow as pa

    letters = np.full(len(status), ord(RETRACTION))
    letters[status == ALIVE] = ord(UPSERT)
    letters[status == TOMBSTONE_ROW] = ord(TOMBSTONE)
    letters[(status == HELD_ROW) | (status >= HOLDS)] = ord(HELD)
    offsets = np.arange(len(status) + 1, dtype=np.int32)
    data = pa.py_buffer(letters.astype(np.uint8))
    return pa.Array.from_buffers(pa.string(), len(status), [None, pa.py_buffer(offsets), data])


def quarantine_schema() -> pa.Schema:
    """Columns of rejected rows: who rejected it, by which rules, why, its key and values as JSON, its ordinal."""
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("node", pa.string()),
            pa.field("rules", pa.list_(pa.string())),
            pa.field("reason", pa.string()),
            pa.field("key", pa.string()),
            pa.field("row", pa.string()),
            pa.field("ordinal", pa.int64()),
        ]
    )


def _quarantined(rows: pa.RecordBatch, drops: Mapping[int, Drop]) -> pa.RecordBatch:
    import pyarrow as pa
    import pyarrow.compute as pc

    found = rows.column(REJECTED)
    failures = found.field("rules")
    offsets, entries = pa.array(failures.offsets), failures.values
    rules = pa.ListArray.from_arrays(offsets, entries.field("rule"))
    reasons = pa.ListArray.from_arrays(offsets, entries.field("reason"))
    nodes = pa.array([drops[code_of(status)].node for status in rows.column(STATUS).to_pylist()], pa.string())
    arrays = [nodes, rules, pc.binary_join(reasons, "; "), found.field("key"), found.field("row"), rows.column(ORDINAL)]
    schema = quarantine_schema()
    return pa.RecordBatch.from_arrays(
        [_as(array, item.type) for array, item in zip(arrays, schema, strict=True)], schema=schema
    )


def code_of(status: int) -> int:
    """The code of the drop that took a row, whatever it is emitted as."""
    return status % RETRACTS


def tally(counts: Counter[int]) -> tuple[int, Counter[int]]:
    """Rows that went into a segment, and how many each drop code took; rows retracted or held before are in neither."""
    dropped: Counter[int] = Counter()
    total = 0
    for status, count in counts.items():
        if status in (RETRACTED_ROW, HELD_ROW, GONE):
            continue
        total += count
        if status > ALIVE:
            dropped[code_of(status)] += count
    return total, dropped
