"""Ids of archives."""

from __future__ import annotations

from datetime import timedelta

from tests.unit.archive.conftest import NOW

from data_workbench.archive.manifest import is_archive_id, new_archive_id


def test_ids_sort_by_time_within_a_second_too() -> None:
    times = [NOW + timedelta(microseconds=step) for step in (0, 1, 9, 16, 4096, 500_000, 999_999, 1_000_000)]
    found = [new_archive_id(time) for time in times]
    assert found == sorted(found)
    assert all(is_archive_id(one) for one in found)


def test_ids_of_one_moment_differ() -> None:
    assert len({new_archive_id(NOW) for _ in range(100)}) == 100
