"""Plots of measures over runs: the newest at the right, the greatest at the top, a gap where nothing is known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from data_workbench.api.datamodels.pipelines import RunOut, StageOut
from data_workbench.api.pages.pipelines import COLOURS
from data_workbench.api.pages.plots import HEIGHT, WIDTH, Plot, plots
from data_workbench.api.services.pipelines import MeasuredRun

BEGIN = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)


def run(number: int, seconds: float | None, *, lag: float | None = None, state: str = "success") -> MeasuredRun:
    started = BEGIN + timedelta(minutes=number)
    one = RunOut(
        run_id=f"r{number}", pipeline="p", state=state, orchestrator="cli", started=started, ended=None,
        seconds=seconds, read=100, written=100, quarantined=0, trouble=None,
    )  # fmt: skip
    stage = StageOut(
        stage="stage", state="success", attempt=1, retries=0, started=started, ended=None, seconds=seconds, rows_in=100,
        rows_out=90, bytes_in=None, bytes_out=None, filtered=0, quarantined=0, rows_per_second=50.0, peak_memory=None,
        lag=lag, progress=None, trouble=None, hint=None,
    )  # fmt: skip
    return MeasuredRun(one, [stage])


def named(found: list[Plot], name: str) -> Plot:
    return next(one for one in found if one.name == name)


def test_the_newest_run_is_at_the_right_and_the_greatest_at_the_top() -> None:
    plot = named(plots([run(3, 4.0, state="failed"), run(2, 8.0), run(1, 0.0)], COLOURS, 3), "duration")
    oldest, middle, newest = plot.points
    assert oldest.x < middle.x < newest.x <= WIDTH
    assert oldest.y > newest.y > middle.y >= 0
    assert oldest.y <= HEIGHT
    assert (plot.most, plot.latest) == ("8.0 s", "4.0 s")
    assert newest.colour == "broken"
    assert "2026-11-26 12:03 UTC: 4.0 s, failed" in newest.title
    assert len(plot.lines) == 1


def test_a_line_is_broken_where_a_run_has_no_value() -> None:
    found = plots([run(4, 1.0, lag=5.0), run(3, 1.0), run(2, 1.0, lag=600.0), run(1, 1.0, lag=0.0)], COLOURS, 48)
    plot = named(found, "behind the source")
    assert [line.count(",") for line in plot.lines] == [2, 1]
    assert len(plot.points) == 3
    assert (plot.most, plot.latest) == ("10 min", "5 s")


def test_what_no_run_has_is_left_out_and_zeros_are_drawn_at_the_bottom() -> None:
    found = plots([run(1, None, lag=0.0)], COLOURS, 48)
    assert {one.name for one in found} == {"rows read", "rows a second", "behind the source"}
    [point] = named(found, "behind the source").points
    assert HEIGHT - 10 < point.y <= HEIGHT
    assert plots([], COLOURS, 48) == []
