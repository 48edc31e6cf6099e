"""Timestamps cross to a graph as numbers and come back the same; what no number says crosses as before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_workbench.mapping.graph_moments import EPOCH_SECONDS, from_numbers, is_numbered, to_numbers
from data_workbench.mapping.graph_values import to_graph

KINDS = [pa.timestamp(unit, zone) for unit in ("s", "ms", "us") for zone in (None, "UTC")]


@settings(deadline=None)
@given(st.lists(st.none() | st.datetimes()), st.sampled_from(KINDS))
def test_every_moment_of_the_calendar_comes_back_in_its_unit(values: list[datetime | None], kind: pa.DataType) -> None:
    field = pa.field("at", kind)
    column = pa.array(values, pa.timestamp("us")).cast(pa.timestamp(kind.unit), safe=False).cast(kind)
    numbers = to_numbers(pa.chunked_array([column]), field)
    assert all(number is None or (isinstance(number, int) and number >= 0) for number in numbers)
    assert from_numbers(numbers, field).equals(column)


def test_numbers_are_microseconds_since_the_year_1() -> None:
    field = pa.field("at", pa.timestamp("us", "UTC"))
    first, epoch = datetime(1, 1, 1, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC)
    column = pa.array([first, epoch, epoch - timedelta(microseconds=1)], field.type)
    number = EPOCH_SECONDS * 1_000_000
    assert to_numbers(column, field) == [0, number, number - 1]
    assert epoch - first == timedelta(microseconds=number)


def test_finer_than_a_microsecond_is_not_numbered() -> None:
    assert not is_numbered(pa.field("at", pa.timestamp("ns")))
    assert not is_numbered(pa.field("at", pa.date32()))
    assert is_numbered(pa.field("at", pa.dictionary(pa.int8(), pa.timestamp("ms", "UTC"))))


@pytest.mark.parametrize("ticks", [2**63 - 1, -(2**63) + 1, 253_402_300_800_000_000, -62_135_596_800_000_001])
def test_one_moment_beyond_the_years_of_drivers_sends_all_as_before(ticks: int) -> None:
    field = pa.field("at", pa.timestamp("us", "UTC"))
    column = pa.array([0, ticks, None], pa.int64()).cast(field.type)
    found = to_numbers(column, field)
    assert found == to_graph(column, field)
    assert isinstance(found[1], str)
    assert from_numbers([None if one is None else [one] for one in found], field).equals(column)


def test_properties_of_other_kinds_read_as_their_own_reading_has_them() -> None:
    field = pa.field("at", pa.timestamp("us", "UTC"))
    year_2 = 366 * 86_400 * 1_000_000
    found = from_numbers([year_2, ["some text"], [17], None, [datetime(2020, 1, 1, tzinfo=UTC)]], field)
    assert found.is_valid().to_pylist() == [True, False, False, False, True]
    assert found[4].as_py() == datetime(2020, 1, 1, tzinfo=UTC)


def test_a_column_of_nulls_and_an_empty_one_are_numbers_too() -> None:
    field = pa.field("at", pa.timestamp("s"))
    assert to_numbers(pa.nulls(2, field.type), field) == [None, None]
    assert to_numbers(pa.chunked_array([], field.type), field) == []
    assert len(from_numbers([], field)) == 0
