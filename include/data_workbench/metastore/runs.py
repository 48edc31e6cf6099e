"""Runs: how one begins, is found again after a crash, publishes and ends.

A run is `running` from `begin` until `publish` or `finish`. A pipeline has one such run, or several of a backfill, each
of another partition: its scope. A run of scope "" may see all, so it is alone.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, Row, delete, exc, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from data_workbench.errors import RunConflict, StateError
from data_workbench.metastore import audit, states, totals
from data_workbench.metastore.database import Metastore
from data_workbench.metastore.quarantine import close, settle
from data_workbench.metastore.tables.runs import confirmations, destination_states, runs, staged_states

RunState = Literal["running", "success", "failed", "abandoned"]
Orchestrator = Literal["cli", "airflow", "backfill"]

_DATA = ("only_keys", "edits")
"""Options that hold data: by source, a list or mapping."""
_COLUMNS = [column for column in runs.c if column.name != "plan"]


@dataclass(frozen=True)
class RunRequest:
    """What a run is asked to do; stored with it, so a later process goes on with the same."""

    run_id: str
    pipeline: str
    now: datetime
    definition_hash: str
    orchestrator: Orchestrator = "cli"
    params: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    requested_by: str | None = None
    correlation_id: str | None = None
    scope: str = ""


@dataclass(frozen=True)
class Run:
    """A run as it stands; `params`, `options`, `result` and `error` are JSON, `now` is the time it works with."""

    run_id: str
    pipeline: str
    state: RunState
    orchestrator: Orchestrator
    params: dict[str, Any]
    options: dict[str, Any]
    definition_hash: str
    now: datetime
    started: datetime
    ended: datetime | None
    result: dict[str, Any] | None
    error: dict[str, Any] | None
    requested_by: str | None
    correlation_id: str | None
    scope: str = ""


def begin(
    store: Metastore, request: RunRequest, *, by: audit.Author | None = None, secrets: Collection[str] = ()
) -> Run:
    """Begin a run, or take up the run of this id: then what was stored counts, not the request.

    Args:
        by: who begins it, for the audit trail; `author_of` the request if left out.
        secrets: names of params whose values are kept out of the audit trail.

    A run of this id that failed is opened again (a cleared Airflow task); one that succeeded is returned as it is.

    Raises:
        RunConflict: another run of this pipeline is not finished, or the id belongs to another pipeline.
    """
    try:
        with store.transaction() as connection:
            return _begin(connection, request, by or author_of(request), secrets)
    except exc.IntegrityError as error:
        raise _began_at_once(request.pipeline) from error


def _begin(connection: Connection, request: RunRequest, by: audit.Author, secrets: Collection[str]) -> Run:
    _one_at_a_time(connection, request.pipeline)
    other = _unfinished(connection, request.pipeline, request.scope, but=request.run_id)
    if other is not None:
        raise unfinished_conflict(other)
    values = {name: getattr(request, name) for name in RunRequest.__dataclass_fields__}
    begun = connection.execute(
        insert(runs)
        .values(**values, state="running", started=func.now())
        .on_conflict_do_update(
            index_elements=["run_id"],
            set_={"state": "running", "ended": None, "error": None, "result": None},
            where=runs.c.state.in_(["failed", "abandoned"]) & (runs.c.pipeline == request.pipeline),
        )
        .returning(runs.c.run_id)
    ).one_or_none()
    found = _get(connection, request.run_id)
    if found.pipeline != request.pipeline:
        raise RunConflict(
            f"run id {request.run_id!r} belongs to pipeline {found.pipeline!r}, not {request.pipeline!r}",
            hint="give this run another id",
        )
    if begun is not None:
        details = {
            "params": audit.redacted(found.params, secrets),
            "options": _told_options(found.options),
            "definition_hash": found.definition_hash,
        }
        audit.append(connection, by, _act("run.begun", found, details))
    return found


def author_of(run: Run | RunRequest) -> audit.Author:
    """Who acts for a run: Airflow, or the user of this process. `requested_by` is only what a caller says."""
    return audit.Author("airflow", "airflow") if run.orchestrator == "airflow" else audit.Author.of_process()


def _act(action: str, run: Run, details: Mapping[str, Any]) -> audit.Act:
    asked = {"requested_by": run.requested_by} if run.requested_by else {}
    return audit.Act(action, run.pipeline, {**details, **asked}, run.run_id, run.correlation_id)


def _told_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options that were given; of the keys and corrections of a replay their number, since those are data."""
    given = {name: value for name, value in options.items() if value}
    return {name: sum(map(len, value.values())) if name in _DATA else value for name, value in given.items()}


def unfinished_conflict(other: Run) -> RunConflict:
    """The error that names the run in the way."""
    end = {
        "airflow": "wait for it; in Airflow, let its DAG run end (mark it failed if its tasks are gone)",
        "backfill": "wait for the backfill; if its process is gone, give the same command again and it goes on",
        "cli": "wait for it; if its process is gone, run the pipeline again to let it go on, or abandon it",
    }[other.orchestrator]
    return RunConflict(
        f"run {other.run_id} of pipeline {other.pipeline!r} is not finished "
        f"({other.orchestrator}, since {other.started.isoformat(timespec='seconds')})",
        hint=end,
        run_id=other.run_id,
    )


def find_unfinished(store: Metastore, pipeline: str, scope: str = "") -> Run | None:
    """A run of this pipeline that began, did not end, and is in the way of one of this scope; the oldest of several."""
    with store.transaction() as connection:
        return _unfinished(connection, pipeline, scope)


def get(store: Metastore, run_id: str) -> Run:
    """One run. Raises StateError if there is none."""
    with store.transaction() as connection:
        return _get(connection, run_id)


def callers(store: Metastore) -> list[tuple[str, str]]:
    """Who has asked for runs of which pipeline: pipeline and `requested_by`, each pair once."""
    table = runs.c
    statement = select(table.pipeline, table.requested_by).where(table.requested_by.is_not(None)).distinct()
    with store.transaction() as connection:
        return [(row.pipeline, row.requested_by) for row in connection.execute(statement)]


def list_runs(
    store: Metastore,
    *,
    pipeline: str | None = None,
    state: RunState | None = None,
    scope: str | None = None,
    limit: int = 100,
) -> list[Run]:
    """The latest runs, latest first."""
    statement = select(*_COLUMNS).order_by(runs.c.started.desc(), runs.c.run_id).limit(limit)
    if pipeline is not None:
        statement = statement.where(runs.c.pipeline == pipeline)
    if state is not None:
        statement = statement.where(runs.c.state == state)
    if scope is not None:
        statement = statement.where(runs.c.scope == scope)
    with store.transaction() as connection:
        return [_run(row) for row in connection.execute(statement)]


def save_plan(store: Metastore, run_id: str, plan: Mapping[str, Any]) -> None:
    """Store the compiled plan, once: a later process works with the first one."""
    with store.transaction() as connection:
        changed = update(runs).where(runs.c.run_id == run_id, runs.c.plan.is_(None)).values(plan=dict(plan))
        if connection.execute(changed).rowcount == 0:
            _get(connection, run_id)


def load_plan(store: Metastore, run_id: str) -> dict[str, Any] | None:
    """The stored plan, or None if none was saved yet."""
    with store.transaction() as connection:
        _get(connection, run_id)
        return connection.scalar(select(runs.c.plan).where(runs.c.run_id == run_id))


def confirm(store: Metastore, run_id: str, destination: str, counts: Mapping[str, Any]) -> None:
    """Note that a destination holds this run's data; fine to call again."""
    with store.transaction() as connection:
        pipeline = _get(connection, run_id).pipeline
        values = {"counts": dict(counts), "confirmed": func.now()}
        once = insert(confirmations).values(run_id=run_id, destination=destination, **values)
        connection.execute(once.on_conflict_do_update(index_elements=["run_id", "destination"], set_=values))
        mirror = insert(destination_states).values(pipeline=pipeline, destination=destination, run_id=run_id, **values)
        connection.execute(
            mirror.on_conflict_do_update(index_elements=["pipeline", "destination"], set_={"run_id": run_id, **values})
        )


def confirmed(store: Metastore, run_id: str) -> dict[str, dict[str, Any]]:
    """The counts of the destinations that confirmed this run."""
    with store.transaction() as connection:
        return _confirmed(connection, run_id)


def publish(
    store: Metastore,
    run_id: str,
    *,
    destinations: Collection[str],
    result: Mapping[str, Any],
    state: Literal["success", "failed"] = "success",
    error: Mapping[str, Any] | None = None,
    resolved: Collection[int] = (),
    replayed: Collection[int] = (),
) -> Run:
    """End a run whose destinations all hold its data, and move its sources forward, in one transaction.

    Args:
        destinations: all that must have confirmed.
        state: `failed` when the load stands but what follows it (reconciliation) is not clean.
        resolved: ids of quarantined records whose key came with a valid row in this run.
        replayed: ids of those that this run was asked to send through again.

    Raises:
        StateError: a destination has not confirmed; nothing is changed.
    """
    with store.transaction() as connection:
        run = _get(connection, run_id, lock=True)
        if run.state != "running":
            return run
        missing = sorted(set(destinations) - set(_confirmed(connection, run_id)))
        if missing:
            raise StateError(
                f"run {run_id} cannot publish: {', '.join(missing)} has not confirmed",
                hint="load that destination, then publish",
                run_id=run_id,
            )
        states.move_forward(connection, run.pipeline, run_id)
        settle(connection, run.pipeline, run_id, resolved)
        close(connection, replayed, "replayed", by=run_id, author=author_of(run))
        return _end(connection, run_id, state=state, result=result, error=error)


def finish(
    store: Metastore,
    run_id: str,
    *,
    state: Literal["success", "failed", "abandoned"],
    result: Mapping[str, Any] | None = None,
    error: Mapping[str, Any] | None = None,
) -> Run:
    """End a run without moving its sources: it failed, was a dry run, or is given up.

    A failed run keeps the positions it staged, for it may be opened again when its stage is finished already.
    """
    with store.transaction() as connection:
        run = _get(connection, run_id, lock=True)
        if run.state != "running":
            return run
        if state != "failed":
            connection.execute(delete(staged_states).where(staged_states.c.run_id == run_id))
        return _end(connection, run_id, state=state, result=result, error=error)


def abandon_unfinished(store: Metastore, *, reason: str) -> list[str]:
    """End every run that is under way by what stands here: for a metastore that went back in time, where none is."""
    unfinished = select(runs.c.run_id).where(runs.c.state == "running").order_by(runs.c.started)
    with store.transaction() as connection:
        found = list(connection.scalars(unfinished))
    for run_id in found:
        error = StateError(reason, hint="run the pipeline again", run_id=run_id)
        finish(store, run_id, state="abandoned", error=error.as_dict())
    return found


def params_used(store: Metastore, pipeline: str, *, limit: int) -> list[dict[str, Any]]:
    """The different params that runs of a pipeline succeeded with, the latest first."""
    statement = (
        select(runs.c.params)
        .where(runs.c.pipeline == pipeline, runs.c.state == "success")
        .order_by(runs.c.started.desc())
    )
    found: dict[str, dict[str, Any]] = {}
    with store.transaction() as connection:
        for params in connection.scalars(statement):
            found.setdefault(json.dumps(params, sort_keys=True), params)
            if len(found) == limit:
                break
    return list(found.values())


def reopen(store: Metastore, run_id: str) -> Run:
    """Open a failed run again, so that it goes on from what it has finished; any other is returned as it is.

    Raises:
        RunConflict: another run of its pipeline has begun since.
    """
    try:
        with store.transaction() as connection:
            run = _get(connection, run_id, lock=True)
            if run.state != "failed":
                return run
            _one_at_a_time(connection, run.pipeline)
            other = _unfinished(connection, run.pipeline, run.scope)
            if other is not None:
                raise unfinished_conflict(other)
            opened = update(runs).where(runs.c.run_id == run_id)
            connection.execute(opened.values(state="running", ended=None, error=None, result=None))
            audit.append(connection, author_of(run), _act("run.reopened", run, {}))
            return _get(connection, run_id)
    except exc.IntegrityError as error:
        raise _began_at_once(run.pipeline) from error


def _began_at_once(pipeline: str) -> RunConflict:
    return RunConflict(
        f"another run of pipeline {pipeline!r} began at the same moment", hint="run again when it has ended"
    )


def _end(connection: Connection, run_id: str, *, state: str, result: Mapping[str, Any] | None, error: Any) -> Run:
    told = {**result, "state": state} if result else None  # it was made while the run was still running
    values = {"state": state, "result": told, "error": error}
    changed = update(runs).where(runs.c.run_id == run_id).values(ended=func.clock_timestamp(), **values)
    connection.execute(changed)
    totals.add(connection, run_id)
    ended = _get(connection, run_id)
    kind = error.get("kind") if error else None
    audit.append(connection, author_of(ended), _act("run.ended", ended, {"state": state, "error": kind}))
    return ended


def _confirmed(connection: Connection, run_id: str) -> dict[str, dict[str, Any]]:
    statement = select(confirmations.c.destination, confirmations.c.counts).where(confirmations.c.run_id == run_id)
    return {row.destination: row.counts for row in connection.execute(statement)}


def excludes(one: str, other: str) -> bool:
    """Whether runs of these scopes may not be under way together."""
    return not one or not other or one == other


def _one_at_a_time(connection: Connection, pipeline: str) -> None:
    """Until the transaction ends no other run of the pipeline begins: an index cannot tell that "" is every scope."""
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 8))"), {"name": pipeline})


def _unfinished(connection: Connection, pipeline: str, scope: str, *, but: str | None = None) -> Run | None:
    statement = select(*_COLUMNS).where(runs.c.pipeline == pipeline, runs.c.state == "running")
    for row in connection.execute(statement.order_by(runs.c.started, runs.c.run_id)):
        found = _run(row)
        if found.run_id != but and excludes(found.scope, scope):
            return found
    return None


def _get(connection: Connection, run_id: str, *, lock: bool = False) -> Run:
    statement = select(*_COLUMNS).where(runs.c.run_id == run_id)
    row = connection.execute(statement.with_for_update() if lock else statement).one_or_none()
    if row is None:
        raise StateError(f"the metastore knows no run {run_id!r}", hint="list them: workbench runs")
    return _run(row)


def _run(row: Row[Any]) -> Run:
    return Run(**row._mapping)
