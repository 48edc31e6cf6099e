"""The stages of a run (`stage`, `load.graph`, `reconcile`, …): attempts, states, counts and signs of life."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import Double, case, cast, func, select, update
from sqlalchemy.dialects.postgresql import insert

from data_workbench.errors import StateError
from data_workbench.metastore.database import Metastore
from data_workbench.metastore.tables.runs import run_stages, runs

MEASURES: Final = ("rows_in", "rows_out", "bytes_in", "bytes_out", "filtered", "quarantined", "peak_memory", "lag")
"""Names of what is measured of a stage (`pipelines.measures` says what each is)."""
SPLIT: Final = "split"
STAGE: Final = "stage"
LOAD: Final = "load."
"""Before the name of a destination."""
RECONCILE: Final = "reconcile"
_RANGE: Final = "stage_range."


def range_stage(number: int) -> str:
    """The name of the stage that reads one of a run's ranges."""
    return f"{_RANGE}{number}"


def range_number(stage: str) -> int | None:
    """Which of a run's ranges a stage reads; None for a stage that is none of them."""
    return int(stage.removeprefix(_RANGE)) if stage.startswith(_RANGE) else None


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
    progress: dict[str, Any] | None = None
    """While it runs: `phase`, `rows`, `expected`, `bytes`, as of its last sign of life."""
    measures: dict[str, Any] | None = None
    """Once it has ended: see `pipelines.measures`."""
    silent: float | None = None
    """While it runs: seconds since its last sign of life, by the metastore's clock."""
    still: float | None = None
    """While it runs: seconds since something in it moved, by the metastore's clock."""

    @property
    def retries(self) -> int:
        """How often it was begun again."""
        return self.attempt - 1

    @property
    def seconds(self) -> float | None:
        """How long it took; None while it runs."""
        return (self.ended - self.started).total_seconds() if self.ended else None

    @property
    def rows_per_second(self) -> float | None:
        """Rows that came in, by the time it took."""
        rows = (self.measures or {}).get("rows_in")
        return round(rows / self.seconds, 1) if rows is not None and self.seconds else None

    def as_dict(self) -> dict[str, Any]:
        """How it is told: its state, what was measured, and what it does while it runs."""
        names = ("stage", "state", "attempt", "retries", "started", "ended", "seconds", "rows_per_second", "progress")
        error = self.error or {}
        return {
            **{name: getattr(self, name) for name in names},
            **{name: (self.measures or {}).get(name) for name in MEASURES},
            "trouble": error.get("message"),
            "hint": error.get("hint"),
        }

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
        "beat": func.now(),
        "moved": func.now(),
        "progress": None,
        "measures": None,
    }
    first = {"state": "running", "attempt": 1, "started": func.now(), "beat": func.now(), "moved": func.now()}
    statement = insert(run_stages).values(run_id=run_id, stage=stage, **first)
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
    measures: Mapping[str, Any] | None = None,
) -> None:
    """Note how a stage ended. Raises StateError if it never started."""
    statement = (
        update(run_stages)
        .where(run_stages.c.run_id == run_id, run_stages.c.stage == stage)
        .values(state=state, counts=counts, error=error, ended=func.clock_timestamp(), measures=measures)
    )
    with store.transaction() as connection:
        if connection.execute(statement).rowcount == 0:
            raise StateError(f"stage {stage!r} of run {run_id!r} never started", run_id=run_id)


def beat(store: Metastore, run_id: str, stage: str, progress: Mapping[str, Any], *, has_moved: bool) -> None:
    """Note a sign of life of a running stage, and whether anything in it has moved since the one before."""
    moved = {"moved": func.now()} if has_moved else {}
    statement = (
        update(run_stages)
        .where(run_stages.c.run_id == run_id, run_stages.c.stage == stage, run_stages.c.state == "running")
        .values(beat=func.now(), progress=dict(progress), **moved)
    )
    with store.transaction() as connection:
        connection.execute(statement)


def latest_with(store: Metastore, pipeline: str, stage: str, *, besides: str | None = None) -> dict[str, str]:
    """The latest runs of a pipeline that began a stage, newest first, and what has become of it."""
    statement = (
        select(runs.c.run_id, run_stages.c.state)
        .join(run_stages, run_stages.c.run_id == runs.c.run_id)
        .where(runs.c.pipeline == pipeline, run_stages.c.stage == stage, runs.c.run_id != (besides or ""))
        .order_by(runs.c.started.desc(), runs.c.run_id.desc())
        .limit(20)
    )
    with store.transaction() as connection:
        return {row.run_id: row.state for row in connection.execute(statement)}


def close_stage(store: Metastore, run_id: str, stage: str) -> None:
    """Note that a stage whose process died had done its work; one that ended is left alone."""
    columns = run_stages.c
    statement = (
        update(run_stages)
        .where(columns.run_id == run_id, columns.stage == stage, columns.state == "running")
        .values(state="success", ended=func.clock_timestamp())
    )
    with store.transaction() as connection:
        connection.execute(statement)


def note_waiting(store: Metastore, run_id: str, stage: str, reason: Mapping[str, Any]) -> None:
    """Note that a stage waits for a store and will go on; a stage that never started is left alone."""
    statement = (
        update(run_stages)
        .where(run_stages.c.run_id == run_id, run_stages.c.stage == stage)
        .values(state="waiting", error=dict(reason), ended=None)
    )
    with store.transaction() as connection:
        connection.execute(statement)


def stage_results(store: Metastore, run_id: str) -> dict[str, StageResult]:
    """The stages of a run by name, in the order they began."""
    return {one.stage: one for one in of_runs(store, [run_id]).get(run_id, ())}


def of_runs(store: Metastore, run_ids: Sequence[str]) -> dict[str, list[StageResult]]:
    """The stages of several runs, in the order they began."""
    found: dict[str, list[StageResult]] = {}
    statement = (
        select(run_stages.c.run_id, *_COLUMNS)
        .where(run_stages.c.run_id.in_(run_ids))
        .order_by(run_stages.c.started, run_stages.c.stage)
    )
    with store.transaction() as connection:
        for row in connection.execute(statement):
            values = dict(row._mapping)
            found.setdefault(values.pop("run_id"), []).append(StageResult(**values))
    return found


def _seconds_since(moment: Any) -> Any:
    passed = cast(func.extract("epoch", func.now() - moment), Double)
    return case((run_stages.c.state == "running", func.greatest(passed, 0.0)))


_COLUMNS = [
    *(run_stages.c[name] for name in StageResult.__dataclass_fields__ if name not in ("silent", "still")),
    _seconds_since(run_stages.c.beat).label("silent"),
    _seconds_since(run_stages.c.moved).label("still"),
]
