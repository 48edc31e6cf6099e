"""What the triggerer runs: waiting for stores and for other runs while tasks are deferred, watching for files."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseEventTrigger, BaseTrigger, TriggerEvent

from data_workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connection, Connections
    from data_workbench.connectors.files.arrivals import Arrivals

log = logging.getLogger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 60.0
_HANDED_OVER = 5.0
"""Seconds after which an event is in Airflow's database: the triggerer hands events over about once a second."""
_MOST_NAMED = 100
_STATE = "files"


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
        found = {name: await find_connection(name) for name in [*self.connection_ids, _metastore_id()]}
        while True:
            away = await asyncio.to_thread(_broken, self.connection_ids, found)
            if not away or datetime.now(UTC) >= until:
                yield TriggerEvent({"until": self.until, "away": away})
                return
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)


class FileArrivalTrigger(BaseEventTrigger):
    """Fires when files that match a pattern are new or have changed, once for all that one look finds.

    What was told is kept with the asset, in Airflow's own store, so a triggerer that starts again goes on where the
    last one ended; it is kept after the event is, so one that is killed in between tells the files again rather than
    never. An unreachable store is logged and looked at again: a watcher that fails is not started again by Airflow.

    Args:
        pipeline: whose schedule this is; two pipelines never share a trigger, and so never each other's state.
        connection_id: an id, or a URL of files.
        pattern: as in `schedule: {file: …}`.
        every: seconds between looks.
    """

    def __init__(self, *, pipeline: str, connection_id: str, pattern: str, every: float) -> None:
        super().__init__()
        self.pipeline, self.connection_id, self.pattern, self.every = pipeline, connection_id, pattern, every

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """As Airflow keeps it."""
        names = ("pipeline", "connection_id", "pattern", "every")
        return f"{type(self).__module__}.{type(self).__qualname__}", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look, tell, wait, for ever."""
        from data_workbench.connectors.files.arrivals import Arrivals

        assert self.asset_state_store is not None, "Airflow gives a watcher the store of its asset"
        kept: Any = await self.asset_state_store.aget(_STATE)
        arrivals, trouble = Arrivals(self.pattern, kept), ""
        while True:
            found, trouble = await self._look(arrivals, trouble)
            if found:
                log.info("pipeline %s: %s files arrived: %s", self.pipeline, len(found), ", ".join(found[:10]))
                payload = {"connection": self.connection_id, "files": found[:_MOST_NAMED], "count": len(found)}
                yield TriggerEvent(payload)
                await asyncio.sleep(min(_HANDED_OVER, self.every))
            position: Any = arrivals.position()
            if position is not None and position != kept:
                await self.asset_state_store.aset(_STATE, position)
                kept = position
            await asyncio.sleep(self.every)

    async def _look(self, arrivals: Arrivals, trouble: str) -> tuple[list[str], str]:
        """What has arrived, and what is wrong, told once for as long as it stays the same."""
        try:
            found = (
                {} if "://" in self.connection_id else {self.connection_id: await find_connection(self.connection_id)}
            )
            return await asyncio.to_thread(_arrived, arrivals, self.connection_id, found), ""
        except WorkbenchError as error:
            said = f"{error.message}; {error.hint}" if error.hint else error.message
        except Exception as error:  # a watcher that ends is never started again: whatever it was, look again
            said = f"{type(error).__name__}: {error}"
        if said != trouble:
            log.warning("pipeline %s cannot look for %s: %s", self.pipeline, self.pattern, said)
        return [], said


def _arrived(arrivals: Arrivals, connection_id: str, found: dict[str, Connection | None]) -> list[str]:
    from data_workbench import settings as settings_module

    return arrivals.look(connections_of(found).get(connection_id), settings_module.load())


def connections_of(found: dict[str, Connection | None]) -> Connections:
    """What was found, with the project file's defaults."""
    from data_workbench import settings as settings_module
    from data_workbench.connectors.connections import Connections
    from data_workbench.language.project import load_project

    return Connections(found.get, complete=load_project(settings_module.load()).complete)


class PipelineFreeTrigger(BaseTrigger):
    """Fires when no process works at a run or backfill of a pipeline, or when the time is up."""

    def __init__(self, *, pipeline: str, until: str) -> None:
        super().__init__()
        self.pipeline, self.until = pipeline, until

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """As Airflow keeps it."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {"pipeline": self.pipeline, "until": self.until}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look, wait, look again; a metastore that is away leaves the question open."""
        until, pause = datetime.fromisoformat(self.until), _FIRST_PAUSE
        found = {name: await find_connection(name) for name in [_metastore_id()]}
        while await asyncio.to_thread(_is_busy, self.pipeline, found) and datetime.now(UTC) < until:
            await asyncio.sleep(pause)
            pause = min(pause * 1.2, _LONGEST_PAUSE / 2)
        yield TriggerEvent({"until": self.until, "away": {}})


class SlotsFreeTrigger(BaseTrigger):
    """Fires when each of these connections has a slot, or when the time is up; whoever is first takes it."""

    def __init__(self, *, limits: dict[str, int], until: str) -> None:
        super().__init__()
        self.limits, self.until = limits, until

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """As Airflow keeps it."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {"limits": self.limits, "until": self.until}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look, wait, look again."""
        until = datetime.fromisoformat(self.until)
        found = {name: await find_connection(name) for name in [_metastore_id()]}
        while not await asyncio.to_thread(_has_slots, self.limits, found) and datetime.now(UTC) < until:
            await asyncio.sleep(_FIRST_PAUSE)
        yield TriggerEvent({"until": self.until, "away": {}})


def _has_slots(limits: dict[str, int], found: dict[str, Connection | None]) -> bool:
    from data_workbench.connectors.metastore import open_metastore
    from data_workbench.errors import RetriableError
    from data_workbench.metastore.slots import is_free

    try:
        with open_metastore(connections_of(found).get(_metastore_id())) as metastore:
            return is_free(metastore, limits)
    except RetriableError:
        return False


def _is_busy(pipeline: str, found: dict[str, Connection | None]) -> bool:
    from data_workbench.connectors.metastore import open_metastore
    from data_workbench.errors import RetriableError
    from data_workbench.metastore.busy import is_busy

    try:
        with open_metastore(connections_of(found).get(_metastore_id())) as metastore:
            return is_busy(metastore, pipeline)
    except RetriableError:
        return True


def _metastore_id() -> str:
    from data_workbench import settings as settings_module

    return settings_module.load().metastore


async def find_connection(connection_id: str) -> Connection | None:
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
    from data_workbench.connectors.metastore import open_metastore
    from data_workbench.errors import RetriableError
    from data_workbench.provider.watching import broken_ones

    settings = settings_module.load()
    connections = connections_of(found)
    try:
        with open_metastore(connections.get(settings.metastore)) as metastore:
            return broken_ones(connection_ids, find=connections.get, metastore=metastore, settings=settings)
    except RetriableError as error:
        return {settings.metastore: error.message}
