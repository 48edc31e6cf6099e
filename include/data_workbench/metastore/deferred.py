"""Relationships whose endpoint was not there yet: kept until a later run or a repair finds both ends."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, select, text

from data_workbench.metastore.database import Metastore, copy_into, draft_like
from data_workbench.metastore.tables.records import deferred
from data_workbench.records.values import dumps, key_text

_FIELDS = ("pipeline", "destination", "target", "key_hash", "key", "row", "run_id")


@dataclass(frozen=True)
class Deferred:
    """A kept row of a relationship's input; `key` and `row` are JSON."""

    id: int
    target: str
    key: dict[str, Any]
    row: dict[str, Any]
    run_id: str


def put(
    store: Metastore,
    pipeline: str,
    destination: str,
    target: str,
    *,
    run_id: str,
    rows: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]],
) -> int:
    """Keep `(key, row)` pairs; a key that is kept already gets the new row. The number kept."""
    latest = {key_text(key): row for key, row in rows}
    values = ((pipeline, destination, target, _hash(key), key, dumps(row), run_id) for key, row in latest.items())
    names = ", ".join(f'"{name}"' for name in _FIELDS)
    with store.transaction() as connection:
        draft = draft_like(connection, deferred, _FIELDS)
        copy_into(connection, draft, _FIELDS, values)
        return connection.execute(
            text(
                f"INSERT INTO deferred ({names}) SELECT {names} FROM {draft}"
                " ON CONFLICT ON CONSTRAINT deferred_once"
                ' DO UPDATE SET "row" = excluded."row", run_id = excluded.run_id'
            )
        ).rowcount


def pending(
    store: Metastore,
    pipeline: str,
    destination: str,
    *,
    target: str | None = None,
    after: int = 0,
    limit: int | None = None,
) -> list[Deferred]:
    """Kept rows by id; give the last one's id as `after` for the next page."""
    columns = [deferred.c[name] for name in ("id", "target", "key", "row", "run_id")]
    statement = (
        select(*columns)
        .where(deferred.c.pipeline == pipeline, deferred.c.destination == destination, deferred.c.id > after)
        .order_by(deferred.c.id)
        .limit(limit)
    )
    if target is not None:
        statement = statement.where(deferred.c.target == target)
    with store.transaction() as connection:
        rows = connection.execute(statement).all()
    return [Deferred(row.id, row.target, json.loads(row.key), row.row, row.run_id) for row in rows]


def drop(store: Metastore, ids: Collection[int]) -> int:
    """Forget rows that are written now; the number forgotten."""
    statement = text("DELETE FROM deferred WHERE id = ANY(CAST(:ids AS bigint[]))")
    with store.transaction() as connection:
        return connection.execute(statement, {"ids": list(ids)}).rowcount


def drop_keys(store: Metastore, pipeline: str, destination: str, target: str, keys: Iterable[Mapping[str, Any]]) -> int:
    """Forget rows by key: their row came again, or was deleted. The number forgotten."""
    statement = text(
        "DELETE FROM deferred WHERE pipeline = :pipeline AND destination = :destination AND target = :target"
        " AND key_hash = ANY(CAST(:hashes AS bytea[]))"
    )
    hashes = [_hash(key_text(key)) for key in keys]
    values = {"pipeline": pipeline, "destination": destination, "target": target, "hashes": hashes}
    with store.transaction() as connection:
        return connection.execute(statement, values).rowcount


def clear(store: Metastore, pipeline: str, *, destination: str | None = None) -> int:
    """Forget all, as `--reset-state` does; the number forgotten."""
    statement = delete(deferred).where(deferred.c.pipeline == pipeline)
    if destination is not None:
        statement = statement.where(deferred.c.destination == destination)
    with store.transaction() as connection:
        return connection.execute(statement).rowcount


def count(store: Metastore, pipeline: str, destination: str) -> int:
    """How many are kept."""
    statement = select(func.count()).where(deferred.c.pipeline == pipeline, deferred.c.destination == destination)
    with store.transaction() as connection:
        return connection.scalar(statement) or 0


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
