"""A number over time as a line of SVG, drawn on the server: for pages that one glances at, which have no script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

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


def line(values: Sequence[Measured], *, low: float | None = None) -> Line | None:
    """The line of a number; None if there is nothing to draw.

    Args:
        low: what stands at the bottom, where that is not the least value.
    """
    if not values:
        return None
    least = min(one.value for one in values) if low is None else low
    extent = (max(one.value for one in values) - least) or 1.0
    step = (WIDTH - 2 * _MARGIN) / max(len(values) - 1, 1)
    places = [
        (
            round(_MARGIN + position * step, 1),
            round(HEIGHT - _MARGIN - (one.value - least) / extent * (HEIGHT - 2 * _MARGIN), 1),
        )
        for position, one in enumerate(values)
    ]
    return Line(" ".join(f"{x},{y}" for x, y in places), places[-1])
