"""What the triggerer runs while tasks wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connection

_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 60.0


class StoresBackTrigger(BaseTrigger):
    """Fires when none of these connections is broken any more, or when the time is up.

    Each look is kept like one of `check_connections`, so recovery is told even while that DAG is paused.
    """

    def __init__(self, *, connection_ids: list[str], until: str) -> None:
        super().__init__()
        self.connection_ids = connection_ids
        self.until = until

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """As Airflow keeps it."""
        path = f"{type(self).__module__}.{type(self).__qualname__}"
        return path, {"connection_ids": self.connection_ids, "until": self.until}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look, wait, look again; the stores are asked in a thread."""
        until, pause = datetime.fromisoformat(self.until), _FIRST_PAUSE
        found = {name: await _find(name) for name in [*self.connection_ids, _metastore_id()]}
        while True:
            away = await asyncio.to_thread(_broken, self.connection_ids, found)
            if not away or datetime.now(UTC) >= until:
                yield TriggerEvent({"until": self.until, "away": away})
                return
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)


def _metastore_id() -> str:
    from data_workbench import settings as settings_module

    return settings_module.load().metastore


async def _find(connection_id: str) -> Connection | None:
    """The environment first, as everywhere; Airflow's own lookup would block the triggerer if it were not awaited."""
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    from data_workbench.connectors.connections import from_environment
    from data_workbench.provider.connections import from_airflow_connection, masked

    known = from_environment(connection_id)
    if known is None:
        try:
            known = from_airflow_connection(await BaseHook.aget_connection(connection_id))
        except AirflowNotFoundException:
            return None
    return masked(known)


def _broken(connection_ids: list[str], found: dict[str, Connection | None]) -> dict[str, str]:
    """Those still away; a metastore that is away, too, leaves the question open."""
    from data_workbench import settings as settings_module
    from data_workbench.connectors.connections import Connections
    from data_workbench.connectors.metastore import open_metastore
    from data_workbench.errors import RetriableError
    from data_workbench.provider.watching import broken_ones

    settings = settings_module.load()
    connections = Connections(found.get)
    try:
        with open_metastore(connections.get(settings.metastore)) as metastore:
            return broken_ones(connection_ids, find=connections.get, metastore=metastore, settings=settings)
    except RetriableError as error:
        return {settings.metastore: error.message}
