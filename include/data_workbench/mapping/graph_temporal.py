"""Dates, times, timestamps and durations as the driver carries them, and back.

Columns inside the years 1..9999 and of microseconds or coarser convert as a whole; the rest goes value by value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as kinds

from data_workbench.mapping import graph_calendar as calendar

_EPOCH_ORDINAL = 719_163
_NANO = 1_000_000_000


def to_graph(column: pa.Array) -> list[Any]:
    """A column's values for the driver."""
    kind = column.type
    if kinds.is_date(kind):
        return _dates(column.cast(pa.date32()))
    if kinds.is_timestamp(kind):
        return _moments(column)
    if kinds.is_time(kind):
        return _times(column)
    if kinds.is_duration(kind):
        scale = _NANO // calendar.TICKS[kind.unit]
        return _each(column.cast(pa.int64()), lambda ticks: _duration(0, 0, ticks * scale))
    return [None if value is None else _duration(*value) for value in column.to_pylist()]


def _each(ticks: pa.Array, form: Callable[[int], Any]) -> list[Any]:
    return [None if value is None else form(value) for value in ticks.to_pylist()]


def _within(ticks: pa.Array, first: int, last: int) -> bool:
    bounds = pc.min_max(ticks).as_py()
    return bounds["min"] is None or (bounds["min"] >= first and bounds["max"] <= last)


def _dates(column: pa.Array) -> list[Any]:
    days = column.cast(pa.int32())
    if _within(days, calendar.FIRST_DAY, calendar.LAST_DAY):
        return column.to_pylist()
    return _each(days, lambda day: calendar.date_text(day) if _is_far(day) else _date(day))


def _date(day: int) -> Any:
    return datetime.fromordinal(day + _EPOCH_ORDINAL).date()


def _is_far(day: int) -> bool:
    return not calendar.FIRST_DAY <= day <= calendar.LAST_DAY


def _moments(column: pa.Array) -> list[Any]:
    """As Python datetimes if all fit, else the exact driver type or text value by value."""
    kind = column.type
    ticks, unit = column.cast(pa.int64()), kind.unit
    per_day = calendar.DAY_SECONDS * calendar.TICKS[unit]
    if not _within(ticks, calendar.FIRST_DAY * per_day, (calendar.LAST_DAY + 1) * per_day - 1) or (
        unit == "ns" and _has_odd_nanoseconds(ticks)
    ):
        return _each(ticks, lambda value: _moment(value, unit, zoned=kind.tz is not None))
    values = column.cast(pa.timestamp(unit)).cast(pa.timestamp("us")).to_pylist()
    return values if kind.tz is None else [value and value.replace(tzinfo=UTC) for value in values]


def _has_odd_nanoseconds(ticks: pa.Array) -> bool:
    coarse = pc.multiply(pc.divide(ticks, 1000), 1000)
    return bool(pc.any(pc.not_equal(ticks, coarse)).as_py())


def _moment(ticks: int, unit: str, *, zoned: bool) -> Any:
    from neo4j.time import DateTime

    days, within = divmod(ticks, calendar.DAY_SECONDS * calendar.TICKS[unit])
    if _is_far(days):
        return calendar.moment_text(ticks, unit, zoned=zoned)
    seconds, rest = divmod(within, calendar.TICKS[unit])
    day, nanosecond = _date(days), rest * (_NANO // calendar.TICKS[unit])
    clock = (seconds // 3600, seconds // 60 % 60, seconds % 60, nanosecond)
    return DateTime(day.year, day.month, day.day, *clock, tzinfo=UTC if zoned else None)


def _times(column: pa.Array) -> list[Any]:
    unit = column.type.unit
    ticks = column.cast(pa.int32()).cast(pa.int64()) if kinds.is_time32(column.type) else column.cast(pa.int64())
    if not _within(ticks, 0, calendar.DAY_SECONDS * calendar.TICKS[unit] - 1) or (
        unit == "ns" and _has_odd_nanoseconds(ticks)
    ):
        return _each(ticks, lambda value: _time(value, unit))
    return column.cast(pa.time64("us")).to_pylist()


def _time(ticks: int, unit: str) -> Any:
    from neo4j.time import Time

    seconds, rest = divmod(ticks, calendar.TICKS[unit])
    if not 0 <= seconds < calendar.DAY_SECONDS:
        return calendar.time_text(ticks, unit)
    return Time(seconds // 3600, seconds // 60 % 60, seconds % 60, rest * (_NANO // calendar.TICKS[unit]))


def _duration(months: int, days: int, nanoseconds: int) -> Any:
    from neo4j.time import Duration

    seconds, rest = divmod(abs(nanoseconds), _NANO)
    sign = -1 if nanoseconds < 0 else 1
    return Duration(months=months, days=days, seconds=sign * seconds, nanoseconds=sign * rest)


def from_graph(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Property values as a column; what is no value of this type becomes null."""
    if kinds.is_date(kind):
        return pa.array([_days_of(value) for value in values], type=pa.int32()).cast(pa.date32()).cast(kind)
    if kinds.is_timestamp(kind):
        return _array([_moment_ticks(value, kind) for value in values], kind)
    if kinds.is_time(kind):
        return _array([_time_ticks(value, kind.unit) for value in values], kind)
    if kinds.is_duration(kind):
        return _array([_duration_ticks(value, kind.unit) for value in values], kind)
    return pa.array([_interval(value) for value in values], type=kind)


def _array(ticks: list[int | None], kind: pa.DataType) -> pa.Array:
    """Ticks as a column; a count outside the type's range is null."""
    width = 31 if kinds.is_time32(kind) else 63
    sound = [tick if tick is not None and -(1 << width) <= tick < 1 << width else None for tick in ticks]
    return pa.array(sound, type=pa.int32() if width == 31 else pa.int64()).cast(kind)


def _days_of(value: Any) -> int | None:
    if isinstance(value, str):
        return calendar.date_days(value)
    if hasattr(value, "toordinal") and not hasattr(value, "hour"):
        return int(value.toordinal()) - _EPOCH_ORDINAL
    return None


def _moment_ticks(value: Any, kind: pa.DataType) -> int | None:
    if isinstance(value, str):
        fits = calendar.is_endless(value) or value.endswith("Z") == (kind.tz is not None)
        return calendar.moment_ticks(value, kind.unit) if fits else None
    if not hasattr(value, "hour") or not hasattr(value, "toordinal"):
        return None
    offset = value.utcoffset()
    if (offset is None) != (kind.tz is None):
        return None
    seconds = (value.toordinal() - _EPOCH_ORDINAL) * calendar.DAY_SECONDS
    seconds += value.hour * 3600 + value.minute * 60 + value.second - int(offset.total_seconds() if offset else 0)
    return seconds * calendar.TICKS[kind.unit] + _nanoseconds(value) * calendar.TICKS[kind.unit] // _NANO


def _nanoseconds(value: Any) -> int:
    """Of the driver's own types or Python's."""
    return value.nanosecond if hasattr(value, "nanosecond") else value.microsecond * 1000


def _time_ticks(value: Any, unit: str) -> int | None:
    if isinstance(value, str):
        return calendar.time_ticks(value, unit)
    if not hasattr(value, "hour") or hasattr(value, "toordinal") or value.tzinfo is not None:
        return None
    seconds = value.hour * 3600 + value.minute * 60 + value.second
    return seconds * calendar.TICKS[unit] + _nanoseconds(value) * calendar.TICKS[unit] // _NANO


def _duration_ticks(value: Any, unit: str) -> int | None:
    """A duration with months has no fixed length."""
    if not hasattr(value, "months") or value.months:
        return None
    nanoseconds = (value.days * calendar.DAY_SECONDS + value.seconds) * _NANO + value.nanoseconds
    return int(nanoseconds * calendar.TICKS[unit] // _NANO)


def _interval(value: Any) -> Any:
    if not hasattr(value, "months"):
        return None
    return pa.MonthDayNano([value.months, value.days, value.seconds * _NANO + value.nanoseconds])
