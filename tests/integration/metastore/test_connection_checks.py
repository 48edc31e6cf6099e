"""Checks, states, and one alert for one change, whoever looks at the same time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from data_workbench.errors import AccessDenied, StoreUnavailable
from data_workbench.health.judge import Verdict, news
from data_workbench.metastore import Metastore, alerts, connection_checks
from data_workbench.metastore.alerts import Alert
from data_workbench.metastore.connection_checks import CheckResult, ConnectionState, State
from data_workbench.notifications import deliver

ROUTES = ["ops", "chat"]


def keep(store: Metastore, state: State, cause: str = "the cause", *latencies: float) -> ConnectionState:
    result = CheckResult("graph", state, cause, latencies, "5.26", [{"name": "can write", "value": True}])
    verdict = Verdict(state, cause)
    return connection_checks.record(store, result, decide=lambda before: news(before, "graph", verdict), routes=ROUTES)


def topics(store: Metastore) -> list[str]:
    return [one.topic for one in alerts.recent(store, subject="connection:graph")][::-1]


def test_a_state_keeps_since_when_and_the_last_success(store: Metastore) -> None:
    first = keep(store, "healthy", "fine", 0.1)
    assert first.last_success == first.since == first.checked
    second = keep(store, "healthy", "fine", 0.2)
    assert second.since == first.since
    assert second.checked > first.checked
    broken = keep(store, "broken", "gone")
    assert broken.last_success == second.last_success
    assert broken.since > second.since
    assert broken.version == "5.26"
    assert connection_checks.states(store, ["graph"]) == {"graph": broken}
    assert connection_checks.states(store, ["other"]) == {}


def test_one_alert_for_a_change_and_one_for_the_recovery(store: Metastore) -> None:
    for state in ("healthy", "broken", "broken", "broken", "healthy", "healthy"):
        keep(store, state)
    assert topics(store) == ["connection.broken", "connection.recovered"]


def test_ten_who_look_at_once_make_one_alert(store: Metastore) -> None:
    keep(store, "healthy")
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(lambda _: keep(store, "broken"), range(10)))
    assert topics(store) == ["connection.broken"]
    assert len(connection_checks.history(store, "graph")) == 11


def test_percentiles_are_of_all_answers_in_the_window(store: Metastore) -> None:
    for number in range(1, 11):
        keep(store, "healthy", "fine", number / 10, number / 10)
    found = connection_checks.latencies(store)["graph"]
    assert found.p50 == pytest.approx(0.55)
    assert 0.95 <= found.p95 <= 1.0
    assert connection_checks.latencies(store, timedelta(0)) == {}


def test_old_checks_are_forgotten_states_are_not(store: Metastore) -> None:
    keep(store, "healthy")
    assert connection_checks.expire(store, datetime.now(UTC) - timedelta(days=1)) == 0
    assert connection_checks.expire(store, datetime.now(UTC) + timedelta(days=1)) == 1
    assert set(connection_checks.states(store)) == {"graph"}


class Recorder:
    """A route that takes alerts, or fails as told."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.error: Exception | None = None

    def send(self, alert: Alert) -> None:
        if self.error is not None:
            raise self.error
        self.taken.append(alert.topic)


def test_each_route_gets_each_alert_once(store: Metastore) -> None:
    keep(store, "broken")
    ops, chat = Recorder(), Recorder()
    chat.error = StoreUnavailable("away")
    told = deliver(store, {"ops": ops, "chat": chat})
    assert (ops.taken, len(told.sent), len(told.failed)) == (["connection.broken"], 1, 1)
    assert deliver(store, {"ops": ops, "chat": chat}).sent == []
    chat.error = None
    _let_time_pass(store, minutes=5)
    assert deliver(store, {"ops": ops, "chat": chat}).failed == {}
    assert (ops.taken, chat.taken) == (["connection.broken"], ["connection.broken"])


def test_a_receiver_that_never_takes_it_is_given_up_after_days(store: Metastore) -> None:
    keep(store, "broken")
    ops = Recorder()
    ops.error = AccessDenied("no")
    deliver(store, {"ops": ops})
    with store.transaction() as connection:
        connection.execute(text("UPDATE alerts SET created = now() - interval '4 days'"))
    _let_time_pass(store, minutes=60)
    deliver(store, {"ops": ops})
    with store.transaction() as connection:
        rows = connection.execute(text("SELECT state, attempts, error FROM alert_deliveries WHERE route = 'ops'")).all()
    assert [tuple(row) for row in rows] == [("failed", 2, "no")]


def _let_time_pass(store: Metastore, *, minutes: int) -> None:
    with store.transaction() as connection:
        connection.execute(
            text("UPDATE alert_deliveries SET next_try = next_try - :span"), {"span": timedelta(minutes=minutes)}
        )
