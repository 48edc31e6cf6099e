"""A plot of one measure over the last runs: a line from run to run, newest at the right, broken where none is known.

Drawn on the server as SVG, like the strips: no script, and one page holds as many as it wants.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Final

from data_workbench.api.pages.rendering import duration, milliseconds, number, size
from data_workbench.metastore.stages import range_number

if TYPE_CHECKING:
    from data_workbench.api.datamodels.pipelines import StageOut
    from data_workbench.api.services.pipelines import MeasuredRun

WIDTH, HEIGHT = 480, 96
"""Of the drawing, in its own units."""
_MARGIN = 4
_LEAST = 12
"""Places for so many runs at least: two are not drawn as if they were the two ends of a history."""
_Known = Callable[["MeasuredRun"], float | None]


@dataclass(frozen=True)
class Point:
    """One run: its place in the drawing's units, the class of its state, and what a pointer reads."""

    x: float
    y: float
    colour: str
    title: str


@dataclass(frozen=True)
class Plot:
    """One measure.

    Args:
        lines: the points of each unbroken line, as SVG's `polyline` takes them.
        most: the greatest value, in words; it stands at the top, 0 at the bottom.
        latest: the value of the newest run that has one, in words.
    """

    name: str
    lines: tuple[str, ...]
    points: tuple[Point, ...]
    most: str
    latest: str


def plots(runs: Sequence[MeasuredRun], colours: dict[str, str], places: int) -> list[Plot]:
    """The plots of runs given newest first; a measure that none of them has is left out."""
    made = [_plot(name, known, told, runs, colours, places) for name, known, told in MEASURES]
    return [one for one in made if one is not None]


def _plot(
    name: str,
    known: _Known,
    told: Callable[[float | None], str],
    runs: Sequence[MeasuredRun],
    colours: dict[str, str],
    places: int,
) -> Plot | None:
    values = [(one, known(one)) for one in reversed(runs[:places])]
    most = max((value for _, value in values if value is not None), default=None)
    if most is None:
        return None
    places = min(places, max(len(values), _LEAST))
    step, first = (WIDTH - 2 * _MARGIN) / max(places - 1, 1), places - len(values)
    points = [
        Point(
            round(_MARGIN + (first + place) * step, 1),
            round(HEIGHT - _MARGIN - (value / most if most else 0.0) * (HEIGHT - 2 * _MARGIN), 1),
            colours.get(one.run.state, ""),
            f"{one.run.started:%Y-%m-%d %H:%M} UTC: {told(value)}, {one.run.state}",
        )
        if value is not None
        else None
        for place, (one, value) in enumerate(values)
    ]
    lines = [list(group) for is_known, group in groupby(points, lambda one: one is not None) if is_known]
    latest = next(value for _, value in reversed(values) if value is not None)
    return Plot(
        name,
        tuple(" ".join(f"{one.x},{one.y}" for one in line if one) for line in lines),
        tuple(one for one in points if one),
        told(most),
        told(latest),
    )


def _stage(one: MeasuredRun) -> StageOut | None:
    """The first stage that told how many rows came in; of a streamed run that is its load."""
    told = (stage for stage in one.stages if range_number(stage.stage) is None)  # a range is a part of its stage
    return next((stage for stage in told if stage.rows_in is not None), None)


def _duration(one: MeasuredRun) -> float | None:
    return one.run.seconds


def _pace(one: MeasuredRun) -> float | None:
    found = _stage(one)
    return found.rows_per_second if found else None


def _rows(one: MeasuredRun) -> float | None:
    return one.run.read


def _lag(one: MeasuredRun) -> float | None:
    return max((stage.lag for stage in one.stages if stage.lag is not None), default=None)


def _memory(one: MeasuredRun) -> float | None:
    return max((stage.peak_memory for stage in one.stages if stage.peak_memory is not None), default=None)


def _rate(value: float | None) -> str:
    return f"{number(None if value is None else round(value))} rows/s"


def _whole(value: float | None) -> str:
    return f"{number(None if value is None else round(value))} rows"


MEASURES: Final[tuple[tuple[str, _Known, Callable[[float | None], str]], ...]] = (
    ("duration", _duration, milliseconds),
    ("rows read", _rows, _whole),
    ("rows a second", _pace, _rate),
    ("behind the source", _lag, duration),
    ("peak memory", _memory, size),
)
