"""The rows and columns a read asks for, picked from batches of a store that cannot filter by itself.

A cursor keeps rows at or after the watermark less the lag. A value that is null, NaN or infinite has no position: such
rows are always kept, so that none is lost, and never become the watermark; nor does a time after the run's. Keys are
matched with a hash join over the key columns alone.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
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
        self._now = request.now
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
        placed = _placed(values)
        if self._since is not None:
            later = pc.fill_null(pc.greater_equal(values, self._since), False)
            kept = pc.or_(pc.invert(placed), later)
            batch, placed = batch.filter(kept), placed.filter(kept)
            values = batch.column(column)
        settled = values.filter(placed)
        if self._now is not None and pa.types.is_timestamp(values.type):
            settled = settled.filter(pc.less_equal(settled, _moment(self._now, values.type)))
        if len(settled):
            greatest = pc.max(settled)
            if self._watermark is None or pc.greater(greatest, self._watermark).as_py():
                self._watermark = greatest
        return batch


def _placed(values: pa.Array) -> pa.Array:
    """Whether each value has a position: not null, NaN or infinite (of times, the ends of their integers)."""
    kind = values.type
    if pa.types.is_floating(kind):
        return pc.fill_null(pc.is_finite(values), False)
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        bits = pa.int32() if kind.bit_width == 32 else pa.int64()
        last = 2 ** (kind.bit_width - 1) - 1
        numbers = values.view(bits) if isinstance(values, pa.Array) else values.cast(bits)
        return pc.fill_null(pc.and_(pc.less(numbers, last), pc.greater(numbers, -last)), False)
    return pc.is_valid(values)


def _moment(now: datetime, kind: pa.DataType) -> pa.Scalar:
    """The run's time as the cursor's type; a column without a zone is taken as UTC."""
    moment = now.astimezone(UTC)
    return pa.scalar(moment if kind.tz else moment.replace(tzinfo=None), pa.timestamp("us", kind.tz)).cast(
        kind, safe=False
    )


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
