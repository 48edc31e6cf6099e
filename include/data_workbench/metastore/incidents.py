"""Incidents, one open for each contract that does not hold, and the alerts that tell them, in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, func, insert, select, text, update

from data_workbench.metastore import alerts, audit
from data_workbench.metastore.alerts import Alert, Severity
from data_workbench.metastore.database import Metastore
from data_workbench.metastore.tables.telling import incidents


@dataclass(frozen=True)
class Incident:
    """A contract that does not hold, or did not.

    Args:
        checks: names of those that are broken, or last were.
        told: when somebody was told; not while it is snoozed.
        escalated: when it was told again, since nobody had acknowledged it.
    """

    id: int
    contract: str
    dataset: str
    owner: str | None
    severity: Severity
    checks: list[str]
    opened: datetime
    recovered: datetime | None = None
    acknowledged_by: str | None = None
    snoozed_until: datetime | None = None
    told: datetime | None = None
    escalated: datetime | None = None


@dataclass(frozen=True)
class Trouble:
    """What is broken of a contract now."""

    contract: str
    dataset: str
    owner: str | None
    severity: Severity
    checks: list[str]


@dataclass(frozen=True)
class Step:
    """What happens to an incident: changed values, and the alert that tells it."""

    values: dict[str, Any]
    alert: Alert | None = None


_SKEW = timedelta(minutes=1)
"""By how much the clocks of the metastore and of who told may differ."""
Decide = Callable[[Incident | None, datetime], Step | None]


def move(store: Metastore, contract: str, decide: Decide, routes: Callable[[Alert], Sequence[str]]) -> Alert | None:
    """Let a decision open, change or close the incident of a contract; the alert that was stored, if any.

    Two processes that hold the same contract at once take turns, so one change makes one alert.
    """
    with store.transaction() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 22))"), {"name": contract})
        now: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
        before = _open(connection, contract)
        step = decide(before, now)
        if step is None:
            return None
        if before is None:
            connection.execute(insert(incidents).values(contract=contract, opened=now, **step.values))
        elif step.values:
            connection.execute(update(incidents).where(incidents.c.id == before.id).values(**step.values))
        if step.alert is not None:
            is_over = before is not None and "recovered" in step.values
            # That it is over is said to those who were told that it began, whatever the rules say of good news.
            told = alerts.told(connection, step.alert.subject, before.opened - _SKEW) if is_over and before else None
            alerts.add(connection, step.alert, routes(step.alert) if told is None else told)
        return step.alert


def latest(store: Metastore, *, is_open: bool = True, limit: int = 100) -> list[Incident]:
    """Incidents, newest first."""
    statement = select(incidents).order_by(incidents.c.opened.desc()).limit(limit)
    if is_open:
        statement = statement.where(incidents.c.recovered.is_(None))
    with store.transaction() as connection:
        return [Incident(**row._mapping) for row in connection.execute(statement)]


def is_open(store: Metastore, contract: str) -> bool:
    """Whether a contract, or another subject, has an open incident."""
    with store.transaction() as connection:
        return _open(connection, contract) is not None


def acknowledge(store: Metastore, number: int, author: audit.Author) -> Incident | None:
    """Note who is at an open incident; None if there is none with this number."""
    return _change(store, number, author, "incident.acknowledged", {"acknowledged_by": author.actor})


def snooze(store: Metastore, number: int, author: audit.Author, *, until: datetime | None) -> Incident | None:
    """Hear nothing of an open incident until then; None wakes it. None if there is none with this number."""
    return _change(store, number, author, "incident.snoozed", {"snoozed_until": until})


def _change(
    store: Metastore, number: int, author: audit.Author, action: str, values: dict[str, Any]
) -> Incident | None:
    which = (incidents.c.id == number, incidents.c.recovered.is_(None))
    with store.transaction() as connection:
        statement = update(incidents).where(*which).values(**values).returning(incidents)
        row = connection.execute(statement).one_or_none()
        if row is None:
            return None
        found = Incident(**row._mapping)
        details = {"contract": found.contract, "dataset": found.dataset}
        if found.snoozed_until is not None:
            details["until"] = found.snoozed_until.isoformat()
        audit.append(connection, author, audit.Act(action, f"incident:{number}", details))
        return found


def _open(connection: Connection, contract: str) -> Incident | None:
    statement = select(incidents).where(incidents.c.contract == contract, incidents.c.recovered.is_(None))
    row = connection.execute(statement).one_or_none()
    return None if row is None else Incident(**row._mapping)
