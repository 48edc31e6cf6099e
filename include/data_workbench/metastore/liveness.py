"""Which running runs do not move: a stage waits for a store, its process is gone, or it stands still.

A stage notes a sign of life every few seconds (`stages.beat`), and with it whether anything has moved since the one
before; its process holds the run's lock. All times are by the metastore's clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from sqlalchemy import func, select

from data_workbench.metastore import stages
from data_workbench.metastore.database import Metastore
from data_workbench.metastore.locks import is_alive
from data_workbench.metastore.stages import StageResult
from data_workbench.metastore.tables.runs import runs

STUCK_SECONDS: Final = 45.0
"""Without a sign of life, or with nothing moving, for this long: with a beat every 5 s and pages renewed every 10 s,
whoever looks knows within a minute."""
_BEGINNING: Final = 10.0
"""A run without a stage is not called lost so soon after it began: its process takes the lock again for its stages."""


@dataclass(frozen=True)
class Stall:
    """Why a run does not move."""

    state: Literal["waiting", "stuck"]
    reason: str


def stalls(store: Metastore, run_ids: Sequence[str]) -> dict[str, Stall]:
    """Those of these runs that are running and do not move."""
    if not run_ids:
        return {}
    found = stages.of_runs(store, run_ids)
    age = func.extract("epoch", func.now() - runs.c.started).label("age")
    chosen = select(runs.c.run_id, runs.c.pipeline, runs.c.orchestrator, age)
    with store.transaction() as connection:
        running = connection.execute(chosen.where(runs.c.run_id.in_(run_ids), runs.c.state == "running")).all()
    told = {}
    for run in running:
        begun = found.get(run.run_id, [])
        stall = _waiting(begun)
        if stall is None and _needs_process(run.orchestrator, begun, float(run.age)):
            stall = None if is_alive(store, run.pipeline, run.run_id) else _gone(run.orchestrator)
        stall = stall or _still(begun)
        if stall is not None:
            told[run.run_id] = stall
    return told


def _waiting(found: Sequence[StageResult]) -> Stall | None:
    for one in found:
        if one.state == "waiting":
            return Stall("waiting", str((one.error or {}).get("message")))
    return None


def _needs_process(orchestrator: str, found: Sequence[StageResult], age: float) -> bool:
    """Whether a process should hold the run's lock: of Airflow's runs none needs to between their tasks."""
    if any(one.state == "running" and not one.is_part for one in found):
        return True
    return orchestrator != "airflow" and (bool(found) or age > _BEGINNING)


def _gone(orchestrator: str) -> Stall:
    then = {"cli": "run it again", "backfill": "ask for its backfill again"}.get(
        orchestrator, "clear its task, unless Airflow tries it again"
    )
    return Stall("stuck", f"its process is gone; {then}, and it goes on where it stopped")


def _still(found: Sequence[StageResult]) -> Stall | None:
    for one in found:
        if one.is_part or one.state != "running":
            continue
        if one.silent is not None and one.silent > STUCK_SECONDS:
            return Stall("stuck", f"{one.stage} has given no sign of life for {_told(one.silent)}")
        if one.still is not None and one.still > STUCK_SECONDS:
            doing = (one.progress or {}).get("phase")
            where = f"{one.stage}, {doing}" if doing else one.stage
            return Stall("stuck", f"nothing has moved for {_told(one.still)} ({where})")
    return None


def _told(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 60:.0f} min"
