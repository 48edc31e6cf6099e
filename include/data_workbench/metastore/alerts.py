"""Alerts and their deliveries: stored with the fact they tell, handed out afterwards, one row per route."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, insert, select, update

from data_workbench.metastore.database import Metastore
from data_workbench.metastore.tables.telling import alert_deliveries, alerts

Severity = Literal["info", "warning", "critical"]
_FIRST_WAIT, _LONGEST_WAIT = timedelta(seconds=30), timedelta(hours=1)
_GIVEN_UP_AFTER = timedelta(days=3)
_CLAIMED = timedelta(minutes=5)
"""Longer than any receiver is waited for."""


@dataclass(frozen=True)
class Alert:
    """One thing somebody should know.

    Args:
        topic: what kind of news, dotted: `connection.broken`, `connection.recovered`.
        subject: whom it is about: `connection:odras_neo4j`.
        title: one sentence.
        detail: JSON values that go with it.
    """

    topic: str
    subject: str
    severity: Severity
    title: str
    detail: Mapping[str, Any] = field(default_factory=dict)
    id: str = field(default_factory=lambda: f"alert_{uuid.uuid4().hex}")
    created: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True)
class Due:
    """A delivery whose time has come.

    Args:
        left: the receivers that have not taken it yet, by their keys; None if it is all of them.
    """

    alert: Alert
    route: str
    attempts: int
    left: list[str] | None = None


def add(connection: Connection, alert: Alert, routes: Sequence[str]) -> None:
    """Store an alert in the caller's transaction, with a delivery for each route."""
    values = {name: getattr(alert, name) for name in ("id", "topic", "subject", "severity", "title", "created")}
    connection.execute(insert(alerts).values(**values, detail=dict(alert.detail)))
    for route in routes:
        row = {"alert_id": alert.id, "route": route, "state": "pending", "attempts": 0, "next_try": alert.created}
        connection.execute(insert(alert_deliveries).values(**row))


def told(connection: Connection, subject: str, since: datetime) -> list[str]:
    """The routes that alerts of a subject went to."""
    statement = (
        select(alert_deliveries.c.route)
        .join(alerts, alert_deliveries.c.alert_id == alerts.c.id)
        .where(alerts.c.subject == subject, alerts.c.created >= since)
        .distinct()
        .order_by(alert_deliveries.c.route)
    )
    return list(connection.scalars(statement))


def id_of(*words: str) -> str:
    """The id of the one alert of a cause, so that it is told once."""
    return f"alert_{hashlib.sha256(json.dumps(words).encode()).hexdigest()[:32]}"


def add_once(connection: Connection, alert: Alert, routes: Sequence[str]) -> bool:
    """Store an alert whose id comes from its cause, unless it is there; whether it is new."""
    if connection.scalar(select(alerts.c.id).where(alerts.c.id == alert.id)) is not None:
        return False
    add(connection, alert, routes)
    return True


def due(store: Metastore, routes: Sequence[str], *, limit: int = 1000) -> list[Due]:
    """Deliveries that can be tried now, oldest alert first."""
    d = alert_deliveries.c
    now = datetime.now(UTC)
    statement = (
        select(*alerts.c, d.route, d.attempts, d.left)
        .join(alert_deliveries, d.alert_id == alerts.c.id)
        .where(d.state == "pending", d.next_try <= now, d.route.in_(routes))
        .order_by(alerts.c.created, alerts.c.id)
        .limit(limit)
    )
    with store.transaction() as connection:
        found = [dict(row._mapping) for row in connection.execute(statement)]
    own = ("route", "attempts", "left")
    return [Due(**{name: row.pop(name) for name in own}, alert=Alert(**row)) for row in found]


def claim(store: Metastore, one: Due) -> bool:
    """Take a delivery that is due for oneself; False if another process has it, has tried it since, or has done it.

    Whoever dies with it lets it be due again after a while.
    """
    d = alert_deliveries.c
    now = datetime.now(UTC)
    statement = (
        update(alert_deliveries)
        .where(d.alert_id == one.alert.id, d.route == one.route, d.state == "pending", d.next_try <= now)
        .where(d.attempts == one.attempts)  # else another has tried since, and knows better who is left
        .values(next_try=now + _CLAIMED)
    )
    with store.transaction() as connection:
        return connection.execute(statement).rowcount == 1


def note_delivery(store: Metastore, done: Due) -> None:
    """The receiver has it."""
    _note(store, done, state="delivered", error=None, delivered=datetime.now(UTC))


def note_failure(store: Metastore, tried: Due, reason: str, *, left: list[str] | None = None) -> None:
    """It was not taken, or not by those that are left: tried again after twice the time, given up after three days."""
    now = datetime.now(UTC)
    wait = min(_FIRST_WAIT * 2 ** min(tried.attempts, 12), _LONGEST_WAIT)
    state = "failed" if now - tried.alert.created > _GIVEN_UP_AFTER else "pending"
    _note(store, tried, state=state, error=reason, next_try=now + wait, left=left)


def recent(store: Metastore, *, subject: str | None = None, limit: int = 100) -> list[Alert]:
    """The latest alerts, latest first."""
    statement = select(*alerts.c).order_by(alerts.c.created.desc(), alerts.c.id).limit(limit)
    if subject is not None:
        statement = statement.where(alerts.c.subject == subject)
    with store.transaction() as connection:
        return [Alert(**row._mapping) for row in connection.execute(statement)]


def _note(store: Metastore, one: Due, **values: Any) -> None:
    d = alert_deliveries.c
    statement = update(alert_deliveries).where(d.alert_id == one.alert.id, d.route == one.route)
    with store.transaction() as connection:
        connection.execute(statement.values(attempts=one.attempts + 1, **values))
