"""Any value as JSON that PostgreSQL stores, and rows of Arrow there and back.

What JSON has no form for is written as text that its column's type parses again: decimals as digits, times in
ISO 8601, NaN and infinities by name, bytes as base64. Text beyond ASCII is escaped, so that even a NUL or half of a
surrogate pair, which PostgreSQL's text cannot hold, survives in a `json` column.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from itertools import accumulate
from pathlib import PurePath
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc

# What DuckDB calls infinity, as dates and timestamps of any unit count.
_ENDLESS = {"infinity": 1, "-infinity": -1}
# With a year of four digits, or a time of day.
_ISO = re.compile(r"\d{4}-\d\d-\d\d.*|\d\d:\d\d.*")


def jsonable(value: Any) -> Any:
    """The value in terms of JSON.

    Raises:
        TypeError: its type has no JSON form here.
    """
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else _name_of(value)
        case Mapping():
            return {str(key): jsonable(item) for key, item in value.items()}
        case bytes() | bytearray() | memoryview():
            return base64.b64encode(bytes(value)).decode()
        case datetime() | date() | time():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case Decimal() | UUID() | PurePath():
            return str(value)
        case Enum():
            return jsonable(value.value)
        case set() | frozenset():
            return sorted(jsonable(item) for item in value)
        case Sequence():
            return [jsonable(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return jsonable(asdict(value))
    raise TypeError(f"a {type(value).__name__} has no JSON form")


def dumps(value: Any) -> str:
    """JSON of any value."""
    return json.dumps(jsonable(value), allow_nan=False)


def key_text(key: Mapping[str, Any]) -> str:
    """One text for a key, the same whatever the order of its columns."""
    return json.dumps(jsonable(key), sort_keys=True, separators=(",", ":"), allow_nan=False)


def storable(text: str) -> str:
    """Text without what a PostgreSQL text column refuses."""
    return text.replace("\x00", "\N{SYMBOL FOR NULL}").encode("utf-8", "replace").decode()


def rows_of(table: pa.Table | pa.RecordBatch) -> list[dict[str, Any]]:
    """Rows as JSON-able dicts; times outside Python's years become text like all others."""
    columns = {item.name: _values(table.column(index)) for index, item in enumerate(table.schema)}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def table_of(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """The reverse of `rows_of`; a column that rows do not have is null.

    Raises:
        pa.ArrowInvalid: a value does not parse as its column's type.
    """
    arrays = [_array([row.get(item.name) for row in rows], item.type) for item in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def _values(column: pa.ChunkedArray | pa.Array) -> list[Any]:
    kind = column.type
    if _is_moment(kind):
        return _moments(column)
    if pa.types.is_duration(kind):
        return list(column.cast(pa.int64()).to_pylist())
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        items = _values(pc.list_flatten(column))
        return _regrouped(pc.list_value_length(column).to_pylist(), items)
    return [jsonable(value) for value in column.to_pylist()]


def _regrouped(lengths: list[int | None], items: list[Any]) -> list[Any]:
    ends = list(accumulate((length or 0 for length in lengths), initial=0))
    return [None if length is None else items[ends[i] : ends[i + 1]] for i, length in enumerate(lengths)]


def _is_moment(kind: pa.DataType) -> bool:
    """A date, a time of day or a timestamp."""
    return pa.types.is_temporal(kind) and not pa.types.is_duration(kind) and not pa.types.is_interval(kind)


def _moments(column: pa.ChunkedArray | pa.Array) -> list[Any]:
    """ISO 8601, infinity by name, or the bare number of units where the year is beyond what Arrow writes and parses."""
    kind = column.type
    zone = "Z" if getattr(kind, "tz", None) else ""
    local = column.cast(pa.timestamp(kind.unit)) if zone else column
    texts = local.cast(pa.string()).to_pylist()
    numbers = column.cast(_storage(kind)).to_pylist()
    endless = {sign * _last(kind): name for name, sign in _ENDLESS.items()}
    return [
        endless.get(number, number) if text is None or not _ISO.fullmatch(text) else text + zone
        for text, number in zip(texts, numbers, strict=True)
    ]


def _last(kind: pa.DataType) -> int:
    return int(2 ** (kind.bit_width - 1) - 1)


def _moments_array(values: list[Any], kind: pa.DataType) -> pa.Array:
    values = [_ENDLESS[value] * _last(kind) if value in _ENDLESS else value for value in values]
    texts = _parsed(pa.array([value if isinstance(value, str) else None for value in values], pa.string()), kind)
    numbers = pa.array([value if isinstance(value, int) else None for value in values], _storage(kind)).cast(kind)
    return pc.coalesce(texts, numbers)


def _parsed(texts: pa.Array, kind: pa.DataType) -> pa.Array:
    if not pa.types.is_time(kind):
        return texts.cast(kind)
    # Arrow does not parse a time of day: as a moment of the epoch's first day it has the same number of units.
    moments = pc.binary_join_element_wise(pa.scalar("1970-01-01T"), texts, "")
    return moments.cast(pa.timestamp(kind.unit)).cast(pa.int64()).cast(_storage(kind)).cast(kind)


def _storage(kind: pa.DataType) -> pa.DataType:
    return pa.int32() if kind.bit_width == 32 else pa.int64()


def _array(values: list[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return pa.array([None if value is None else base64.b64decode(value) for value in values], kind)
    if pa.types.is_decimal(kind):
        return pa.array([None if value is None else Decimal(value) for value in values], kind)
    if pa.types.is_floating(kind):
        return pa.array([None if value is None else float(value) for value in values], pa.float64()).cast(kind)
    if pa.types.is_duration(kind):
        return pa.array(values, pa.int64()).cast(kind)
    if _is_moment(kind):
        return _moments_array(values, kind)
    if pa.types.is_nested(kind):
        return pa.array([_nested(value, kind) for value in values], kind)
    return pa.array(values, kind)


def _nested(value: Any, kind: pa.DataType) -> Any:
    if value is None:
        return None
    if pa.types.is_struct(kind):
        return {item.name: _nested(value.get(item.name), item.type) for item in kind}
    if pa.types.is_map(kind):
        return [(_nested(key, kind.key_type), _nested(item, kind.item_type)) for key, item in value]
    if pa.types.is_nested(kind):
        return [_nested(item, kind.value_type) for item in value]
    return _array([value], kind)[0]


def _name_of(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"
