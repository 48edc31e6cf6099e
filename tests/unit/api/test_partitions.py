"""Rows by partition as a drawing: every span of time has its place, whatever was archived by."""

from __future__ import annotations

from data_workbench.api.datamodels.archives import PartitionOut
from data_workbench.api.pages.partitions import HEIGHT, MARK, MOST, WIDTH, columns


def partition(label: str, rows: int = 10, live: int | None = None, held: int = 0) -> PartitionOut:
    return PartitionOut(
        partition=label, archives=1, rows=rows, live=rows if live is None else live, bytes=100, held=held
    )


def test_a_month_without_rows_has_its_place() -> None:
    drawn = columns([partition("2023-11"), partition("2024-02", rows=40, live=10, held=1)])
    assert (drawn.first, drawn.last, drawn.grain) == ("2023-11", "2024-02", "month")
    first, last = drawn.columns
    assert last.x == round(first.x + 3 * 48, 1)
    assert (last.all, last.live, last.is_held) == (HEIGHT - MARK, round((HEIGHT - MARK) / 4, 1), True)
    assert first.all == first.live == round((HEIGHT - MARK) / 4, 1)
    assert "nothing in 2 of them" in drawn.words
    assert last.title == "2024-02: 40 rows in 1 archive, 30 came back or had stayed, held"


def test_many_days_become_months_and_many_months_years() -> None:
    days = columns([partition("2020-01-01"), partition("2020-02-29"), partition("2021-03-01")])
    assert (days.grain, days.first, days.last, len(days.columns)) == ("month", "2020-01", "2021-03", 3)
    months = columns([partition("0001-01"), partition("1999-12"), partition("2000-01"), partition("2000-02")])
    assert (months.grain, months.first, months.last) == ("year", "0001", "2000")
    assert "most rows (20) in 2000" in months.words
    assert max(one.x for one in months.columns) < WIDTH + WIDTH / MOST


def test_what_was_archived_by_another_grain_stands_with_the_rest() -> None:
    drawn = columns([partition("2023-05-04"), partition("2023-05"), partition("2024", rows=5)])
    assert (drawn.grain, [one.title.partition(":")[0] for one in drawn.columns]) == ("year", ["2023", "2024"])
    whole = columns([partition("all", rows=1_000_000)])
    assert (whole.words, len(whole.columns)) == ("one partition, all: 1,000,000 rows", 1)
    mixed = columns([partition("2024-01"), partition("all")])
    assert len(mixed.columns) == 2


def test_the_fewest_rows_are_seen_and_none_are_not() -> None:
    drawn = columns([partition("2024-01", rows=1_000_000), partition("2024-02", rows=1), partition("2024-03", live=0)])
    assert [one.all > 0 for one in drawn.columns] == [True, True, True]
    assert [one.live > 0 for one in drawn.columns] == [True, True, False]
