"""Whether somebody works at a pipeline: a run whose lock is held, or a backfill, between its partitions too."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select

from data_workbench.errors import RunConflict
from data_workbench.metastore import backfills
from data_workbench.metastore.database import Metastore
from data_workbench.metastore.locks import is_alive
from data_workbench.metastore.tables.runs import runs


def is_busy(store: Metastore, pipeline: str) -> bool:
    """Whether a run of this pipeline, or a backfill, is under way in a process that lives."""
    unfinished = select(runs.c.run_id).where(runs.c.pipeline == pipeline, runs.c.state == "running")
    with store.transaction() as connection:
        found = list(connection.scalars(unfinished))
    return any(is_alive(store, pipeline, run_id) for run_id in found) or _backfill_at_work(store, pipeline) is not None


def require_no_backfill(store: Metastore, pipeline: str) -> None:
    """Raise RunConflict while a backfill of this pipeline is worked at: a run would come between its partitions."""
    found = _backfill_at_work(store, pipeline)
    if found is not None:
        raise RunConflict(
            f"backfill {found} of pipeline {pipeline!r} is under way", hint="wait for it, or stop it", run_id=found
        )


def was_under_way(store: Metastore, pipeline: str, moment: datetime, *, but: str) -> str | None:
    """A run of this pipeline, other than `but`, that had begun by a moment and had not ended then."""
    statement = (
        select(runs.c.run_id)
        .where(runs.c.pipeline == pipeline, runs.c.run_id != but, runs.c.started <= moment)
        .where((runs.c.ended.is_(None)) | (runs.c.ended > moment))
        .order_by(runs.c.started)
        .limit(1)
    )
    with store.transaction() as connection:
        found = connection.scalar(statement)
        return None if found is None else str(found)


def _backfill_at_work(store: Metastore, pipeline: str) -> str | None:
    running = backfills.list_backfills(store, pipeline=pipeline, state="running")
    return next((one.id for one in running if backfills.is_worked_at(store, one.id)), None)
