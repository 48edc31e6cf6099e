"""Ninety histories of metrics, made from fixed seeds: seasons, trends, and what goes wrong in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from data_workbench.metastore.quality_metrics import Measured

BEGIN = datetime(2025, 1, 6, 3, tzinfo=UTC)
DAYS = 120


@dataclass(frozen=True)
class Series:
    """One history; `marks` are the positions at which something goes wrong, and it is found up to `tolerance` later."""

    kind: str
    points: list[Measured]
    marks: list[int]
    tolerance: int

    @property
    def index(self) -> dict[datetime, int]:
        return {one.measured: position for position, one in enumerate(self.points)}

    @property
    def months(self) -> float:
        return (self.points[-1].measured - self.points[0].measured) / timedelta(days=30)


def make(base: int = 0) -> Iterator[Series]:
    """Six kinds of metrics, with outliers, level shifts, or both: fifteen of each kind; other noise for each base."""
    for kind in ("flat", "trend", "weekly", "month end", "hourly", "share"):
        for seed in range(15):
            yield _series(kind, np.random.default_rng([base + seed, len(kind), ord(kind[0])]), seed)


def _series(kind: str, random: np.random.Generator, seed: int) -> Series:
    step = timedelta(hours=6) if kind == "hourly" else timedelta(days=1)
    times = [BEGIN + position * step for position in range(DAYS)]
    level, noise = 1000.0 * (1 + seed % 4), 10.0 + 5 * (seed % 3)
    values = level + noise * random.standard_normal(DAYS)
    if kind == "trend":
        values += np.arange(DAYS) * noise * 0.3
    if kind == "weekly":
        values *= np.array([0.5 if at.weekday() >= 5 else 1.0 for at in times])
    if kind == "month end":
        values += np.array([20 * noise if (at + timedelta(days=1)).day == 1 else 0.0 for at in times])
    if kind == "hourly":
        values += np.array([noise * 12 * np.sin(at.hour / 24 * 2 * np.pi) for at in times])
    if kind == "share":
        values, noise = 0.05 + 0.004 * random.standard_normal(DAYS), 0.004
    marks = []
    if seed % 3 != 1:  # outliers, up and down
        for place in (40 + seed, 75 + seed % 7):
            values[place] += noise * 9 * (1 if seed % 2 else -1)
            marks.append(place)
    if seed % 3 != 0:  # the level moves for good
        place = 95 + seed % 5
        values[place:] += noise * 10
        marks.append(place)
    points = [Measured(at, float(value)) for at, value in zip(times, values, strict=True)]
    return Series(kind, points, marks, tolerance=2)
