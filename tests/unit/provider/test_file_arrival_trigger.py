"""The watcher of files as the triggerer runs it: an event for what arrived, and a state that outlives the process."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow


class KeptState:
    """What Airflow keeps with an asset, as the trigger sees it; the JSON of one process is read by the next."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    async def aget(self, key: str) -> Any:
        return self.values.get(key)

    async def aset(self, key: str, value: Any) -> None:
        self.values[key] = value


@pytest.fixture
def trigger_class() -> Any:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Airflow's own
        from data_workbench.provider.triggers import FileArrivalTrigger
    return FileArrivalTrigger


def _events(trigger: Any, state: KeptState, *, looks: int) -> list[Any]:
    """What a trigger tells until it is stopped, as the triggerer stops it, before its look number `looks` + 1."""

    async def listen() -> list[Any]:
        told: list[Any] = []
        done = asyncio.Event()
        look, looked = trigger._look, 0

        async def counted(*args: Any) -> Any:
            nonlocal looked
            if looked == looks:
                done.set()
                await asyncio.Event().wait()
            looked += 1
            return await look(*args)

        async def follow() -> None:
            async for event in trigger.run():
                told.append(event.payload)

        trigger.asset_state_store, trigger._look = state, counted
        task = asyncio.create_task(follow())
        waits = asyncio.create_task(done.wait())
        await asyncio.wait([task, waits], return_when=asyncio.FIRST_COMPLETED)
        assert not task.done(), "the watcher ended"
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return told

    return asyncio.run(listen())


def _trigger(trigger_class: Any, root: Path, *, pattern: str = "in/*.csv") -> Any:
    made = trigger_class(pipeline="orders", connection_id=f"file://{root}", pattern=pattern, every=0.01)
    path, values = made.serialize()
    assert path == "data_workbench.provider.triggers.FileArrivalTrigger"
    return trigger_class(**values)  # as the triggerer makes it anew


def test_files_are_told_in_one_event_and_not_again_after_a_restart(trigger_class: Any, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        (tmp_path / "in" / f"{name}.csv").write_text("id\n1\n")
    state = KeptState()
    first = _events(_trigger(trigger_class, tmp_path), state, looks=4)
    assert first == [{"connection": f"file://{tmp_path}", "files": ["in/a.csv", "in/b.csv"], "count": 2}]
    assert _events(_trigger(trigger_class, tmp_path), state, looks=3) == []
    (tmp_path / "in" / "c.csv").write_text("id\n1\n")
    assert [event["files"] for event in _events(_trigger(trigger_class, tmp_path), state, looks=4)] == [["in/c.csv"]]


def test_a_store_that_is_away_is_told_once_and_looked_at_again(
    trigger_class: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trigger = _trigger(trigger_class, tmp_path, pattern="../*.csv")
    with caplog.at_level(logging.WARNING, logger="data_workbench.provider.triggers"):
        assert _events(trigger, KeptState(), looks=3) == []
    (said,) = [record.getMessage() for record in caplog.records if "orders" in record.getMessage()]
    assert "leads out" in said
