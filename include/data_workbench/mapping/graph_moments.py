"""Timestamps as whole numbers between the workbench and a graph: microseconds since the year 1, never negative.

The driver takes some 100 µs of processor time to pack one datetime, ten times as much as the rest of an ordinary row,
and nearly as long to unpack it (measured with neo4j 6.4 and neo4j-rust-ext on two busy cores). As numbers they cross
for nothing; Cypher makes moments of them and numbers of moments. The rest crosses as ever (`graph_temporal`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as kinds

from data_workbench.mapping import graph_calendar as calendar
from data_workbench.mapping.arrow_forms import plain, plain_type, restore
from data_workbench.mapping.graph_values import from_graph, to_graph

EPOCH_SECONDS: Final = -calendar.FIRST_DAY * calendar.DAY_SECONDS
"""From 0001-01-01 to 1970-01-01."""
LAST_SECOND: Final = (calendar.LAST_DAY + 1) * calendar.DAY_SECONDS - 1
"""The last second of the year 9999, since 1970."""
_SECOND: Final = calendar.TICKS["us"]


def is_numbered(field: pa.Field) -> bool:
    """Whether a column's values may cross as numbers: timestamps that are not finer than a microsecond."""
    kind = plain_type(field.type)
    return bool(kinds.is_timestamp(kind) and kind.unit != "ns")


def is_zoned(field: pa.Field) -> bool:
    """Whether a numbered column holds instants, not local times."""
    return plain_type(field.type).tz is not None


def to_numbers(column: pa.ChunkedArray | pa.Array, field: pa.Field) -> list[Any]:
    """A column's values for the driver: all as numbers, or all as `to_graph` gives them if one lies too far away."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    per_second = _per_second(field)
    ticks = plain(array).cast(pa.int64())
    bounds = pc.min_max(ticks).as_py()
    if bounds["min"] is None:
        return [None] * len(column)
    if bounds["min"] < -EPOCH_SECONDS * per_second or bounds["max"] >= (LAST_SECOND + 1) * per_second:
        return to_graph(column, field)
    scaled = pc.multiply(ticks, _SECOND // per_second)
    return list(pc.add(scaled, EPOCH_SECONDS * _SECOND).to_pylist())


def from_numbers(values: Sequence[Any], field: pa.Field) -> pa.Array:
    """The reverse: a number, null, or a list that holds a property of another kind, as `from_graph` reads it."""
    per_second = _per_second(field)
    numbers = pa.array([None if isinstance(value, list) else value for value in values], pa.int64())
    ticks = pc.subtract(pc.divide(numbers, _SECOND // per_second), EPOCH_SECONDS * per_second)
    moments = restore(ticks.cast(plain_type(field.type)), field.type)
    if not any(isinstance(value, list) for value in values):
        return moments
    others = from_graph([value[0] if isinstance(value, list) else None for value in values], field)
    places = [i + len(values) if isinstance(value, list) else i for i, value in enumerate(values)]
    return pa.concat_arrays([moments, others]).take(pa.array(places, pa.int64()))


def _per_second(field: pa.Field) -> int:
    return calendar.TICKS[plain_type(field.type).unit]
