"""How connections are: the state of each, and the history of checks it was judged by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, delete, func, select, text
from sqlalchemy.dialects.postgresql import insert

from data_workbench.metastore import alerts
from data_workbench.metastore.alerts import Alert
from data_workbench.metastore.database import Metastore
from data_workbench.metastore.tables.stores import connection_checks, connection_states

State = Literal["healthy", "degraded", "broken"]
Decide = Callable[["ConnectionState | None"], Alert | None]
"""What to tell, given the state before; None tells nothing."""


@dataclass(frozen=True)
class CheckResult:
    """One check of one connection; latencies in seconds, `vitals` JSON."""

    connection: str
    state: State
    cause: str
    latencies: Sequence[float]
    version: str | None = None
    vitals: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class ConnectionState:
    """A connection as it stands; `since` is when it came into this state."""

    connection: str
    state: State
    cause: str
    since: datetime
    checked: datetime
    last_success: datetime | None
    version: str | None
    vitals: list[dict[str, Any]]


@dataclass(frozen=True)
class Latency:
    """Median and 95th percentile of the answers' times in a window, in seconds."""

    p50: float
    p95: float


@dataclass(frozen=True)
class PastCheck:
    """One point of a connection's history."""

    checked: datetime
    state: State
    cause: str
    latencies: list[float] = field(default_factory=list)


def record(store: Metastore, result: CheckResult, *, decide: Decide, routes: Sequence[str] = ()) -> ConnectionState:
    """Keep a check; a change of state and the alert that tells it are one transaction.

    Two processes that check the same connection at once take turns, so one change makes one alert.
    """
    with store.transaction() as connection:
        connection.execute(
            text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 20))"), {"name": result.connection}
        )
        moment: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
        before = _state(connection, result.connection)
        connection.execute(
            insert(connection_checks).values(
                connection=result.connection,
                state=result.state,
                cause=result.cause,
                latencies=list(result.latencies),
                checked=moment,
            )
        )
        _move(connection, result, before, moment)
        alert = decide(before)
        if alert is not None:
            alerts.add(connection, alert, routes)
        after = _state(connection, result.connection)
    assert after is not None
    return after


def _move(connection: Connection, result: CheckResult, before: ConnectionState | None, now: datetime) -> None:
    stays = before is not None and before.state == result.state
    values = {
        "state": result.state,
        "cause": result.cause,
        "since": before.since if stays and before else now,
        "checked": now,
        "last_success": (before.last_success if before else None) if result.state == "broken" else now,
        "version": result.version or (before.version if before else None),
        "vitals": [dict(one) for one in result.vitals],
    }
    statement = insert(connection_states).values(connection=result.connection, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=["connection"], set_=values))


def states(store: Metastore, names: Sequence[str] | None = None) -> dict[str, ConnectionState]:
    """The connections that were ever checked, by name."""
    statement = select(*connection_states.c).order_by(connection_states.c.connection)
    if names is not None:
        statement = statement.where(connection_states.c.connection.in_(names))
    with store.transaction() as connection:
        return {row.connection: ConnectionState(**row._mapping) for row in connection.execute(statement)}


def latencies(store: Metastore, window: timedelta = timedelta(days=1)) -> dict[str, Latency]:
    """Percentiles by connection over the checks of a window."""
    statement = text(
        "SELECT connection, percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS p50,"
        " percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds) AS p95"
        " FROM connection_checks, unnest(latencies) AS seconds WHERE checked > now() - :window GROUP BY connection"
    )
    with store.transaction() as connection:
        rows = connection.execute(statement, {"window": window})
        return {row.connection: Latency(row.p50, row.p95) for row in rows}


def history(store: Metastore, name: str, *, limit: int = 288) -> list[PastCheck]:
    """The latest checks of a connection, oldest of them first."""
    columns = connection_checks.c
    statement = (
        select(columns.checked, columns.state, columns.cause, columns.latencies)
        .where(columns.connection == name)
        .order_by(columns.checked.desc())
        .limit(limit)
    )
    with store.transaction() as connection:
        found = [PastCheck(**row._mapping) for row in connection.execute(statement)]
    return found[::-1]


def expire(store: Metastore, moment: datetime) -> int:
    """Remove checks before `moment`; the number removed."""
    with store.transaction() as connection:
        return connection.execute(delete(connection_checks).where(connection_checks.c.checked < moment)).rowcount


def _state(connection: Connection, name: str) -> ConnectionState | None:
    row = connection.execute(select(*connection_states.c).where(connection_states.c.connection == name)).one_or_none()
    return None if row is None else ConnectionState(**row._mapping)
