"""Which partitions there are, and the params each gives its run."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from pydantic import TypeAdapter

from data_workbench.errors import UsageError
from data_workbench.language.partitions import (
    Partition,
    Partitions,
    first_end,
    list_partitions,
    partition_before,
    typed,
)

NOW = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
DAYS = {"grain": "day", "from": "since", "to": "until"}
RANGE = {"size": 10, "from": "low", "to": "high", "end": 25}


def given(values: dict[str, Any]) -> Partitions:
    return TypeAdapter(Partitions).validate_python(values)


def listed(values: dict[str, Any], first: str | None = None, last: str | None = None, *only: str) -> list[Partition]:
    return list_partitions(given(values), first=first, last=last, only=only, now=NOW)


def test_days_go_from_the_first_up_to_the_end_which_is_not_among_them() -> None:
    found = listed(DAYS, "2026-02-27", "2026-03-02")
    assert [one.key for one in found] == ["2026-02-27", "2026-02-28", "2026-03-01"]
    assert found[1].params == {"since": "2026-02-28T00:00:00+00:00", "until": "2026-03-01T00:00:00+00:00"}


def test_without_an_end_the_last_one_is_the_last_that_is_over() -> None:
    assert [one.key for one in listed(DAYS, "2026-02-28")] == ["2026-02-28", "2026-03-01"]
    assert listed({**DAYS, "grain": "hour"}, "2026-03-02T00")[-1].key == "2026-03-02T13"
    assert [one.key for one in listed({**DAYS, "grain": "month", "start": "2025-12"})] == [
        "2025-12",
        "2026-01",
        "2026-02",
    ]


@pytest.mark.parametrize(("grain", "first"), [("hour", "2024-02-28T22"), ("day", "2023-12-30"), ("month", "2023-11")])
def test_each_partition_ends_where_the_next_one_begins_over_leap_days_and_years(grain: str, first: str) -> None:
    found = listed({**DAYS, "grain": grain}, first, "2024-03-01" if grain != "hour" else "2024-03-01T00")
    assert all(one.params["until"] == other.params["since"] for one, other in pairwise(found))
    assert len({one.key for one in found}) == len(found)


def test_a_moment_of_another_zone_is_read_in_utc() -> None:
    assert listed(DAYS, "2026-03-01T02:00:00+02:00", "2026-03-02")[0].key == "2026-03-01"


def test_a_range_has_a_shorter_last_part() -> None:
    found = listed(RANGE)
    assert [(one.params["low"], one.params["high"]) for one in found] == [(0, 10), (10, 20), (20, 25)]
    assert [one.key for one in listed(RANGE, "10", "20")] == ["10"]


def test_values_are_partitions_and_can_be_picked() -> None:
    values = {"param": "region", "values": ["north", "south", 7]}
    assert [one.params for one in listed(values)] == [{"region": "north"}, {"region": "south"}, {"region": 7}]
    assert [one.key for one in listed(values, None, None, "7", "north")] == ["north", "7"]


@pytest.mark.parametrize(
    ("grain", "moment", "key"),
    [
        ("day", datetime(2026, 3, 1, 1, 0, tzinfo=UTC), "2026-02-28"),
        ("day", datetime(2026, 3, 1, tzinfo=UTC), "2026-02-28"),
        ("hour", datetime(2026, 1, 1, 0, 5, tzinfo=UTC), "2025-12-31T23"),
        ("month", datetime(2026, 3, 31, 23, 59, tzinfo=UTC), "2026-02"),
    ],
)
def test_a_run_at_a_moment_is_for_the_last_partition_that_is_over(grain: str, moment: datetime, key: str) -> None:
    assert partition_before(given({**DAYS, "grain": grain}), moment).key == key  # type: ignore[arg-type]  # by time


def test_the_first_run_comes_when_the_first_partition_is_over() -> None:
    assert first_end(given({**DAYS, "grain": "month", "start": "2025-12"})) == datetime(2026, 1, 1, tzinfo=UTC)  # type: ignore[arg-type]


def test_a_date_has_no_time() -> None:
    assert typed(listed(DAYS, "2026-03-01", "2026-03-02")[0], {"since": "date", "until": "timestamp"}).params == {
        "since": "2026-03-01",
        "until": "2026-03-02T00:00:00+00:00",
    }


@pytest.mark.parametrize(
    ("values", "first", "last", "only", "told"),
    [
        (DAYS, None, None, (), "where the first partition begins"),
        (DAYS, "2026-03-01T05:00", None, (), "inside a partition of one day"),
        (DAYS, "yesterday", None, (), "'yesterday', not a time"),
        (DAYS, "2026-03-02", "2026-03-02", (), "no partition from"),
        (DAYS, "1900-01-01", None, (), "more than 10000"),
        (DAYS, "2026-03-01", None, ("2026-01-01",), "no partition '2026-01-01'"),
        (RANGE, "5", None, (), "inside a partition"),
        (RANGE, "ten", None, (), "not a whole number"),
        ({**RANGE, "end": None}, None, None, (), "where the last partition ends"),
        (RANGE, "0", "1000000", (), "more than 10000"),
        ({"param": "region", "values": ["n"]}, "n", None, (), "by time or range"),
    ],
)
def test_what_does_not_fit_is_refused(
    values: dict[str, Any], first: str | None, last: str | None, only: tuple[str, ...], told: str
) -> None:
    with pytest.raises(UsageError, match=told) as caught:
        listed(values, first, last, *only)
    assert caught.value.hint
