"""A strip of bars, one for each of the last times something was done, the newest at the right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

WIDTH, HEIGHT = 480, 36
"""Of the drawing, in its own units."""
_LEAST = 0.12
"""A bar is seen, and can be pointed at, whatever it stands for."""


class Entry(NamedTuple):
    """What one bar stands for.

    Args:
        size: what its height tells; None takes the whole height.
        colour: the class that colours it.
        title: what a pointer reads.
    """

    size: float | None
    colour: str
    title: str


@dataclass(frozen=True)
class Bar:
    """One bar: place and height in the drawing's units."""

    x: float
    height: float
    colour: str
    title: str


def strip(entries: Sequence[Entry], places: int) -> list[Bar]:
    """Bars of entries given oldest first, in a strip with room for so many; the highest is the largest of them."""
    most = max((one.size for one in entries if one.size), default=0.0) or 1.0
    step, first = WIDTH / places, places - len(entries)
    return [
        Bar(
            round((first + place) * step, 1),
            round(max(_LEAST, 1.0 if one.size is None else one.size / most) * HEIGHT, 1),
            one.colour,
            one.title,
        )
        for place, one in enumerate(entries)
    ]
