"""What answers mean, and which change is news."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from data_workbench.connectors.base import Health, Vital
from data_workbench.health.judge import Verdict, judge, news
from data_workbench.metastore.connection_checks import ConnectionState, State

UP, DOWN = Health(ok=True, detail="Store 5 as me"), Health(ok=False, detail="connection refused")


def test_a_store_that_answers_each_time_is_healthy() -> None:
    assert judge([UP, UP, UP], [0.01, 0.02], [Vital("can write", True)], 2.0) == Verdict("healthy", "Store 5 as me")


def test_a_store_that_never_answers_is_broken_for_its_last_reason() -> None:
    assert judge([DOWN, DOWN, DOWN], [], [], 2.0) == Verdict("broken", "connection refused")


@pytest.mark.parametrize(
    ("answers", "latencies", "vitals", "cause"),
    [
        ([DOWN, UP, UP], [0.1, 0.1], [], "1 of 3 probes failed: connection refused"),
        ([UP, UP, UP], [2.5, 3.0], [], "answers in 2.8 s, wanted 2 s at most"),
        ([UP, UP, UP], [0.1, 0.1], [Vital("disk", 1.0, "bytes", "1 GB left")], "1 GB left"),
    ],
)
def test_what_is_wrong_with_a_store_that_answers_is_told(
    answers: list[Health], latencies: list[float], vitals: list[Vital], cause: str
) -> None:
    assert judge(answers, latencies, vitals, 2.0) == Verdict("degraded", cause)


def state(name: State) -> ConnectionState:
    moment = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)
    return ConnectionState("graph", name, "as before", moment, moment, None, None, [])


@pytest.mark.parametrize(
    ("before", "now", "topic", "severity"),
    [
        (None, "healthy", None, None),
        (None, "broken", "connection.broken", "critical"),
        ("healthy", "healthy", None, None),
        ("healthy", "degraded", "connection.degraded", "warning"),
        ("degraded", "broken", "connection.broken", "critical"),
        ("broken", "broken", None, None),
        ("broken", "degraded", "connection.degraded", "warning"),
        ("broken", "healthy", "connection.recovered", "info"),
    ],
)
def test_a_change_is_told_once_and_a_recovery_too(
    before: State | None, now: State, topic: str | None, severity: str | None
) -> None:
    told = news(state(before) if before else None, "graph", Verdict(now, "the cause"))
    assert (told.topic if told else None, told.severity if told else None) == (topic, severity)
    if told is not None:
        assert told.subject == "connection:graph"
        assert told.detail["previous_state"] == (before or "healthy")
        assert now == "healthy" or "the cause" in told.title


def test_a_partial_recovery_does_not_read_like_bad_news() -> None:
    told = news(state("broken"), "graph", Verdict("degraded", "slow"))
    assert told is not None
    assert told.title == "connection graph answers again, but is degraded: slow"
