"""Examining a connection and keeping what was found: state, history, and the alert of a change, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from data_workbench.health.examining import Examination
from data_workbench.health.judge import news
from data_workbench.metastore import connection_checks
from data_workbench.metastore.connection_checks import CheckResult, ConnectionState

if TYPE_CHECKING:
    from data_workbench.metastore import Metastore


def watch(store: Metastore, found: Examination, *, routes: Sequence[str] = ()) -> ConnectionState:
    """Keep an examination; the state of the connection after it.

    Args:
        routes: who is told of a change (`notifications`); the alert is stored here and handed out by `deliver`.
    """
    result = CheckResult(
        connection=found.connection,
        state=found.verdict.state,
        cause=found.verdict.cause,
        latencies=found.latencies,
        version=found.version,
        vitals=found.vitals_as_json(),
    )
    return connection_checks.record(
        store, result, decide=lambda before: news(before, found.connection, found.verdict), routes=routes
    )
