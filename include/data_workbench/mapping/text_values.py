"""One text form for every logical type, and back: cells of CSV files, canonical keys, digests of rows.

type               text                                              read back
boolean            true, false                                       equal
integer            decimal digits                                    equal, all 64 bits
floating point     shortest digits that give the same number         equal; nan, inf, -inf
decimal            digits with the scale of the column               equal
text, uuid, json   itself                                            equal, byte for byte
date               2026-11-23, years outside 1..9999 with a sign     equal; infinity, -infinity
timestamp          2026-11-23 08:00:00.000000, with `Z` if zoned     equal; the instant, in UTC; infinity, -infinity
time               08:00:00.000000, 24:00:00                         equal
binary             base64                                            equal
duration           its count of the column's unit                    equal
list, struct, map  JSON as in payload_values.py                      equal
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from data_workbench.errors import SchemaConflict
from data_workbench.mapping import graph_calendar as calendar

ColumnValues: TypeAlias = pa.Array | pa.ChunkedArray


def is_binary(kind: pa.DataType) -> bool:
    """Whether values are bytes."""
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind)


def is_text(kind: pa.DataType) -> bool:
    """Whether values are text."""
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def flat(values: ColumnValues) -> pa.Array:
    """One array of a column's chunks, dictionaries decoded."""
    array = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if isinstance(array, pa.ChunkedArray):  # too large for 32-bit offsets
        array = pa.concat_arrays(array.cast(pa.large_string()).chunks)
    return array.cast(array.type.value_type) if pa.types.is_dictionary(array.type) else array


def to_text(values: ColumnValues) -> pa.Array:
    """The canonical text of each value; null stays null."""
    array = flat(values)
    kind = array.type
    if is_text(kind):
        return array.cast(pa.large_string())
    if is_binary(kind):
        texts = [None if value is None else base64.b64encode(value).decode() for value in array.to_pylist()]
        return pa.array(texts, pa.large_string())
    if pa.types.is_duration(kind):
        return array.cast(pa.int64()).cast(pa.large_string())
    if pa.types.is_timestamp(kind):
        return _written_moments(array)
    if pa.types.is_date(kind):
        return _written_dates(array)
    if pa.types.is_time(kind):
        return _written_times(array)
    if pa.types.is_nested(kind) or pa.types.is_interval(kind):
        from data_workbench.mapping.payload_values import to_payload

        texts = [None if value is None else _dump(value) for value in to_payload(array)]
        return pa.array(texts, pa.large_string())
    if pa.types.is_null(kind):
        return pa.nulls(len(array), pa.large_string())
    return array.cast(pa.large_string())


def _written_moments(array: pa.Array) -> pa.Array:
    kind = array.type
    ticks, zoned = array.cast(pa.int64()), kind.tz is not None
    per_day = calendar.DAY_SECONDS * calendar.TICKS[kind.unit]
    if _within(ticks, calendar.FIRST_DAY * per_day, (calendar.LAST_DAY + 1) * per_day):
        return (array.cast(pa.timestamp(kind.unit, "UTC")) if zoned else array).cast(pa.large_string())
    texts = [
        None if count is None else calendar.moment_text(count, kind.unit, zoned=zoned).replace("T", " ")
        for count in ticks.to_pylist()
    ]
    return pa.array(texts, pa.large_string())


def _written_dates(array: pa.Array) -> pa.Array:
    days = array.cast(pa.date32()).cast(pa.int32())
    if _within(days, calendar.FIRST_DAY, calendar.LAST_DAY + 1):
        return array.cast(pa.date32()).cast(pa.large_string())
    texts = [None if count is None else calendar.date_text(count) for count in days.to_pylist()]
    return pa.array(texts, pa.large_string())


def _written_times(array: pa.Array) -> pa.Array:
    unit = array.type.unit
    ticks = (array.cast(pa.int32()) if pa.types.is_time32(array.type) else array).cast(pa.int64())
    if _within(ticks, 0, calendar.DAY_SECONDS * calendar.TICKS[unit]):
        return array.cast(pa.large_string())
    texts = [None if count is None else calendar.time_text(count, unit) for count in ticks.to_pylist()]
    return pa.array(texts, pa.large_string())


def _within(counts: pa.Array, first: int, end: int) -> bool:
    """Whether all lie in the years 1 to 9999: Arrow writes years to 32767, PostgreSQL knows them to 294276."""
    extremes = pc.min_max(counts).as_py()
    return extremes["min"] is None or (extremes["min"] >= first and extremes["max"] < end)


def from_text(values: ColumnValues, kind: pa.DataType) -> pa.Array:
    """The values a column's texts stand for.

    Raises:
        SchemaConflict: a text is not of this type.
    """
    texts = flat(values).cast(pa.large_string())
    try:
        return _reader(kind)(texts, kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        raise SchemaConflict(f"a text does not read as {kind}: {str(error).splitlines()[0][:200]}") from error


def _reader(kind: pa.DataType) -> Callable[[pa.Array, pa.DataType], pa.Array]:
    if is_binary(kind):
        return _binary
    if pa.types.is_duration(kind):
        return lambda texts, to: texts.cast(pa.int64()).cast(to)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return _moments
    if pa.types.is_time(kind):
        return _times
    if pa.types.is_nested(kind) or pa.types.is_interval(kind):
        return _documents
    if pa.types.is_null(kind):
        return lambda texts, _to: pa.nulls(len(texts))
    return lambda texts, to: texts.cast(to)


def _binary(texts: pa.Array, kind: pa.DataType) -> pa.Array:
    values = [None if text is None else base64.b64decode(text, validate=True) for text in texts.to_pylist()]
    return pa.array(values, kind)


def _documents(texts: pa.Array, kind: pa.DataType) -> pa.Array:
    from data_workbench.mapping.payload_values import from_payload

    return from_payload([None if text is None else json.loads(text) for text in texts.to_pylist()], kind)


def _moments(texts: pa.Array, kind: pa.DataType) -> pa.Array:
    try:
        return texts.cast(kind)
    except pa.ArrowInvalid:  # Arrow reads four-digit years only
        counts = [None if text is None else _count(text, kind) for text in texts.to_pylist()]
    if pa.types.is_date(kind):
        return pa.array(counts, pa.int32()).cast(pa.date32()).cast(kind)
    return pa.array(counts, pa.int64()).cast(kind)


def _count(text: str, kind: pa.DataType) -> int:
    count = calendar.date_days(text) if pa.types.is_date(kind) else calendar.moment_ticks(text, kind.unit)
    # One at a time Arrow takes what it takes in bulk, other zones for example.
    return pa.scalar(text).cast(kind).value if count is None else count


def _times(texts: pa.Array, kind: pa.DataType) -> pa.Array:
    on_the_first_day = pc.binary_join_element_wise(
        pa.scalar("1970-01-01 ", pa.large_string()), texts, pa.scalar("", pa.large_string())
    )
    try:
        counts = on_the_first_day.cast(pa.timestamp(kind.unit)).cast(pa.int64())
    except pa.ArrowInvalid:  # 24:00:00
        counts = pa.array([None if text is None else _time(text, kind.unit) for text in texts.to_pylist()], pa.int64())
    return (counts.cast(pa.int32()) if pa.types.is_time32(kind) else counts).cast(kind)


def _time(text: str, unit: str) -> int:
    count = calendar.time_ticks(text, unit)
    if count is None or count > calendar.DAY_SECONDS * calendar.TICKS[unit]:
        raise ValueError(f"{text[:80]!r} is no time of day")
    return count


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
