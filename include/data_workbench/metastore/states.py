"""Where sources were read up to.

A run stages the positions its reading reached; `runs.publish` makes them count once every destination has confirmed.
A position is kept per source and scope: the values of the parameters its `where` uses.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, func, literal, select
from sqlalchemy.dialects.postgresql import insert

from data_workbench.metastore import audit
from data_workbench.metastore.database import Metastore
from data_workbench.metastore.tables.runs import source_states, staged_states
from data_workbench.records.values import key_text


@dataclass(frozen=True)
class SourceState:
    """A position, and what was seen near it (`overlap`), so that rows read again are known."""

    state: dict[str, Any]
    overlap: bytes | None
    run_id: str


def scope_of(params: Mapping[str, Any]) -> str:
    """The scope of these parameter values; none have the scope `all`."""
    if not params:
        return "all"
    return hashlib.sha256(key_text(params).encode()).hexdigest()[:32]


def read(store: Metastore, pipeline: str, source: str, scope: str) -> SourceState | None:
    """The position the last published run reached, or None."""
    columns = source_states.c
    statement = select(columns.state, columns.overlap, columns.run_id).where(
        columns.pipeline == pipeline, columns.source == source, columns.scope == scope
    )
    with store.transaction() as connection:
        row = connection.execute(statement).one_or_none()
        return None if row is None else SourceState(**row._mapping)


def stage(
    store: Metastore, run_id: str, source: str, scope: str, *, state: Mapping[str, Any], overlap: bytes | None = None
) -> None:
    """Keep the position this run reached until it publishes; fine to call again."""
    values = {"state": dict(state), "overlap": overlap}
    statement = insert(staged_states).values(run_id=run_id, source=source, scope=scope, **values)
    with store.transaction() as connection:
        connection.execute(statement.on_conflict_do_update(index_elements=["run_id", "source", "scope"], set_=values))


def reset(
    store: Metastore,
    pipeline: str,
    *,
    source: str | None = None,
    scope: str | None = None,
    by: audit.Author | None = None,
    run_id: str | None = None,
) -> int:
    """Forget positions, so that the next run reads from the beginning; the number forgotten."""
    statement = delete(source_states).where(source_states.c.pipeline == pipeline)
    if source is not None:
        statement = statement.where(source_states.c.source == source)
    if scope is not None:
        statement = statement.where(source_states.c.scope == scope)
    with store.transaction() as connection:
        forgotten = connection.execute(statement).rowcount
        act = audit.Act("state.reset", pipeline, {"source": source, "scope": scope, "positions": forgotten}, run_id)
        audit.append(connection, by or audit.Author.of_process(), act)
        return forgotten


def move_forward(connection: Connection, pipeline: str, run_id: str) -> None:
    """Make the positions a run staged those of its pipeline; called by `runs.publish` in its transaction."""
    staged = staged_states.c
    chosen = select(
        literal(pipeline), staged.source, staged.scope, staged.state, staged.overlap, staged.run_id, func.now()
    ).where(staged.run_id == run_id)
    names = ["pipeline", "source", "scope", "state", "overlap", "run_id", "updated"]
    statement = insert(source_states).from_select(names, chosen)
    changed = {name: statement.excluded[name] for name in names[3:]}
    connection.execute(statement.on_conflict_do_update(index_elements=["pipeline", "source", "scope"], set_=changed))
    connection.execute(delete(staged_states).where(staged.run_id == run_id))
