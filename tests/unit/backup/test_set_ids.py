"""Ids of backup sets: which one is the newest is read from them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.unit.backup.conftest import START

from data_workbench.backup.manifest import is_set_id, new_set_id


def test_they_sort_by_time_within_a_second_too() -> None:
    times = [START + timedelta(microseconds=step) for step in (0, 1, 9, 16, 4096, 500_000, 999_999, 1_000_000)]
    made = [new_set_id(time) for time in times]
    assert made == sorted(made)
    assert all(is_set_id(one) for one in made)


@pytest.mark.parametrize("back", [timedelta(0), timedelta(microseconds=1), timedelta(days=3)])
def test_the_set_made_last_is_the_newest_whatever_the_clock_says(back: timedelta) -> None:
    made = [new_set_id(START)]
    for _ in range(50):
        made.append(new_set_id(START - back, made))
    assert made == sorted(set(made))
    assert all(is_set_id(one) for one in made)


def test_sets_made_before_ids_told_microseconds_are_earlier() -> None:
    earlier = f"{START:%Y%m%dT%H%M%SZ}-ffffff"
    assert new_set_id(START, [earlier]) > earlier


@pytest.mark.parametrize("folder", ["99999999T999999Z-ffffff", "99991231T235959Z-ffffff"])
def test_a_folder_that_tells_no_time_hinders_nothing(folder: str) -> None:
    assert is_set_id(new_set_id(START, [folder]))
