"""What is unusual in the history of a metric: robust, seasonal, usable from 14 points on.

The newest value is held against what those before it let expect: a robust trend (the median slope of pairs far apart),
a season where one explains enough (hour of the day, day of the week, end of the month, as medians), and the spread of
what is left (the median of its distances from its own median). After five unusual values on one side the level has
moved, and what was learned of season and spread moves with it.

Neither statsmodels' MSTL nor statsforecast does this: both want evenly spaced values and two whole seasons of them, and
bring a hundred megabytes (decision 0029).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np

from data_workbench.metastore.quality_metrics import Measured

LEAST: Final = 14
"""Values before which nothing is said."""
_WINDOW: Final = 90
"""Values that are looked at."""
_LIMIT: Final = 6.0
"""Spreads from the expected value: what is estimated from a few dozen values is itself off by some of them."""
_MOVED: Final = 5
"""Unusual values in a row, on one side, from which the level has moved."""
_LEARNED: Final = 1.25
"""How much further than an expected deviation another one like it may go."""
_CHOSEN_EVERY: Final = 7
"""Values after which the season is chosen again."""
_GAIN: Final = 0.75
"""A season must leave less than this share of the spread; otherwise there is none."""
_LEAST_ALIKE: Final = (2, 2, 2, 2, 3)
"""Values of one kind from which a season is known; where it has many kinds, one outlier would be half of them."""
_RARE: Final = 3.0
"""Spreads by which values of one kind are off without a season, from which they are a season of their own."""
_RELATIVE: Final = 1e-3
"""Spread of a metric that hardly ever changes, relative to its level."""

Array = np.ndarray[Any, Any]


def _kinds(at: datetime) -> tuple[int, ...]:
    """What a moment is in each season, the simplest first: hour, weekday, end of the month, and what they make."""
    is_end = int((at + timedelta(days=1)).day == 1)
    return at.hour, at.weekday(), is_end, at.weekday() + 7 * is_end, at.weekday() * 24 + at.hour


@dataclass(frozen=True)
class Anomaly:
    """One unusual value, and the range in which it was expected.

    Args:
        spreads: how many spreads it lies from what was expected.
        is_new: it does not go on from the one before, of the same cause.
    """

    measured: datetime
    value: float
    low: float
    high: float
    spreads: float
    is_new: bool


def anomalies(series: Sequence[Measured], *, expected: Collection[datetime] = ()) -> list[Anomaly]:
    """The unusual values of a history, oldest first.

    Args:
        series: oldest first.
        expected: the times of values that somebody called expected: they teach, and others like them are no alarm.
    """
    watch = _Watch(frozenset(expected))
    return [found for one in series if (found := watch.take(one)) is not None]


class _Watch:
    """A history as it grows."""

    def __init__(self, expected: frozenset[datetime]) -> None:
        self._expected = expected
        self._moments: list[tuple[float, ...]] = []
        """Of each value its time in seconds, and what it is in each season."""
        self._values: list[float] = []
        self._season: int | None = None
        self._row: list[tuple[datetime, float, float]] = []
        """Unusual values without a usual one between them: time, value, distance."""
        self._learned: list[tuple[datetime, float]] = []
        """Times and distances of expected deviations."""

    def take(self, one: Measured) -> Anomaly | None:
        """The next value; told if it is unusual."""
        if len(self._values) < LEAST or not np.isfinite(one.value):
            self._keep(one.measured, one.value)
            return None
        wanted, spread = self._expectation(one)
        distance = one.value - wanted
        if abs(distance) <= _LIMIT * spread or self._is_learned(one.measured, distance):
            self._row.clear()
            self._keep(one.measured, one.value)
            return None
        if one.measured in self._expected:
            self._learned.append((one.measured, distance))
            self._keep(one.measured, one.value)
            return None
        is_new = not self._row or (self._row[-1][2] > 0) != (distance > 0)
        if is_new:
            self._row.clear()
        self._row.append((one.measured, one.value, distance))
        self._keep(one.measured, one.value)
        self._follow()
        low, high = wanted - _LIMIT * spread, wanted + _LIMIT * spread
        return Anomaly(one.measured, one.value, low, high, abs(distance) / spread, is_new)

    def _expectation(self, one: Measured) -> tuple[float, float]:
        """The value that is expected, and the spread around it; a season is chosen anew now and then, and in doubt."""
        moments, values = np.array(self._moments[-_WINDOW:]), np.array(self._values[-_WINDOW:])
        is_due = len(self._values) % _CHOSEN_EVERY == 0
        found = None if is_due else _of_season(self._season, moments, values, one.measured)
        if found is None or abs(one.value - found.expected) > _LIMIT * found.spread:
            self._season, found = _choose(moments, values, one.measured)
        return found.expected, found.spread

    def _keep(self, at: datetime, value: float) -> None:
        if np.isfinite(value):
            self._moments.append((at.timestamp(), *_kinds(at)))
            self._values.append(value)

    def _follow(self) -> None:
        """Move what was learned to the new level, if it is one."""
        if len(self._row) < _MOVED:
            return
        moved = float(np.median([distance for _, _, distance in self._row]))
        before = len(self._values) - len(self._row)
        self._values[:before] = [value + moved for value in self._values[:before]]
        self._row.clear()

    def _is_learned(self, at: datetime, distance: float) -> bool:
        return any(
            known * distance > 0 and abs(distance) <= _LEARNED * abs(known) and _alike(when, at)
            for when, known in self._learned
        )


def _alike(one: datetime, other: datetime) -> bool:
    """Whether two moments are of one kind: both at the end of a month, or on one day of the week."""
    ends = [(at + timedelta(days=1)).day == 1 for at in (one, other)]
    return all(ends) or (not any(ends) and one.weekday() == other.weekday())


def _choose(moments: Array, values: Array, at: datetime) -> tuple[int | None, _Fit]:
    """The season that explains most, as its place in `_kinds`, and what it lets expect; None is no season."""
    plain = best = _of_season(None, moments, values, at)
    assert best is not None, "without a season there is always an answer"
    chosen = None
    for season, here in enumerate(_kinds(at)):
        found = _of_season(season, moments, values, at)
        if plain is None or best is None or found is None:
            continue
        # A season of few values, as the end of a month, hardly shows in the spread of all: it does in its own.
        alike = moments[:, 1 + season] == here
        off, less = (float(np.median(np.abs(one.left[alike]))) for one in (plain, found))
        is_rare = off > _RARE * plain.spread and less < off / 2
        if found.spread < _GAIN * best.spread or (is_rare and found.spread < 2 * best.spread):
            chosen, best = season, found
    return chosen, best


def _of_season(season: int | None, moments: Array, values: Array, at: datetime) -> _Fit | None:
    """What a season lets expect at a time; None if too little is known of it."""
    seconds = moments[:, 0]
    nothing = np.zeros(len(values))
    if season is None:
        return _fitted(seconds, values, nothing, 0.0, at)
    buckets, here = moments[:, 1 + season], _kinds(at)[season]
    kinds, places, counts = np.unique(buckets, return_inverse=True, return_counts=True)
    least = _LEAST_ALIKE[season]
    if len(kinds) < 2 or (buckets == here).sum() < least or np.median(counts) < least:
        return None
    left = values - _line(seconds, values, seconds)
    middles = np.array([np.median(left[places == kind]) for kind in range(len(kinds))])
    usual = float(middles[kinds == here][0])
    return _fitted(seconds, values, middles[places], usual, at, spent=len(kinds))


@dataclass(frozen=True)
class _Fit:
    """What a season and a line let expect, the spread around it, and what is left of each value."""

    expected: float
    spread: float
    left: Array


def _fitted(seconds: Array, values: Array, seasonal: Array, here: float, at: datetime, *, spent: int = 1) -> _Fit:
    """A line through values with a season taken away; `spent` of them make what is left look smaller than it is.

    Of three values that are alike one is their median, and nothing is left of it: as many as there are kinds are not
    counted.
    """
    flat = values - seasonal
    left = flat - _line(seconds, flat, seconds)
    freedom = max(len(values) - spent, 2)
    far = np.sort(np.abs(left - np.median(left)))[-freedom:]
    spread = 1.4826 * float(np.median(far)) * float(np.sqrt(len(values) / freedom))
    if len(values) < 2 * LEAST:  # of a few values a median of distances may be small by chance
        spread = max(spread, 0.5 * float(np.std(left)))
    level = float(_line(seconds, flat, np.array([at.timestamp()]))[0])
    floor = _RELATIVE * max(abs(level + here), float(np.median(np.abs(values))), 1e-9)
    return _Fit(level + here, max(spread, floor), left)


def _line(seconds: Array, values: Array, places: Array) -> Array:
    """A line through values, at places: the median slope of pairs far apart, and the median of what is left."""
    count = len(values)
    lags = sorted({max(1, count // part) for part in (2, 3, 4)})
    apart = np.concatenate([seconds[lag:] - seconds[:-lag] for lag in lags])
    rise = np.concatenate([values[lag:] - values[:-lag] for lag in lags])
    slopes = rise[apart > 0] / apart[apart > 0]
    slope = float(np.median(slopes)) if len(slopes) else 0.0
    level = float(np.median(values - slope * (seconds - seconds[-1])))
    return level + slope * (places - seconds[-1])
