"""Small drawings of numbers as SVG: a line over time, and the bars of a histogram."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from data_workbench.metastore.quality_metrics import Measured

WIDTH, HEIGHT = 240, 48
"""Of each drawing, in its own units."""
_MARGIN = 3


@dataclass(frozen=True)
class Line:
    """Numbers from the oldest at the left to the newest: `points` as SVG's `polyline` takes them."""

    points: str
    last: tuple[float, float]
    title: str
    marks: tuple[tuple[float, float, str], ...] = ()
    """Places of unusual values, with what a pointer reads."""


def line(
    values: Sequence[Measured],
    *,
    low: float | None = None,
    high: float | None = None,
    unusual: Mapping[datetime, str] | None = None,
) -> Line | None:
    """The line of a metric; None if there is nothing to draw.

    Args:
        low, high: what stands at the bottom and at the top, where that is not the least and the greatest value.
    """
    if not values:
        return None
    least = min(one.value for one in values) if low is None else low
    most = max(one.value for one in values) if high is None else high
    extent = (most - least) or 1.0
    step = (WIDTH - 2 * _MARGIN) / max(len(values) - 1, 1)
    places = [
        (
            round(_MARGIN + position * step, 1),
            round(HEIGHT - _MARGIN - (one.value - least) / extent * (HEIGHT - 2 * _MARGIN), 1),
        )
        for position, one in enumerate(values)
    ]
    first, last = values[0], values[-1]
    title = f"{first.value:,.4g} on {first.measured:%Y-%m-%d}, {last.value:,.4g} on {last.measured:%Y-%m-%d %H:%M} UTC"
    marks = tuple(
        (*place, unusual[one.measured])
        for place, one in zip(places, values, strict=True)
        if unusual and one.measured in unusual
    )
    return Line(" ".join(f"{x},{y}" for x, y in places), places[-1], title, marks)


@dataclass(frozen=True)
class Column:
    """One bar of a histogram."""

    x: float
    y: float
    width: float
    height: float
    title: str


def histogram(bars: Sequence[Mapping[str, Any]], *, is_time: bool) -> list[Column]:
    """The bars of a profile's histogram, the highest as high as the drawing."""
    most = max((one["count"] for one in bars), default=0) or 1
    width = WIDTH / max(len(bars), 1)
    found = []
    for position, one in enumerate(bars):
        height = max(1.0 if one["count"] else 0.0, one["count"] / most * HEIGHT)
        title = f"{_place(one['from'], is_time)} to {_place(one['to'], is_time)}: {one['count']:,}"
        found.append(
            Column(round(position * width, 1), round(HEIGHT - height, 1), round(width - 1, 1), round(height, 1), title)
        )
    return found


def _place(value: float, is_time: bool) -> str:
    if not is_time:
        return f"{value:,.6g}"
    try:
        return f"{datetime.fromtimestamp(value, UTC):%Y-%m-%d %H:%M}"
    except (ValueError, OverflowError, OSError):  # a year that Python does not have
        return f"{value:,.6g} s"
