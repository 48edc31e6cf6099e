"""Floating point as Qdrant keeps it: numbers of 15 significant digits.

Qdrant stores payloads as JSON and parses them with serde_json's quick parser, which misses one double in ten by one
unit in the last place, and may miss again at each rewrite of a segment. A number of up to 15 digits survives; so that
is what is written, and both sides of a comparison are rounded to it. A float32 is written in the shortest digits that
give it back, nine at most, and loses nothing.
"""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa

from data_workbench.mapping.arrow_forms import is_list, plain_type
from data_workbench.mapping.payload_values import from_payload, to_payload
from data_workbench.mapping.text_values import ColumnValues, flat

_LARGEST = 1.79769313486231e308
"""The largest number of 15 digits that is one."""


def to_stored_payload(values: ColumnValues) -> list[Any]:
    """`to_payload` with numbers that the store keeps."""
    array = flat(values)
    if pa.types.is_float32(array.type) or pa.types.is_float16(array.type):
        array = array.cast(pa.float32()).cast(pa.string()).cast(pa.float64())
    given = to_payload(array)
    return [kept(value) for value in given] if holds_doubles(array.type) else given


def as_stored(values: pa.Array) -> pa.Array:
    """A column as it comes back from the store."""
    return from_payload(to_stored_payload(values), values.type) if holds_doubles(values.type) else values


def holds_doubles(kind: pa.DataType) -> bool:
    """Whether values are doubles or hold some."""
    kind = plain_type(kind)
    if pa.types.is_map(kind):
        return holds_doubles(kind.key_type) or holds_doubles(kind.item_type)
    if is_list(kind):
        return holds_doubles(kind.value_type)
    if pa.types.is_struct(kind):
        return any(holds_doubles(part.type) for part in kind)
    return bool(pa.types.is_float64(kind))


def _number(value: float) -> float:
    """The number of 15 significant digits next to this one."""
    rounded = float(f"{value:.15g}")
    return rounded if math.isfinite(rounded) else math.copysign(_LARGEST, value)


def kept(value: Any) -> Any:
    """A payload value with numbers that the store keeps."""
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, list):
        return [kept(item) for item in value]
    return {name: kept(item) for name, item in value.items()} if isinstance(value, dict) else value
