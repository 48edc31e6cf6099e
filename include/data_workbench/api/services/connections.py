"""How connections are, put together from what checks left in the metastore."""

from __future__ import annotations

from data_workbench.api.datamodels.connections import CheckOut, ConnectionOut, HistoryOut
from data_workbench.api.services.metastore import metastore
from data_workbench.errors import ConnectionUnknown
from data_workbench.metastore import connection_checks
from data_workbench.metastore.connection_checks import ConnectionState, Latency


def overview() -> list[ConnectionOut]:
    """Every connection that was ever checked, those in trouble first."""
    with metastore() as store:
        states, latencies = connection_checks.states(store), connection_checks.latencies(store)
    rank = {"broken": 0, "degraded": 1, "healthy": 2}
    ordered = sorted(states.values(), key=lambda one: (rank[one.state], one.connection))
    return [_told(one, latencies.get(one.connection)) for one in ordered]


def history(name: str, limit: int) -> HistoryOut:
    """The latest checks of one connection, oldest of them first. Raises ConnectionUnknown if it never was checked."""
    with metastore() as store:
        if name not in connection_checks.states(store, [name]):
            raise ConnectionUnknown(
                f"connection {name!r} was never checked", hint="`workbench connections check`, or check_connections"
            )
        past = connection_checks.history(store, name, limit=limit)
    checks = [CheckOut(checked=one.checked, state=one.state, cause=one.cause, latencies=one.latencies) for one in past]
    return HistoryOut(connection=name, checks=checks, total_entries=len(checks))


def _told(one: ConnectionState, latency: Latency | None) -> ConnectionOut:
    return ConnectionOut(
        name=one.connection,
        state=one.state,
        cause=one.cause,
        since=one.since,
        checked=one.checked,
        last_success=one.last_success,
        version=one.version,
        latency_p50=latency.p50 if latency else None,
        latency_p95=latency.p95 if latency else None,
        vitals=one.vitals,
    )
