"""Watched streams: how far each was looked at, what it held then, and which slots of servers are ours.

What changed goes into the journal in the transaction that moves the position, so that a watcher which is killed
loses nothing and tells nothing twice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from data_workbench.metastore.database import Metastore, copy_into, draft_like
from data_workbench.metastore.tables.watching import watched_rows, watched_slots, watches

How = Literal["wal", "cursor", "compare"]
_PAGE = 20_000


@dataclass(frozen=True)
class Watch:
    """A stream that is watched.

    Args:
        dataset: the stream as the journal calls it.
        namespace, name: as OpenLineage calls it.
        position: of a cursor, or in the log; None before the first look.
        checked: when it was last looked at.
        seen: how many changes were found.
    """

    id: int
    connection: str
    stream: str
    dataset: str
    how: How
    key: list[str]
    namespace: str
    name: str
    position: dict[str, Any] | None
    checked: datetime | None
    seen: int


_SHOWN = [watches.c[name] for name in Watch.__dataclass_fields__]


def listed(store: Metastore) -> list[Watch]:
    """All of them, by connection and stream."""
    with store.transaction() as session:
        rows = session.execute(select(*_SHOWN).order_by(watches.c.connection, watches.c.stream))
        return [Watch(**row._mapping) for row in rows]


def register(store: Metastore, found: Mapping[str, Any]) -> Watch:
    """Note that a stream is watched; if how, or its key, has changed, it begins anew.

    Args:
        found: connection, stream, dataset, how, key, namespace, name.
    """
    mine = (watches.c.connection == found["connection"], watches.c.stream == found["stream"])
    with store.transaction() as session:
        known = session.execute(select(*_SHOWN).where(*mine)).one_or_none()
        if known is not None and (known.how, known.key) != (found["how"], found["key"]):
            session.execute(delete(watches).where(*mine))
        statement = insert(watches).values(**found)
        again = {name: statement.excluded[name] for name in ("dataset", "namespace", "name")}
        session.execute(statement.on_conflict_do_update(constraint="watches_once", set_=again))
        return Watch(**session.execute(select(*_SHOWN).where(*mine)).one()._mapping)


def forget(store: Metastore, watch: Watch) -> None:
    """Watch a stream no longer; what was found stays in the journal."""
    with store.transaction() as session:
        session.execute(delete(watches).where(watches.c.id == watch.id))


def hold(session: Connection, connection_id: str) -> bool:
    """Keep other watchers of a connection away until the transaction ends; whether nobody is at it already."""
    statement = text("SELECT pg_try_advisory_xact_lock(hashtextextended(:name, 23))")
    return bool(session.scalar(statement, {"name": connection_id}))


def is_as(session: Connection, watch: Watch) -> bool:
    """Whether nobody has looked at the stream since this was told of it."""
    return session.scalar(select(watches.c.checked).where(watches.c.id == watch.id)) == watch.checked


def position_of(session: Connection, watch: Watch) -> dict[str, Any] | None:
    """How far it was looked at."""
    found: dict[str, Any] | None = session.scalar(select(watches.c.position).where(watches.c.id == watch.id))
    return found


def move(session: Connection, watch: Watch, position: dict[str, Any] | None, seen: int) -> None:
    """Note how far a stream was looked at, and how much more was found."""
    values = {"position": position, "seen": watches.c.seen + seen, "checked": func.clock_timestamp()}
    session.execute(update(watches).where(watches.c.id == watch.id).values(**values))


# ----------------------------------------------------------------------------------------------------------- rows


@dataclass(frozen=True)
class Kept:
    """A row as it was seen last."""

    hash: int
    row: dict[str, Any] | None


def kept_rows(session: Connection, watch: Watch, keys: Collection[str]) -> dict[str, Kept]:
    """Those of these keys that were seen before."""
    c = watched_rows.c
    statement = select(c.key, c.hash, c.row).where(c.watch_id == watch.id, c.key.in_(list(keys)))
    return {row.key: Kept(row.hash, row.row) for row in session.execute(statement)}


def all_hashes(session: Connection, watch: Watch) -> Iterator[Sequence[tuple[str, int]]]:
    """Keys and hashes of all rows, page by page."""
    c = watched_rows.c
    statement = select(c.key, c.hash).where(c.watch_id == watch.id)
    found = session.execute(statement, execution_options={"yield_per": _PAGE})
    for page in found.partitions():
        yield [(row.key, row.hash) for row in page]


def keep_rows(session: Connection, watch: Watch, rows: Mapping[str, Kept | None]) -> None:
    """Note rows as they are now; None are gone."""
    from data_workbench.records.values import dumps

    gone = [key for key, one in rows.items() if one is None]
    if gone:
        session.execute(delete(watched_rows).where(watched_rows.c.watch_id == watch.id, watched_rows.c.key.in_(gone)))
    here = ((watch.id, key, one.hash, dumps(one.row) if one.row is not None else None)
            for key, one in rows.items() if one is not None)  # fmt: skip
    columns = ("watch_id", "key", "hash", "row")
    draft = draft_like(session, watched_rows, columns)
    copy_into(session, draft, columns, here)
    session.exec_driver_sql(
        f"INSERT INTO watched_rows (watch_id, key, hash, row) SELECT watch_id, key, hash, row FROM {draft}"
        " ON CONFLICT (watch_id, key) DO UPDATE SET hash = excluded.hash, row = excluded.row"
    )
    session.exec_driver_sql(f"DROP TABLE {draft}")


def empty(session: Connection, watch: Watch) -> None:
    """Nothing is known of its rows."""
    session.execute(delete(watched_rows).where(watched_rows.c.watch_id == watch.id))


# ---------------------------------------------------------------------------------------------------------- slots


@dataclass(frozen=True)
class OwnSlot:
    """A slot that is ours; `position` is None until it was made."""

    connection: str
    slot: str
    position: str | None
    checked: datetime | None


def slots(store: Metastore) -> dict[str, OwnSlot]:
    """By connection."""
    c = watched_slots.c
    with store.transaction() as session:
        rows = session.execute(select(c.connection, c.slot, c.position, c.checked))
        return {row.connection: OwnSlot(*row) for row in rows}


def claim_slot(store: Metastore, connection_id: str, slot: str) -> None:
    """Say that a slot is ours before it is made, so that one made by a killed watcher is known."""
    with store.transaction() as session:
        session.execute(insert(watched_slots).values(connection=connection_id, slot=slot).on_conflict_do_nothing())


def move_slot(session: Connection, connection_id: str, position: str | None) -> None:
    """Note how far the log was read."""
    session.execute(
        update(watched_slots)
        .where(watched_slots.c.connection == connection_id)
        .values(position=position, checked=func.clock_timestamp())
    )


def slot_position(session: Connection, connection_id: str) -> str:
    """How far the log was read."""
    statement = select(watched_slots.c.position).where(watched_slots.c.connection == connection_id)
    return str(session.scalar(statement) or "0/0")


def forget_slot(store: Metastore, connection_id: str) -> None:
    """The slot is gone."""
    with store.transaction() as session:
        session.execute(delete(watched_slots).where(watched_slots.c.connection == connection_id))


def readers(store: Metastore, namespace: str, name: str) -> list[str]:
    """Pipelines whose last run read a dataset, by lineage."""
    statement = text(
        "SELECT DISTINCT substr(split_part(j.name, '.', 1), 11) FROM lineage_standing s"
        " JOIN lineage_jobs j ON j.id = s.job_id JOIN lineage_dataset_edges e ON e.version_id = s.version_id"
        " JOIN lineage_datasets d ON d.id = e.dataset_id"
        " WHERE j.namespace = 'workbench' AND j.name LIKE 'pipeline\\_\\_%' AND e.role = 'input'"
        " AND d.namespace = :namespace AND d.name = :name ORDER BY 1"
    )
    with store.transaction() as session:
        return list(session.scalars(statement, {"namespace": namespace, "name": name}))
