"""Asking a store: a few probes with their times, and what it says of itself."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from data_workbench.connectors.base import Health, Vital
from data_workbench.connectors.powers import CanTellVitals
from data_workbench.connectors.registry import connector_of, open_destination, open_source
from data_workbench.errors import WorkbenchError
from data_workbench.health.judge import Verdict, judge

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connection
    from data_workbench.settings import Settings

PROBES = 3
_PAUSE = 0.5
"""Seconds before a probe that follows a failed one: a server that drops one connection is not down."""


@dataclass(frozen=True)
class Examination:
    """What one look at a connection found; latencies in seconds, of the probes that were answered."""

    connection: str
    verdict: Verdict
    latencies: tuple[float, ...] = ()
    version: str | None = None
    vitals: tuple[Vital, ...] = ()

    def vitals_as_json(self) -> list[dict[str, Any]]:
        """For the metastore, the API and `--json`."""
        return [vars(one) for one in self.vitals]


def examine(connection: Connection, settings: Settings, *, probes: int = PROBES) -> Examination:
    """Ask a connection's store; never raises for a store that is away or a connection that cannot be used."""
    try:
        store = _opened(connection, settings)
    except WorkbenchError as error:
        return _unusable(connection.id, error)
    with store:
        try:
            answers = _probe(store, probes)
            vitals = _vitals(store) if any(health.ok for health, _ in answers) else []
        except WorkbenchError as error:
            return _unusable(connection.id, error)
    good = [(health, seconds) for health, seconds in answers if health.ok]
    # The first answer pays for the driver's import and the first connection: it is timed only if there is no other.
    latencies = tuple(seconds for _, seconds in good[1:] or good)
    return Examination(
        connection.id,
        judge([health for health, _ in answers], latencies, vitals, settings.slow_connection_seconds),
        latencies,
        next((health.version for health, _ in good), None),
        tuple(vitals),
    )


def unreadable(connection_id: str, error: WorkbenchError) -> Examination:
    """The examination of a connection that is not known, or cannot be read."""
    return _unusable(connection_id, error)


def _opened(connection: Connection, settings: Settings) -> Any:
    reads = connector_of(connection).source is not None
    return open_source(connection, settings) if reads else open_destination(connection, settings)


def _probe(store: Any, probes: int) -> Sequence[tuple[Health, float]]:
    """Ask several times, and time each answer."""
    answers = []
    for number in range(probes):
        began = time.monotonic()
        health: Health = store.check()
        answers.append((health, time.monotonic() - began))
        if not health.ok and number < probes - 1:
            time.sleep(_PAUSE)
    return answers


def _vitals(store: Any) -> list[Vital]:
    if not isinstance(store, CanTellVitals):
        return []
    try:
        return store.vitals()
    except WorkbenchError as error:
        return [Vital("vitals", None, "", f"could not be asked: {error.message}")]


def _unusable(connection_id: str, error: WorkbenchError) -> Examination:
    hint = f" ({error.hint})" if error.hint else ""
    return Examination(connection_id, Verdict("broken", f"{error.message}{hint}"))
