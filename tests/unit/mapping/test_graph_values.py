"""Columns become Neo4j properties and read back equal."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from neo4j.spatial import CartesianPoint, WGS84Point
from neo4j.time import Date, DateTime, Duration, Time

from data_workbench.mapping.graph_calendar import date_days, date_text, moment_text, moment_ticks
from data_workbench.mapping.graph_types import UNFIT, as_text, field_of, parse_native
from data_workbench.mapping.graph_values import from_graph, rows_of, to_graph
from data_workbench.records.types import with_native

_INT64 = st.integers(-(2**63), 2**63 - 1)
_DECIMAL = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9, places=4)
_TEXT = st.text(st.characters(exclude_categories=["Cs"]))
_STRUCT = pa.struct([("a", pa.int64()), ("b", pa.list_(pa.binary())), ("c", pa.decimal128(20, 4))])
COLUMNS = {
    pa.bool_(): st.booleans(),
    pa.int8(): st.integers(-128, 127),
    pa.int64(): _INT64,
    pa.uint64(): st.integers(0, 2**64 - 1),
    pa.float64(): st.floats(),
    pa.float32(): st.floats(width=32),
    pa.string(): _TEXT,
    pa.large_string(): _TEXT,
    pa.binary(): st.binary(),
    pa.dictionary(pa.int32(), pa.string()): _TEXT,
    pa.decimal128(20, 4): _DECIMAL,
    pa.decimal256(50, 4): _DECIMAL,
    pa.date32(): st.dates(),
    pa.timestamp("us"): st.datetimes(),
    pa.timestamp("us", "UTC"): st.datetimes(timezones=st.just(dt.UTC)),
    pa.time64("us"): st.times(),
    pa.time32("s"): st.times().map(lambda value: value.replace(microsecond=0)),
    pa.duration("us"): st.timedeltas(dt.timedelta(-(10**8)), dt.timedelta(10**8)),
    pa.list_(pa.int64()): st.lists(st.none() | _INT64),
    pa.list_(pa.string()): st.lists(_TEXT),
    pa.list_(pa.date32()): st.lists(st.dates()),
    pa.list_(pa.decimal128(20, 4)): st.lists(_DECIMAL),
    pa.list_(pa.uint64()): st.lists(st.integers(0, 2**64 - 1)),
    pa.list_(pa.list_(pa.float64())): st.lists(st.none() | st.lists(st.floats())),
    _STRUCT: st.fixed_dictionaries(
        {"a": st.none() | _INT64, "b": st.none() | st.lists(st.binary()), "c": st.none() | _DECIMAL}
    ),
    pa.map_(pa.string(), pa.int64()): st.lists(st.tuples(_TEXT, st.none() | _INT64)),
}


@pytest.mark.parametrize("kind", COLUMNS, ids=str)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_a_column_reads_back_equal(kind: pa.DataType, data: st.DataObject) -> None:
    values = data.draw(st.lists(st.none() | COLUMNS[kind], max_size=8))
    column = pa.array(values, type=kind)
    field = pa.field("c", kind)
    back = from_graph(_through_driver(to_graph(column, field)), field)
    back.validate(full=True)
    assert back.type == kind
    assert repr(back.to_pylist()) == repr(column.to_pylist())


def _through_driver(values: list[object]) -> list[object]:
    """What the driver makes of Python's own dates and times when it reads them."""
    kinds = {dt.datetime: DateTime, dt.date: Date, dt.time: Time}
    return [
        _through_driver(value)
        if isinstance(value, list)
        else kinds[type(value)].from_native(value)
        if type(value) in kinds
        else value
        for value in values
    ]


@given(st.integers(-(2**31) + 1, 2**31 - 1))
def test_every_day_has_a_text_and_comes_back(day: int) -> None:
    assert date_days(date_text(day)) == day


@given(_INT64, st.sampled_from(["s", "ms", "us", "ns"]))
def test_every_moment_has_a_text_and_comes_back(ticks: int, unit: str) -> None:
    # The integer below minus infinity means it, too.
    assert moment_ticks(moment_text(ticks, unit, zoned=True), unit) == max(ticks, -(2**63) + 1)


def test_infinity_is_a_text_in_properties() -> None:
    for kind, last in (
        (pa.date32(), 2**31 - 1),
        (pa.timestamp("us"), 2**63 - 1),
        (pa.timestamp("us", "UTC"), 2**63 - 1),
    ):
        width = pa.int32() if kind == pa.date32() else pa.int64()
        column = pa.array([last, -last, None, 0], width).cast(kind)
        field = pa.field("at", kind)
        assert to_graph(column, field)[:3] == ["infinity", "-infinity", None]
        assert from_graph(to_graph(column, field), field).equals(column)
        listed = pa.array([[last, None], []], pa.list_(width)).cast(pa.list_(kind))
        field = pa.field("at", listed.type)
        assert from_graph(to_graph(listed, field), field).equals(listed)


def test_a_date_noted_by_another_store_is_a_date_and_no_text() -> None:
    column = pa.array([2**31 - 1, 0], pa.int32()).cast(pa.date32())
    field = with_native(pa.field("day", pa.date32()), "date")
    assert to_graph(column, field) == ["infinity", dt.date(1970, 1, 1)]
    assert from_graph(to_graph(column, field), field).equals(column)


@pytest.mark.parametrize("text", ["P1Y2M3DT4.5S", "PT-1H-30M", "PT0S", "P-1M2D"])
def test_durations_as_the_server_writes_them_are_understood(text: str) -> None:
    assert parse_native(text, "duration") == Duration.from_iso_format(text)


def test_years_a_driver_cannot_carry_become_text() -> None:
    column = pa.array([-2_000_000, 0, 4_000_000], pa.int32()).cast(pa.date32())
    field = pa.field("born", pa.date32())
    assert to_graph(column, field) == ["-3506-03-09", dt.date(1970, 1, 1), "+12921-08-18"]
    assert from_graph(to_graph(column, field), field).equals(column)


def test_a_nanosecond_is_kept() -> None:
    column = pa.array([1_700_000_000_000_000_001, None], pa.timestamp("ns", "UTC"))
    field = pa.field("at", column.type)
    assert from_graph(to_graph(column, field), field).equals(column)


def test_a_decimal_is_exact_digits_and_null_is_absent() -> None:
    table = pa.table({"d": pa.array([Decimal("0.00000001"), None], pa.decimal128(12, 8))})
    assert rows_of(table) == [{"d": "0.00000001"}, {"d": None}]


def test_a_property_of_another_type_reads_as_null() -> None:
    junk = ["x", 1, 1.5, True, b"x", [1], Date(2024, 1, 1), Duration(days=1)]
    for kind in (pa.date32(), pa.timestamp("us"), pa.time64("us"), pa.duration("us"), pa.decimal128(5, 2), _STRUCT):
        assert from_graph(junk[:1] + junk[3:6], pa.field("c", kind)).null_count == 4
    assert from_graph(junk, pa.field("c", pa.int64())).to_pylist() == [None, 1, *[None] * 6]
    assert from_graph(junk, pa.field("c", pa.string())).to_pylist() == ["x", *[None] * 7]


@pytest.mark.parametrize(
    ("value", "native"),
    [
        (WGS84Point((12.5, -7.25)), "point"),
        (CartesianPoint((1e300, 2.0, -3.5)), "point"),
        (Duration(months=14, days=-3, seconds=5, nanoseconds=7), "duration"),
        (Duration(seconds=-1, nanoseconds=-500_000_000), "duration"),
        (Time(12, 30, 1, 5, tzinfo=dt.timezone(dt.timedelta(hours=2))), "zoned_time"),
        (DateTime(2024, 1, 2, 3, 4, 5, 123456789), "local_datetime"),
    ],
)
def test_what_arrow_lacks_is_text_that_becomes_the_same_property(value: object, native: str) -> None:
    field = with_native(pa.field("p", pa.string()), native)
    column = from_graph([value, None], field)
    assert to_graph(column, field) == [value, None]
    lists = with_native(pa.field("p", pa.list_(pa.string())), f"{native}[]")
    assert to_graph(from_graph([[value], []], lists), lists) == [[value], []]
    assert parse_native(as_text(value), native) == value


@pytest.mark.parametrize(
    ("seen", "kind", "native"),
    [
        ({"INTEGER"}, pa.int64(), None),
        ({"INTEGER", "FLOAT"}, pa.float64(), None),
        ({"INTEGER", "STRING"}, pa.string(), b"json"),
        ({"LIST<STRING>", "LIST<NOTHING>"}, pa.list_(pa.string()), None),
        ({"LIST<POINT>"}, pa.list_(pa.string()), b"point[]"),
        ({"LIST<STRING>", "STRING"}, pa.string(), b"json"),
        ({"ZONED DATETIME"}, pa.timestamp("us", "UTC"), None),
        ({"ZONED DATETIME", "ZONED DATETIME" + UNFIT}, pa.string(), b"zoned_datetime"),
        ({"DURATION"}, pa.string(), b"duration"),
        ({"BYTES"}, pa.binary(), None),
    ],
)
def test_a_property_gets_the_column_its_values_fit(seen: set[str], kind: pa.DataType, native: bytes | None) -> None:
    field = field_of("p", seen)
    assert field.type == kind
    assert (field.metadata or {}).get(b"wb:type") == native
