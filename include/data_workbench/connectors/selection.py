"""The rows and columns a read asks for, picked from batches of a store that cannot filter by itself.

A cursor keeps rows at or after the watermark less the lag; rows whose cursor is null are always kept, so that none is
lost. Keys are matched with a hash join over the key columns alone.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from data_workbench.connectors.base import ReadRequest
from data_workbench.errors import StreamUnknown
from data_workbench.mapping.text_values import from_text, to_text


class Selection:
    """Applies one request to batches of `schema`; remembers the watermark and how many rows may still come.

    Raises:
        StreamUnknown: a column asked for is not there.
    """

    def __init__(self, request: ReadRequest, schema: pa.Schema) -> None:
        self._left = request.limit
        self._cursor = request.cursor
        self._columns = list(request.columns or schema.names)
        self._keys = request.keys
        wanted = [*self._columns, *([request.cursor.column] if request.cursor else [])]
        wanted += request.keys.column_names if request.keys is not None else []
        unknown = sorted({name for name in wanted if name not in schema.names})
        if unknown:
            raise StreamUnknown(
                f"{request.stream!r} has no column {', '.join(map(repr, unknown))}",
                hint=f"it has {', '.join(schema.names)}",
            )
        self.read_columns = [name for name in schema.names if name in set(wanted)]
        self.schema = pa.schema([schema.field(name) for name in self._columns], schema.metadata)
        self._watermark: pa.Scalar | None = None
        if self._cursor and self._cursor.state and self._cursor.state.get("watermark") is not None:
            kind = schema.field(self._cursor.column).type
            self._watermark = from_text(pa.array([self._cursor.state["watermark"]]), kind)[0]
        self._since = self._begin()
        if self._keys is not None:
            self._keys = _matching(self._keys, schema)

    @property
    def since(self) -> pa.Scalar | None:
        """Rows whose cursor is before this are not asked for; a store that can leave them out may."""
        return self._since

    @property
    def exhausted(self) -> bool:
        """Whether the limit is reached."""
        return self._left is not None and self._left <= 0

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The part of a batch that was asked for; a batch holds at least `read_columns`."""
        if self._keys is not None:
            batch = semi_join(batch, self._keys)
        if self._cursor:
            batch = self._after_watermark(batch, self._cursor.column)
        if self._left is not None:
            batch = batch.slice(0, max(self._left, 0))
            self._left -= batch.num_rows
        return batch.select(self._columns)

    def position(self) -> dict[str, Any] | None:
        """The state to store; None without a cursor."""
        if self._cursor is None:
            return None
        if self._watermark is None:
            return {"watermark": None}
        return {"watermark": to_text(pa.repeat(self._watermark, 1))[0].as_py()}

    def _begin(self) -> pa.Scalar | None:
        if self._watermark is None or self._cursor is None or self._cursor.lag is None:
            return self._watermark
        lag, kind = self._cursor.lag, self._watermark.type
        if isinstance(lag, timedelta):
            instants = self._watermark.cast(pa.timestamp("us", getattr(kind, "tz", None)))
            return pc.subtract(instants, pa.scalar(lag, pa.duration("us"))).cast(kind, safe=False)
        return pc.subtract(self._watermark, pa.scalar(lag)).cast(kind, safe=False)

    def _after_watermark(self, batch: pa.RecordBatch, column: str) -> pa.RecordBatch:
        values = batch.column(column)
        if self._since is not None:
            keep = pc.or_kleene(pc.is_null(values), pc.greater_equal(values, self._since))
            batch = batch.filter(keep)
            values = batch.column(column)
        if len(values) > values.null_count:
            greatest = pc.max(values)
            if self._watermark is None or pc.greater(greatest, self._watermark).as_py():
                self._watermark = greatest
        return batch


def _matching(keys: pa.Table, schema: pa.Schema) -> pa.Table:
    return keys.cast(pa.schema([pa.field(name, schema.field(name).type) for name in keys.column_names]))


def semi_join(batch: pa.RecordBatch, keys: pa.Table) -> pa.RecordBatch:
    """The rows of a batch whose key columns equal a row of `keys`, in their order."""
    if keys.num_rows == 0 or batch.num_rows == 0:
        return batch.slice(0, 0)
    names = keys.column_names
    if len(names) == 1:
        return batch.filter(pc.is_in(batch.column(names[0]), value_set=keys.column(0).combine_chunks()))
    columns = [batch.column(name) for name in names]
    place = pa.array(range(batch.num_rows), pa.int64())
    numbered = pa.table([*columns, place], names=[*(f"k{index}" for index in range(len(names))), "place"])
    wanted = keys.rename_columns([f"k{index}" for index in range(len(names))])
    found = numbered.join(wanted, keys=wanted.column_names, join_type="left semi", use_threads=False)
    return batch.take(found.column("place").combine_chunks().sort())


def bounded(batch: pa.RecordBatch, *, rows: int, size: int) -> list[pa.RecordBatch]:
    """Slices of a batch that keep to both limits; a single row may exceed `size`."""
    if batch.num_rows == 0:
        return []
    per_row = max(batch.nbytes / batch.num_rows, 1)
    step = max(1, min(rows, int(size / per_row)))
    return [batch.slice(start, step) for start in range(0, batch.num_rows, step)]
