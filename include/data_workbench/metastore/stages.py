"""The stages of a run (`stage`, `load.graph`, `reconcile`, …): attempts, states and counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert

from data_workbench.errors import StateError
from data_workbench.metastore.database import Metastore
from data_workbench.metastore.tables import run_stages


@dataclass(frozen=True)
class StageResult:
    """One stage of one run, its latest attempt."""

    stage: str
    state: Literal["running", "waiting", "success", "failed"]
    attempt: int
    counts: dict[str, Any] | None
    error: dict[str, Any] | None
    started: datetime
    ended: datetime | None

    @property
    def is_part(self) -> bool:
        """Whether it only notes how far the load of one target has come (`load.graph.0`)."""
        return self.stage.count(".") > 1


def start_stage(store: Metastore, run_id: str, stage: str) -> int:
    """Note that a stage begins (again); the number of the attempt, from 1."""
    again = {
        "state": "running",
        "attempt": run_stages.c.attempt + 1,
        "started": func.now(),
        "ended": None,
        "error": None,
    }
    statement = insert(run_stages).values(run_id=run_id, stage=stage, state="running", attempt=1, started=func.now())
    updating = statement.on_conflict_do_update(index_elements=["run_id", "stage"], set_=again)
    with store.transaction() as connection:
        return connection.execute(updating.returning(run_stages.c.attempt)).scalar_one()


def finish_stage(
    store: Metastore,
    run_id: str,
    stage: str,
    *,
    counts: Mapping[str, Any] | None = None,
    state: Literal["success", "failed"] = "success",
    error: Mapping[str, Any] | None = None,
) -> None:
    """Note how a stage ended. Raises StateError if it never started."""
    statement = (
        update(run_stages)
        .where(run_stages.c.run_id == run_id, run_stages.c.stage == stage)
        .values(state=state, counts=counts, error=error, ended=func.clock_timestamp())
    )
    with store.transaction() as connection:
        if connection.execute(statement).rowcount == 0:
            raise StateError(f"stage {stage!r} of run {run_id!r} never started", run_id=run_id)


def note_waiting(store: Metastore, run_id: str, stage: str, reason: Mapping[str, Any]) -> None:
    """Note that a stage waits for a store and will go on; a stage that never started is left alone."""
    statement = (
        update(run_stages)
        .where(run_stages.c.run_id == run_id, run_stages.c.stage == stage)
        .values(state="waiting", error=dict(reason), ended=None)
    )
    with store.transaction() as connection:
        connection.execute(statement)


def waiting(store: Metastore, run_ids: Sequence[str]) -> dict[str, str]:
    """What stages of these runs wait for, by run."""
    columns = run_stages.c
    statement = select(columns.run_id, columns.error).where(columns.run_id.in_(run_ids), columns.state == "waiting")
    with store.transaction() as connection:
        return {row.run_id: str((row.error or {}).get("message")) for row in connection.execute(statement)}


def stage_results(store: Metastore, run_id: str) -> dict[str, StageResult]:
    """The stages of a run by name, in the order they began."""
    columns = [run_stages.c[name] for name in StageResult.__dataclass_fields__]
    statement = select(*columns).where(run_stages.c.run_id == run_id).order_by(run_stages.c.started, run_stages.c.stage)
    with store.transaction() as connection:
        return {row.stage: StageResult(**row._mapping) for row in connection.execute(statement)}
