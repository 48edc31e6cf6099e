"""Backup sets as this installation made and verified them. What a set is stands in its manifest, not here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert

from data_workbench.metastore.database import Metastore
from data_workbench.metastore.tables.safekeeping import backup_sets, backup_states, backup_verifications

Outcome = Literal["passed", "failed", "not_verified"]


@dataclass(frozen=True)
class Verification:
    """What one verification of a set found; `kind` is `hashes` or `drill`."""

    set_id: str
    kind: str
    outcome: Outcome
    checked: datetime
    seconds: float
    report: dict[str, Any]


@dataclass(frozen=True)
class Attempt:
    """A set as this installation tried to make it; `facts` are its summary, `error` says why it failed."""

    set_id: str
    state: Literal["running", "finished", "failed"]
    label: str
    started: datetime
    ended: datetime | None
    facts: dict[str, Any] | None
    error: dict[str, Any] | None


@dataclass(frozen=True)
class State:
    """A repository as it was when it was looked at last (`backup.observing`)."""

    address: str
    observed: datetime
    state: dict[str, Any]


def begin(store: Metastore, set_id: str, *, repository: str, label: str) -> None:
    """Note that a set is being made; those that were begun before and never ended were killed."""
    with store.transaction() as connection:
        killed = {"kind": "StateError", "message": "the process that made it is gone", "hint": None, "run_id": None}
        statement = update(backup_sets).where(backup_sets.c.state == "running")
        connection.execute(statement.values(state="failed", ended=func.clock_timestamp(), error=killed))
        values = {"set_id": set_id, "repository": repository, "state": "running", "label": label}
        connection.execute(insert(backup_sets).values(**values, started=func.clock_timestamp()))


def finish(
    store: Metastore, set_id: str, *, facts: Mapping[str, Any] | None = None, error: Mapping[str, Any] | None = None
) -> None:
    """Note how making a set ended."""
    with store.transaction() as connection:
        statement = update(backup_sets).where(backup_sets.c.set_id == set_id)
        state = "failed" if error else "finished"
        connection.execute(statement.values(state=state, ended=func.clock_timestamp(), facts=facts, error=error))


def keep_verification(
    store: Metastore,
    set_id: str,
    *,
    repository: str,
    kind: str,
    outcome: Outcome,
    seconds: float,
    report: Mapping[str, Any],
) -> None:
    """Keep what a verification found."""
    values = {"set_id": set_id, "repository": repository, "kind": kind, "outcome": outcome, "seconds": seconds}
    with store.transaction() as connection:
        connection.execute(insert(backup_verifications).values(**values, report=dict(report)))


def verifications(store: Metastore, *, repository: str) -> dict[str, Verification]:
    """The latest verification of each set of a repository."""
    columns = backup_verifications.c
    statement = (
        select(*[columns[name] for name in Verification.__dataclass_fields__])
        .where(columns.repository == repository)
        .distinct(columns.set_id)
        .order_by(columns.set_id, columns.checked.desc())
    )
    with store.transaction() as connection:
        return {row.set_id: Verification(**row._mapping) for row in connection.execute(statement)}


def verification(store: Metastore, set_id: str, *, is_drill: bool = False) -> Verification | None:
    """The latest verification of a set, or its latest drill."""
    columns = backup_verifications.c
    statement = select(*[columns[name] for name in Verification.__dataclass_fields__]).where(columns.set_id == set_id)
    if is_drill:
        statement = statement.where(columns.kind == "drill")
    with store.transaction() as connection:
        row = connection.execute(statement.order_by(columns.checked.desc()).limit(1)).one_or_none()
    return None if row is None else Verification(**row._mapping)


def attempts(store: Metastore, *, repository: str | None = None, limit: int = 100) -> list[Attempt]:
    """The last sets that were made or begun, newest first."""
    columns = backup_sets.c
    statement = select(*[columns[name] for name in Attempt.__dataclass_fields__])
    if repository is not None:
        statement = statement.where(columns.repository == repository)
    with store.transaction() as connection:
        found = connection.execute(statement.order_by(columns.started.desc()).limit(limit))
        return [Attempt(**row._mapping) for row in found]


def keep_state(store: Metastore, address: str, state: Mapping[str, Any]) -> None:
    """Keep how a repository is now, in place of how it was."""
    values = {"observed": func.clock_timestamp(), "state": dict(state)}
    statement = insert(backup_states).values(address=address, **values)
    with store.transaction() as connection:
        connection.execute(statement.on_conflict_do_update(index_elements=["address"], set_=values))


def state_of(store: Metastore, address: str) -> State | None:
    """How a repository was when it was looked at last."""
    return _state(store, select(backup_states).where(backup_states.c.address == address))


def latest_state(store: Metastore) -> State | None:
    """The repository that was looked at last."""
    return _state(store, select(backup_states).order_by(backup_states.c.observed.desc()).limit(1))


def _state(store: Metastore, statement: Any) -> State | None:
    with store.transaction() as connection:
        row = connection.execute(statement).one_or_none()
    return None if row is None else State(**row._mapping)
