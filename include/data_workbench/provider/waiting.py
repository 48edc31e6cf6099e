"""A task whose store is away, or has no slot for it, waits with that reason, and goes on when the store is there.

The task is deferred: it takes no worker slot while it waits, and several pipelines on one broken store do not fail one
by one. What it had finished stands, so going on repeats nothing. After WORKBENCH_STORE_WAIT_HOURS it fails.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from data_workbench import settings as settings_module
from data_workbench.errors import SlotsTaken, StoreUnavailable, WorkbenchError

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator

log = logging.getLogger(__name__)

RESUME = "resume"


@contextmanager
def waiting_for_stores(
    operator: BaseOperator, connection_ids: list[str], event: dict[str, Any] | None, *, stage: str
) -> Iterator[None]:
    """Defer the task when a store it needs turns out to be away; any other trouble rises as it is.

    Args:
        connection_ids: the stores this task talks to.
        event: what the trigger said when the task was resumed; None on its first start.
        stage: what waits, as the metastore names it.
    """
    settings = settings_module.load()
    until = datetime.fromisoformat(event["until"]) if event else _now() + timedelta(hours=settings.store_wait_hours)
    try:
        yield
    except SlotsTaken as error:
        if _now() >= until:
            raise
        log.warning("waiting until %s: %s", until.isoformat(timespec="seconds"), error.message)
        from data_workbench.provider.triggers import SlotsFreeTrigger

        operator.defer(
            trigger=SlotsFreeTrigger(limits=_limits(connection_ids), until=until.isoformat()), method_name=RESUME
        )
    except StoreUnavailable as error:
        away = _away(connection_ids, error)
        if not away or _now() >= until:
            raise
        log.warning("waiting until %s for %s", until.isoformat(timespec="seconds"), _told(away))
        _note(error.run_id, stage, away)
        from data_workbench.provider.triggers import StoresBackTrigger

        operator.defer(
            trigger=StoresBackTrigger(connection_ids=sorted(away), until=until.isoformat()), method_name=RESUME
        )


def _limits(connection_ids: list[str]) -> dict[str, int]:
    from data_workbench.language.project import load_project

    limits = load_project(settings_module.load()).limits
    return {one: limits[one] for one in connection_ids if one in limits}


def _now() -> datetime:
    return datetime.now(UTC)


def _away(connection_ids: list[str], error: StoreUnavailable) -> dict[str, str]:
    """Which stores are away. None if the metastore is: nothing can be kept then, and the retries take over."""
    from data_workbench.provider.connections import airflow_connections
    from data_workbench.provider.engine import open_metastore
    from data_workbench.provider.watching import broken_ones

    settings = settings_module.load()
    if settings.store_wait_hours <= 0:
        return {}
    try:
        with open_metastore() as metastore:
            return broken_ones(connection_ids, find=airflow_connections().get, metastore=metastore, settings=settings)
    except WorkbenchError as trouble:
        log.warning("cannot wait for a store (%s): %s", trouble.message, error.message)
        return {}


def _note(run_id: str | None, stage: str, away: dict[str, str]) -> None:
    """Tell `workbench runs` and the pages what the stage waits for."""
    from data_workbench.metastore import stages
    from data_workbench.provider.engine import open_metastore

    if run_id is None:
        return
    reason = {"kind": "StoreUnavailable", "message": f"waits for {_told(away)}", "hint": None, "run_id": run_id}
    with open_metastore() as metastore:
        stages.note_waiting(metastore, run_id, stage, reason)


def _told(away: dict[str, str]) -> str:
    return "; ".join(f"connection {name}: {cause}" for name, cause in away.items())
