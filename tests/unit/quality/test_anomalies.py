"""Unusual values in histories: found among seasons and trends, and seldom where there is none."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from data_workbench.metastore.quality_metrics import Measured
from data_workbench.quality.anomalies import LEAST, anomalies

sys.path.insert(0, str(Path(__file__).parent))
from synthetic_series import BEGIN, Series, make


def daily(values: list[float]) -> list[Measured]:
    return [Measured(BEGIN + timedelta(days=day), value) for day, value in enumerate(values)]


def steady(count: int, seed: int = 1) -> list[float]:
    return [float(value) for value in 1000 + 10 * np.random.default_rng(seed).standard_normal(count)]


def judged(one: Series) -> tuple[int, int]:
    """How many of its faults are found, and how many alarms are false."""
    found = anomalies(one.points)
    places = [one.index[alarm.measured] for alarm in found]
    hits = sum(any(mark <= place <= mark + one.tolerance for place in places) for mark in one.marks)
    new = [one.index[alarm.measured] for alarm in found if alarm.is_new]
    false = sum(not any(mark <= place <= mark + one.tolerance for mark in one.marks) for place in new)
    return hits, false


@pytest.mark.slow
@pytest.mark.parametrize("base", [0, 5000])
def test_of_ninety_histories_the_faults_are_found_with_few_false_alarms(base: int) -> None:
    series = list(make(base))
    results = [judged(one) for one in series]
    assert len(series) == 90
    recall = sum(hits for hits, _ in results) / sum(len(one.marks) for one in series)
    assert recall >= 0.9
    rates = [false / one.months for one, (_, false) in zip(series, results, strict=True)]
    assert np.mean(rates) <= 0.2, "a metric and month"
    assert max(rates) <= 1.01, "of each of them"


def test_nothing_is_said_of_a_short_history() -> None:
    assert anomalies(daily([*steady(LEAST - 1), 9_999.0])) == []
    [found] = anomalies(daily([*steady(LEAST), 9_999.0]))
    assert (found.value, found.is_new) == (9_999.0, True)
    assert found.low < 1000 < found.high


def test_a_metric_that_never_changes_may_change_by_a_little() -> None:
    assert anomalies(daily([500.0] * 30 + [501.0])) == []
    assert len(anomalies(daily([500.0] * 30 + [0.0]))) == 1
    assert len(anomalies(daily([0.0] * 30 + [0.2]))) == 1
    assert anomalies(daily([float("nan")] * 40)) == []


def test_a_new_level_is_one_cause_and_then_the_usual() -> None:
    points = daily([*steady(40), *[value + 500 for value in steady(40, seed=2)]])
    found = [one.is_new for one in anomalies(points) if one.measured >= points[40].measured]
    assert found == [True, False, False, False, False]


def test_what_was_called_expected_teaches() -> None:
    values = steady(90)
    sundays = (34, 55, 76)  # every third, too seldom for a season
    for sunday in sundays:
        values[sunday] += 400
    points = daily(values)
    times = [points[sunday].measured for sunday in sundays]
    assert set(times) <= {one.measured for one in anomalies(points)}
    assert not set(times) & {one.measured for one in anomalies(points, expected={times[0]})}
    points[76] = Measured(times[2], values[76] + 400)
    found = {one.measured for one in anomalies(points, expected={times[0]})}
    assert found & set(times) == {times[2]}, "twice as far is another thing"
