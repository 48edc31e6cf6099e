"""A task without a slot of a connection gives its worker back, and is told when there is one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from data_workbench.errors import SlotsTaken
from data_workbench.metastore import Metastore
from data_workbench.metastore.slots import taken

if TYPE_CHECKING:
    from tests.conftest import PostgresDatabase


@pytest.fixture
def store(postgres: PostgresDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Metastore]:
    """A metastore that tasks and triggers find, and a project file that limits two connections."""
    project = tmp_path / "workbench.yaml"
    project.write_text("version: 1\nconnections: {graph: {limit: 1}, table: {limit: 2}}\n")
    monkeypatch.setenv("AIRFLOW_CONN_META", json.dumps(postgres.airflow))
    monkeypatch.setenv("WORKBENCH_METASTORE", "meta")
    monkeypatch.setenv("WORKBENCH_PROJECT", str(project))
    with Metastore.open(postgres.dsn) as opened:
        opened.upgrade()
        yield opened


class Deferred(Exception):
    """What a task raises that waits."""


class Task:
    """A task, as far as waiting knows it."""

    task_id = "stage"

    def defer(self, *, trigger: Any, method_name: str) -> None:
        """As Airflow's operators do."""
        raise Deferred(trigger, method_name)


def worked(store: Metastore, event: dict[str, Any] | None = None) -> str:
    """A task that needs the graph and a store without a limit."""
    from data_workbench.provider.waiting import waiting_for_stores

    operator: Any = Task()
    with waiting_for_stores(operator, ["graph", "elsewhere"], event, stage="s"), taken(store, {"graph": 1}, wait=False):
        return "worked"
    return "unreachable"


def test_a_task_that_finds_no_slot_is_deferred_and_goes_on_when_one_is_free(store: Metastore) -> None:
    async def told(trigger: Any) -> list[Any]:
        return [event.payload async for event in trigger.run()]

    with taken(store, {"graph": 1}, wait=False):
        with pytest.raises(Deferred) as waiting:
            worked(store)
        trigger, resumed = waiting.value.args
        path, values = trigger.serialize()
        assert path == "data_workbench.provider.triggers.SlotsFreeTrigger"
        assert (values["limits"], resumed) == ({"graph": 1}, "resume")
        with pytest.raises(SlotsTaken, match="connection 'graph'"):
            worked(store, {"until": "2020-01-01T00:00:00+00:00"})  # it has waited long enough
    [event] = asyncio.run(asyncio.wait_for(told(type(trigger)(**values)), 120))
    assert worked(store, event) == "worked"
