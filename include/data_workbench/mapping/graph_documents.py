"""JSON forms of what a graph property cannot be: structs, maps, nested lists, lists with nulls.

The Arrow type drives both directions, column by column, so that a document reads back equal: integers as numbers,
decimals as exact strings, NaN and infinities as the strings `NaN`, `Infinity`, `-Infinity`, bytes as base64, dates and
times as ISO 8601, durations as a count of their unit, maps as lists of pairs.
"""

from __future__ import annotations

import base64
import json
import math
from decimal import Decimal, InvalidOperation
from typing import Any

import pyarrow as pa
import pyarrow.types as kinds

from data_workbench.mapping import graph_calendar as calendar
from data_workbench.mapping.arrow_forms import is_list, plain, plain_type

_STRANGE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def to_documents(column: pa.Array) -> list[str | None]:
    """Each value as JSON text, None for null."""
    return [None if value is None else dump(value) for value in to_json(column)]


def from_documents(texts: list[Any], kind: pa.DataType) -> pa.Array:
    """The reverse of `to_documents`; what is no such JSON becomes null."""
    return from_json([_load(text) for text in texts], kind)


def dump(value: object) -> str:
    """Compact JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _load(text: object) -> Any:
    if not isinstance(text, str):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def to_json(column: pa.Array) -> list[Any]:
    """A column as values that JSON can write."""
    column = plain(column)
    kind = column.type
    if kinds.is_map(kind) or is_list(kind):
        return _lists_to_json(column)
    if kinds.is_struct(kind):
        return _structs_to_json(column)
    return _leaves_to_json(column)


def _lists_to_json(column: pa.Array) -> list[Any]:
    """Cut the flat values at the offsets; a map's entries are pairs."""
    if kinds.is_map(column.type):
        flat: list[Any] = [list(pair) for pair in zip(to_json(column.keys), to_json(column.items), strict=True)]
    else:
        flat = to_json(column.values)
    offsets, valid = column.offsets.to_pylist(), column.is_valid().to_pylist()
    return [flat[offsets[i] : offsets[i + 1]] if valid[i] else None for i in range(len(column))]


def _structs_to_json(column: pa.Array) -> list[Any]:
    names = [field.name for field in column.type]
    parts = [to_json(part) for part in column.flatten()]
    rows = zip(*parts, strict=True) if parts else iter([()] * len(column))
    valid = column.is_valid().to_pylist()
    return [dict(zip(names, row, strict=True)) if valid[i] else None for i, row in enumerate(rows)]


def _leaves_to_json(column: pa.Array) -> list[Any]:
    kind = column.type
    if kinds.is_floating(kind):
        return [_float_to_json(value) for value in column.to_pylist()]
    if kinds.is_decimal(kind):
        return [None if value is None else format(value, "f") for value in column.to_pylist()]
    if kinds.is_binary(kind) or kinds.is_fixed_size_binary(kind):
        return [None if value is None else base64.b64encode(value).decode() for value in column.to_pylist()]
    if kinds.is_date(kind):
        return _text(column.cast(pa.date32()).cast(pa.int32()), calendar.date_text)
    if kinds.is_time(kind):
        return _text(_ticks(column), lambda ticks: calendar.time_text(ticks, kind.unit))
    if kinds.is_timestamp(kind):
        return _text(_ticks(column), lambda ticks: calendar.moment_text(ticks, kind.unit, zoned=kind.tz is not None))
    if kinds.is_duration(kind):
        return _ticks(column).to_pylist()
    if kinds.is_interval(kind):
        return [None if value is None else list(value) for value in column.to_pylist()]
    return column.to_pylist()


def _ticks(column: pa.Array) -> pa.Array:
    return column.cast(pa.int32()).cast(pa.int64()) if kinds.is_time32(column.type) else column.cast(pa.int64())


def _text(ticks: pa.Array, form: Any) -> list[str | None]:
    return [None if value is None else form(value) for value in ticks.to_pylist()]


def _float_to_json(value: float | None) -> float | str | None:
    if value is None or math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def from_json(values: list[Any], kind: pa.DataType) -> pa.Array:
    """A column of a plain type from values that JSON has read; what does not fit becomes null."""
    kind = plain_type(kind)
    if kinds.is_map(kind):
        return _maps_from_json(values, kind)
    if is_list(kind):
        cells = [value if isinstance(value, list) else None for value in values]
        return lists_of(cells, from_json([item for cell in cells if cell for item in cell], kind.value_type), kind)
    if kinds.is_struct(kind):
        return _structs_from_json([value if isinstance(value, dict) else None for value in values], kind)
    leaves = pa.array([_leaf_from_json(value, kind) for value in values], type=_leaf_storage(kind))
    return leaves.cast(pa.date32()).cast(kind) if kinds.is_date(kind) else leaves.cast(kind)


def _structs_from_json(cells: list[dict[str, Any] | None], kind: pa.DataType) -> pa.Array:
    parts = [from_json([(cell or {}).get(field.name) for cell in cells], field.type) for field in kind]
    if not parts:
        return pa.array(cells, type=kind)
    absent = pa.array([cell is None for cell in cells], type=pa.bool_())
    return pa.StructArray.from_arrays(parts, fields=list(kind), mask=absent)


def _maps_from_json(values: list[Any], kind: pa.DataType) -> pa.Array:
    cells = [value if isinstance(value, list) else None for value in values]
    pairs = [pair for cell in cells if cell for pair in cell]
    keys = from_json([pair[0] for pair in pairs], kind.key_type)
    items = from_json([pair[1] for pair in pairs], kind.item_type)
    return pa.MapArray.from_arrays(_offsets(cells), keys, items, type=kind)


def lists_of(cells: list[Any], flat: pa.Array, kind: pa.DataType) -> pa.Array:
    """Lists (None for null) over their flat values."""
    return pa.ListArray.from_arrays(_offsets(cells), flat, type=pa.list_(kind.value_field))


def _offsets(cells: list[Any]) -> pa.Array:
    """Arrow reads a null offset as a null list."""
    offsets: list[int | None] = []
    position = 0
    for cell in cells:
        offsets.append(None if cell is None else position)
        position += len(cell or ())
    return pa.array([*offsets, position], type=pa.int32())


def _leaf_storage(kind: pa.DataType) -> pa.DataType:
    """What `_leaf_from_json` gives for a type."""
    if kinds.is_date(kind) or kinds.is_time32(kind):
        return pa.int32()
    if kinds.is_temporal(kind) and not kinds.is_interval(kind):
        return pa.int64()
    return kind


def _leaf_from_json(value: Any, kind: pa.DataType) -> Any:
    try:
        return _leaf(value, kind)
    except (ValueError, TypeError, InvalidOperation):
        return None


def _leaf(value: Any, kind: pa.DataType) -> Any:
    if value is None:
        return None
    if kinds.is_floating(kind):
        return _STRANGE[value] if isinstance(value, str) and value in _STRANGE else float(value)
    if kinds.is_decimal(kind):
        return Decimal(value)
    if kinds.is_binary(kind) or kinds.is_fixed_size_binary(kind):
        return base64.b64decode(value)
    if kinds.is_date(kind):
        return calendar.date_days(value)
    if kinds.is_time(kind):
        return calendar.time_ticks(value, kind.unit)
    if kinds.is_timestamp(kind):
        return calendar.moment_ticks(value, kind.unit)
    if kinds.is_interval(kind):
        return pa.MonthDayNano(value)
    return pa.scalar(value, kind).as_py() if not kinds.is_duration(kind) else value
