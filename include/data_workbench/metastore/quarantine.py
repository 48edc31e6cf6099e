"""Rejected rows, each with the rules it broke, and what became of it.

open        waits for somebody, or for a valid row of its key
replayed    was sent through its pipeline again by hand
resolved    a later run brought a valid row of its key
superseded  a later run rejected the same key again: that record is the open one now
discarded   somebody decided to drop it
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import Connection, Row, Select, any_, delete, func, literal, select, text, update

from data_workbench.errors import StateError
from data_workbench.metastore import audit
from data_workbench.metastore.database import Metastore, copy_into, draft_like
from data_workbench.metastore.tables.records import quarantine
from data_workbench.records.values import dumps, jsonable, key_text, storable

QuarantineState = Literal["open", "replayed", "resolved", "superseded", "discarded"]

_MOST_TOLD = 1_000
"""Ids of records named in one entry of the audit trail."""
_FIELDS = ("pipeline", "run_id", "node", "source", "rules", "reason", "key", "row", "ordinal", "seq")


@dataclass(frozen=True)
class Rejected:
    """A row to be kept. `ordinal` and `seq` (for rows a step made of one) tell it from others of its run and node.

    Args:
        node: the source, step or destination that rejected it.
        source: the source it was read from.
        key: its key, if it has one.
        row: its values; see `values.rows_of` for rows of Arrow.
    """

    node: str
    rules: Sequence[str]
    reason: str
    row: Mapping[str, Any]
    ordinal: int
    key: Mapping[str, Any] | None = None
    source: str | None = None
    seq: int = 0


@dataclass(frozen=True)
class Record:
    """A kept row; `key` and `row` are JSON, and `row` stays as it was rejected.

    `edits` are the corrections made since, oldest first: `at`, `by`, and `set`, the columns with their new values.
    """

    id: int
    pipeline: str
    run_id: str
    node: str
    source: str | None
    rules: list[str]
    reason: str
    key: dict[str, Any] | None
    row: dict[str, Any]
    ordinal: int
    seq: int
    state: QuarantineState
    created: datetime
    changed: datetime | None
    changed_by: str | None
    edits: list[dict[str, Any]] | None = None


def add(store: Metastore, pipeline: str, run_id: str, rejected: Iterable[Rejected]) -> int:
    """Keep rows, by COPY; those kept before a crash are not kept twice. The number that is new."""
    with store.transaction() as connection:
        draft = draft_like(connection, quarantine, _FIELDS)
        copy_into(connection, draft, _FIELDS, (_values(pipeline, run_id, one) for one in rejected))
        names = ", ".join(f'"{name}"' for name in _FIELDS)
        return connection.execute(
            text(
                f"INSERT INTO quarantine ({names}) SELECT {names} FROM {draft}"
                " ON CONFLICT ON CONSTRAINT quarantine_once DO NOTHING"
            )
        ).rowcount


def clear(store: Metastore, run_id: str, *, nodes: Collection[str] | None = None) -> int:
    """Remove what an unfinished stage of a run kept, before that stage is made anew; the number removed."""
    statement = delete(quarantine).where(quarantine.c.run_id == run_id, quarantine.c.state == "open")
    if nodes is not None:
        statement = statement.where(quarantine.c.node.in_(list(nodes)))
    with store.transaction() as connection:
        return connection.execute(statement).rowcount


def list_records(
    store: Metastore,
    *,
    pipeline: str | None = None,
    run_id: str | None = None,
    state: QuarantineState | None = "open",
    rule: str | None = None,
    limit: int | None = 100,
    after: int = 0,
) -> list[Record]:
    """Records by id; give the last one's id as `after` for the next page."""
    statement = _chosen(pipeline, run_id, state, rule).where(quarantine.c.id > after).order_by(quarantine.c.id)
    with store.transaction() as connection:
        return [_record(row) for row in connection.execute(statement.limit(limit))]


def of_key(store: Metastore, pipelines: Collection[str], values: Sequence[str]) -> list[Record]:
    """Records of these pipelines whose key has exactly these values, whatever its columns are called; by id.

    A step may have renamed the columns before a destination took them for its key.
    """
    same = text(
        "key IS NOT NULL AND (SELECT array_agg(value ORDER BY value) FROM json_each_text(key::json))"
        " = CAST(:values AS text[])"
    ).bindparams(values=sorted(values))
    statement = select(quarantine).where(quarantine.c.pipeline.in_(list(pipelines)), same).order_by(quarantine.c.id)
    with store.transaction() as connection:
        return [_record(row) for row in connection.execute(statement)]


def iter_records(store: Metastore, *, pipeline: str, run_id: str | None = None, page: int = 5000) -> Iterator[Record]:
    """All open records of a pipeline, a page of memory at a time."""
    after = 0
    while records := list_records(store, pipeline=pipeline, run_id=run_id, limit=page, after=after):
        yield from records
        after = records[-1].id


def get(store: Metastore, record_id: int) -> Record:
    """One record. Raises StateError if there is none."""
    return get_all(store, [record_id])[0]


def get_all(store: Metastore, ids: Collection[int]) -> list[Record]:
    """The records of these ids in their order, each once. Raises StateError for the first that is not there."""
    wanted = list(dict.fromkeys(ids))
    with store.transaction() as connection:
        rows = connection.execute(select(quarantine).where(quarantine.c.id.in_(wanted)))
        found = {row.id: _record(row) for row in rows}
    for one in wanted:
        if one not in found:
            raise StateError(f"no quarantined record {one}", hint="list them: workbench quarantine list")
    return [found[one] for one in wanted]


def count(
    store: Metastore,
    *,
    pipeline: str | None = None,
    run_id: str | None = None,
    state: QuarantineState | None = "open",
    rule: str | None = None,
) -> int:
    """How many records."""
    chosen = _chosen(pipeline, run_id, state, rule).with_only_columns(quarantine.c.id).subquery()
    with store.transaction() as connection:
        return connection.scalar(select(func.count()).select_from(chosen)) or 0


def note_seen(store: Metastore, ids: Collection[int], author: audit.Author) -> None:
    """Tell the audit trail that somebody is shown records with what is classified in them."""
    with store.transaction() as connection:
        details = {"records": sorted(ids)[:_MOST_TOLD], "asked": len(ids)}
        audit.append(connection, author, audit.Act("quarantine.unmasked", _pipelines_of(connection, ids), details))


def mark(
    store: Metastore, ids: Collection[int], state: QuarantineState, *, by: str, author: audit.Author | None = None
) -> int:
    """Change the state of open records by hand; `by` is a user or a run id. The number changed."""
    with store.transaction() as connection:
        return close(connection, ids, state, by=by, author=author or audit.Author.of_process())


def close(
    connection: Connection, ids: Collection[int], state: QuarantineState, *, by: str, author: audit.Author
) -> int:
    """The same in the caller's transaction; told in the audit trail."""
    changed = _mark(connection, ids, state, by)
    if ids:
        details = {"records": sorted(ids)[:_MOST_TOLD], "asked": len(ids), "changed": changed, "by": by}
        act = audit.Act(f"quarantine.{state}", _pipelines_of(connection, ids), details)
        audit.append(connection, author, act)
    return changed


def edit(
    store: Metastore, record_id: int, values: Mapping[str, Any], *, by: str, author: audit.Author | None = None
) -> Record:
    """Note corrected values of an open record, with who and when; a replay uses them.

    Raises:
        StateError: there is no such record, or it is not open any more.
    """
    with store.transaction() as connection:
        row = connection.execute(select(quarantine).where(quarantine.c.id == record_id).with_for_update()).one_or_none()
        if row is None or row.state != "open":
            state = "is not there" if row is None else f"is {row.state}"
            raise StateError(
                f"quarantined record {record_id} {state}", hint="only open ones are edited: workbench quarantine list"
            )
        noted = {"at": datetime.now(UTC).isoformat(), "by": by, "set": jsonable(values)}
        changed = {"edits": [*(row.edits or ()), noted]}
        connection.execute(update(quarantine).where(quarantine.c.id == record_id).values(changed))
        # The columns, not the values: those are data, and stand in the record.
        act = audit.Act("quarantine.edited", row.pipeline, {"record": record_id, "columns": sorted(values), "by": by})
        found = connection.execute(select(quarantine).where(quarantine.c.id == record_id)).one()
        audit.append(connection, author or audit.Author.of_process(), act)
        return _record(found)


def settle(connection: Connection, pipeline: str, run_id: str, resolved: Collection[int]) -> None:
    """What a published run means for older records; called by `runs.publish` in its transaction.

    Records in `resolved` are resolved; older ones of a key that this run rejected again are superseded.
    """
    _mark(connection, resolved, "resolved", run_id)
    statement = text(
        "UPDATE quarantine AS old SET state = 'superseded', changed = now(), changed_by = :run_id"
        " FROM (SELECT DISTINCT node, md5(key) AS hash FROM quarantine"
        "       WHERE run_id = :run_id AND state = 'open' AND key IS NOT NULL) AS latest"
        " WHERE old.pipeline = :pipeline AND old.state = 'open' AND old.run_id <> :run_id"
        " AND old.node = latest.node AND md5(old.key) = latest.hash"
    )
    connection.execute(statement, {"pipeline": pipeline, "run_id": run_id})


def expire(store: Metastore, moment: datetime) -> int:
    """Remove records that are no longer open and changed before `moment`; the number removed."""
    statement = delete(quarantine).where(quarantine.c.state != "open", quarantine.c.changed < moment)
    with store.transaction() as connection:
        return connection.execute(statement).rowcount


def _pipelines_of(connection: Connection, ids: Collection[int]) -> str:
    statement = text("SELECT DISTINCT pipeline FROM quarantine WHERE id = ANY(CAST(:ids AS bigint[])) ORDER BY 1")
    return ", ".join(connection.scalars(statement, {"ids": list(ids)})) or "quarantine"


def _mark(connection: Connection, ids: Collection[int], state: QuarantineState, by: str) -> int:
    if not ids:
        return 0
    statement = text(
        "UPDATE quarantine SET state = :state, changed = now(), changed_by = :by"
        " WHERE state = 'open' AND id = ANY(CAST(:ids AS bigint[]))"
    )
    return connection.execute(statement, {"state": state, "by": by, "ids": list(ids)}).rowcount


def _chosen(
    pipeline: str | None, run_id: str | None, state: QuarantineState | None, rule: str | None = None
) -> Select[Any]:
    statement = select(quarantine)
    if rule is not None:
        statement = statement.where(literal(rule) == any_(quarantine.c.rules))
    if pipeline is not None:
        statement = statement.where(quarantine.c.pipeline == pipeline)
    if run_id is not None:
        statement = statement.where(quarantine.c.run_id == run_id)
    if state is not None:
        statement = statement.where(quarantine.c.state == state)
    return statement


def _values(pipeline: str, run_id: str, one: Rejected) -> tuple[Any, ...]:
    key = None if one.key is None else key_text(one.key)
    rules = [storable(rule) for rule in one.rules]
    row = dumps(one.row)
    return (pipeline, run_id, one.node, one.source, rules, storable(one.reason), key, row, one.ordinal, one.seq)


def _record(row: Row[Any]) -> Record:
    values = dict(row._mapping)
    return Record(**{**values, "key": None if row.key is None else json.loads(row.key)})
