"""Backfills: a pipeline over its partitions, each partition a run of its own, exactly once.

    pending -> running -> success
                       -> failed    (until somebody asks for the failed ones again)

A partition goes to `running` together with the id its run will have, before anything else happens: whoever finds it so
after a crash asks the run of that id how far it came. Who works on a partition holds a lock that dies with its process,
so one that is `running` without a lock was left behind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from sqlalchemy import Connection, exc, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from data_workbench.errors import RunConflict, StateError
from data_workbench.metastore import audit
from data_workbench.metastore.database import Metastore
from data_workbench.metastore.locks import is_shared
from data_workbench.metastore.tables.backfills import backfill_partitions, backfills

BackfillState = Literal["running", "success", "failed", "abandoned"]
PartitionState = Literal["pending", "running", "success", "failed"]

_CLAIM = """
UPDATE backfill_partitions p
SET state = 'running', attempts = p.attempts + 1, started = now(), ended = NULL, error = NULL,
    run_id = p.backfill_id || '.' || lpad(p.position::text, 5, '0') || '.' || (p.attempts + 1)
WHERE backfill_id = :id AND position = (
    SELECT position FROM backfill_partitions WHERE backfill_id = :id AND state = 'pending'
    ORDER BY position LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING position
"""


@dataclass(frozen=True)
class Backfill:
    """A backfill as it stands; `request` is what was asked for, as JSON."""

    id: str
    pipeline: str
    request: dict[str, Any]
    request_hash: str
    definition_hash: str
    parallel: int
    state: BackfillState
    requested_by: str | None
    correlation_id: str | None
    created: datetime
    ended: datetime | None


@dataclass(frozen=True)
class Part:
    """One partition of a backfill; `params` are those that make its run read it and nothing else."""

    position: int
    key: str
    params: dict[str, Any]
    state: PartitionState
    attempts: int
    run_id: str | None
    error: dict[str, Any] | None
    started: datetime | None
    ended: datetime | None


@dataclass(frozen=True)
class BackfillRequest:
    """What a new backfill is of."""

    id: str
    pipeline: str
    request: Mapping[str, Any]
    request_hash: str
    definition_hash: str
    parallel: int
    requested_by: str | None = None
    correlation_id: str | None = None


def create(
    store: Metastore, wanted: BackfillRequest, parts: Sequence[tuple[str, Mapping[str, Any]]], *, by: audit.Author
) -> Backfill:
    """Begin a backfill of partitions given as (key, params); the one of this id if there is one.

    An unfinished one of the pipeline that nobody works at is given up for it.

    Raises:
        RunConflict: another one of this pipeline is being worked at.
    """
    try:
        with store.transaction() as connection:
            found = _find(connection, wanted.id)
            if found is not None:
                return found
            _make_way(store, connection, wanted.pipeline)
            values = {name: getattr(wanted, name) for name in BackfillRequest.__dataclass_fields__}
            connection.execute(insert(backfills).values(**values, state="running", created=func.now()))
            rows = [
                {"backfill_id": wanted.id, "position": position, "key": key, "params": dict(params)}
                for position, (key, params) in enumerate(parts)
            ]
            connection.execute(insert(backfill_partitions).values(state="pending", attempts=0), rows)
            details = {**wanted.request, "partitions": len(parts), "parallel": wanted.parallel}
            act = audit.Act("backfill.begun", wanted.pipeline, details, wanted.id, wanted.correlation_id)
            audit.append(connection, by, act)
            return _get(connection, wanted.id)
    except exc.IntegrityError as error:
        raise RunConflict(
            f"another backfill of pipeline {wanted.pipeline!r} began at the same moment", hint="wait for it"
        ) from error


def _make_way(store: Metastore, connection: Connection, pipeline: str) -> None:
    statement = select(*backfills.c).where(backfills.c.pipeline == pipeline, backfills.c.state == "running")
    row = connection.execute(statement.with_for_update()).one_or_none()
    if row is None:
        return
    if is_worked_at(store, row.id):
        raise RunConflict(
            f"backfill {row.id} of pipeline {pipeline!r} is under way and was asked for something else",
            hint="wait for it; see it with `workbench backfill` and the same options, or GET /data/backfills/ID",
        )
    _set_state(connection, row.id, "abandoned")


def get(store: Metastore, backfill_id: str) -> Backfill:
    """One backfill. Raises StateError if there is none."""
    with store.transaction() as connection:
        return _get(connection, backfill_id)


def find(store: Metastore, backfill_id: str) -> Backfill | None:
    """One backfill, or None."""
    with store.transaction() as connection:
        return _find(connection, backfill_id)


def latest(store: Metastore, pipeline: str, request_hash: str) -> Backfill | None:
    """The latest backfill of a pipeline that was asked for just this."""
    statement = (
        select(*backfills.c)
        .where(backfills.c.pipeline == pipeline, backfills.c.request_hash == request_hash)
        .order_by(backfills.c.created.desc(), backfills.c.id.desc())
        .limit(1)
    )
    with store.transaction() as connection:
        row = connection.execute(statement).one_or_none()
        return None if row is None else Backfill(**row._mapping)


def list_backfills(
    store: Metastore, *, pipeline: str | None = None, state: BackfillState | None = None, limit: int = 100
) -> list[Backfill]:
    """The latest backfills, latest first."""
    statement = select(*backfills.c).order_by(backfills.c.created.desc(), backfills.c.id).limit(limit)
    if pipeline is not None:
        statement = statement.where(backfills.c.pipeline == pipeline)
    if state is not None:
        statement = statement.where(backfills.c.state == state)
    with store.transaction() as connection:
        return [Backfill(**row._mapping) for row in connection.execute(statement)]


def partitions(store: Metastore, backfill_id: str) -> list[Part]:
    """The partitions in their order."""
    with store.transaction() as connection:
        return _parts(connection, backfill_id)


def counts(store: Metastore, ids: Sequence[str]) -> dict[str, dict[str, int]]:
    """How many partitions of each backfill are in each state."""
    p = backfill_partitions.c
    grouped = select(p.backfill_id, p.state, func.count().label("amount")).where(p.backfill_id.in_(ids))
    found = {one: dict.fromkeys(get_args(PartitionState), 0) for one in ids}
    with store.transaction() as connection:
        for row in connection.execute(grouped.group_by(p.backfill_id, p.state)):
            found[row.backfill_id][row.state] = row.amount
    return found


def partition(store: Metastore, backfill_id: str, position: int) -> Part:
    """One partition, as it stands now."""
    with store.transaction() as connection:
        return _parts(connection, backfill_id, position)[0]


def is_worked_at(store: Metastore, backfill_id: str) -> bool:
    """Whether a process is at it."""
    return is_shared(store, "backfill", backfill_id)


def claim(store: Metastore, backfill_id: str) -> int | None:
    """Take the next partition that nobody took: its position, or None if there is none left."""
    with store.transaction() as connection:
        found = connection.execute(text(_CLAIM), {"id": backfill_id}).scalar()
        return None if found is None else int(found)


def note_run(store: Metastore, backfill_id: str, position: int, run_id: str) -> None:
    """The run that works on a partition is another than foreseen: one that was interrupted goes on."""
    _update(store, backfill_id, position, run_id=run_id)


def note_end(
    store: Metastore, backfill_id: str, position: int, state: PartitionState, error: Mapping[str, Any] | None = None
) -> None:
    """How a partition ended; `pending` to have it tried again."""
    _update(store, backfill_id, position, state=state, error=dict(error) if error else None, ended=func.now())


def open_failed(store: Metastore, backfill_id: str, *, definition_hash: str, by: audit.Author) -> int:
    """Have the partitions that failed tried again, by the pipeline as it is now; how many they are.

    Raises:
        RunConflict: another backfill of the pipeline is under way.
    """
    p = backfill_partitions.c
    failed = update(backfill_partitions).where(p.backfill_id == backfill_id, p.state == "failed")
    try:
        with store.transaction() as connection:
            found = _get(connection, backfill_id)
            if found.state == "failed":
                _make_way(store, connection, found.pipeline)
            opened = connection.execute(failed.values(state="pending", error=None, ended=None)).rowcount
            if opened:
                values = {"state": "running", "ended": None, "definition_hash": definition_hash}
                connection.execute(update(backfills).where(backfills.c.id == backfill_id).values(**values))
                act = audit.Act("backfill.retried", found.pipeline, {"partitions": opened}, backfill_id)
                audit.append(connection, by, act)
            return opened
    except exc.IntegrityError as error:
        raise RunConflict("another backfill of this pipeline began at the same moment", hint="wait for it") from error


def end(store: Metastore, backfill_id: str) -> Backfill:
    """End a backfill that has no partition left to work at; one that has is returned as it is."""
    p = backfill_partitions.c
    counted = select(p.state, func.count().label("amount")).where(p.backfill_id == backfill_id).group_by(p.state)
    with store.transaction() as connection:
        found = connection.execute(
            select(*backfills.c).where(backfills.c.id == backfill_id).with_for_update()
        ).one_or_none()
        amounts = {row.state: row.amount for row in connection.execute(counted)}
        if found is not None and found.state == "running" and not amounts.keys() & {"pending", "running"}:
            _set_state(connection, backfill_id, "failed" if "failed" in amounts else "success")
        return _get(connection, backfill_id)


def document(found: Backfill, parts: Sequence[Part]) -> dict[str, Any]:
    """A backfill and its partitions; `seconds` of one that is not over is null."""
    states = [one.state for one in parts]
    return {
        "backfill": found.id,
        "pipeline": found.pipeline,
        "state": found.state,
        "request": found.request,
        "parallel": found.parallel,
        "counts": {state: states.count(state) for state in get_args(PartitionState)},
        "partitions": [
            {
                "key": one.key,
                "state": one.state,
                "run_id": one.run_id,
                "attempts": one.attempts,
                "seconds": round((one.ended - one.started).total_seconds(), 3) if one.started and one.ended else None,
                "error": one.error,
            }
            for one in parts
        ],
    }


def _set_state(connection: Connection, backfill_id: str, state: BackfillState) -> None:
    changed = update(backfills).where(backfills.c.id == backfill_id).values(state=state, ended=func.now())
    connection.execute(changed)


def _update(store: Metastore, backfill_id: str, position: int, **values: Any) -> None:
    p = backfill_partitions.c
    changed = update(backfill_partitions).where(p.backfill_id == backfill_id, p.position == position)
    with store.transaction() as connection:
        connection.execute(changed.values(**values))


def _parts(connection: Connection, backfill_id: str, position: int | None = None) -> list[Part]:
    columns = [backfill_partitions.c[name] for name in Part.__dataclass_fields__]
    statement = select(*columns).where(backfill_partitions.c.backfill_id == backfill_id)
    if position is not None:
        statement = statement.where(backfill_partitions.c.position == position)
    return [Part(**row._mapping) for row in connection.execute(statement.order_by(backfill_partitions.c.position))]


def _find(connection: Connection, backfill_id: str) -> Backfill | None:
    row = connection.execute(select(*backfills.c).where(backfills.c.id == backfill_id)).one_or_none()
    return None if row is None else Backfill(**row._mapping)


def _get(connection: Connection, backfill_id: str) -> Backfill:
    found = _find(connection, backfill_id)
    if found is None:
        raise StateError(f"the metastore knows no backfill {backfill_id!r}", hint="`workbench backfill` begins one")
    return found
