"""Stored vectors by hash: what was in the vector store right after the write, read back.

Reconciliation compares them with what is there later, so a vector that somebody changed is noticed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, select, text

from data_workbench.metastore.database import Metastore, copy_into, draft_like
from data_workbench.metastore.tables.records import vector_fingerprints

_FIELDS = ("dataset", "collection", "key", "vector_hash", "text_hash", "model", "run_id")
_PAGE = 10_000


@dataclass(frozen=True)
class Fingerprint:
    """One point: the hash of its vector as the store gives it back, of its text, and the model."""

    key: str
    vector_hash: str
    text_hash: str | None
    model: str | None


def upsert(store: Metastore, dataset: str, collection: str, fingerprints: Iterable[Fingerprint], *, run_id: str) -> int:
    """Keep fingerprints, by COPY; a key that occurs twice keeps the last. The number kept."""
    latest = {one.key: one for one in fingerprints}
    rows = (
        (dataset, collection, key, one.vector_hash, one.text_hash, one.model, run_id) for key, one in latest.items()
    )
    names = ", ".join(_FIELDS)
    changed = ", ".join(f"{name} = excluded.{name}" for name in _FIELDS[3:])
    with store.transaction() as connection:
        draft = draft_like(connection, vector_fingerprints, _FIELDS)
        copy_into(connection, draft, _FIELDS, rows)
        return connection.execute(
            text(
                f"INSERT INTO vector_fingerprints ({names}) SELECT {names} FROM {draft}"
                f" ON CONFLICT (dataset, collection, key) DO UPDATE SET {changed}"
            )
        ).rowcount


def lookup(store: Metastore, dataset: str, collection: str, keys: Sequence[str]) -> dict[str, Fingerprint]:
    """The fingerprints of these points, by key; those not kept are left out."""
    statement = text(
        "SELECT key, vector_hash, text_hash, model FROM vector_fingerprints"
        " WHERE dataset = :dataset AND collection = :collection AND key = ANY(CAST(:keys AS text[]))"
    )
    found: dict[str, Fingerprint] = {}
    with store.transaction() as connection:
        for start in range(0, len(keys), _PAGE):
            page = list(keys[start : start + _PAGE])
            rows = connection.execute(statement, {"dataset": dataset, "collection": collection, "keys": page})
            found.update((row.key, Fingerprint(**row._mapping)) for row in rows)
    return found


def scan(store: Metastore, dataset: str, collection: str) -> Iterator[list[Fingerprint]]:
    """All fingerprints of a collection by key, in pages."""
    table = vector_fingerprints.c
    last = ""
    while True:
        statement = (
            select(table.key, table.vector_hash, table.text_hash, table.model)
            .where(table.dataset == dataset, table.collection == collection, table.key > last)
            .order_by(table.key)
            .limit(_PAGE)
        )
        with store.transaction() as connection:
            page = [Fingerprint(**row._mapping) for row in connection.execute(statement)]
        if not page:
            return
        yield page
        last = page[-1].key


def remove(store: Metastore, dataset: str, collection: str, keys: Sequence[str] | None = None) -> int:
    """Forget points that are gone, or the whole collection; the number forgotten."""
    table = vector_fingerprints.c
    statement = delete(vector_fingerprints).where(table.dataset == dataset, table.collection == collection)
    if keys is not None:
        statement = statement.where(text("key = ANY(CAST(:keys AS text[]))").bindparams(keys=list(keys)))
    with store.transaction() as connection:
        return connection.execute(statement).rowcount
