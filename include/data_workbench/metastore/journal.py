"""The journal's rows: one for each part of a load, noted before it is written and again when it is.

What `content` holds is the business of the room `journal`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Final, Literal

from sqlalchemy import Connection, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from data_workbench.metastore.database import Metastore
from data_workbench.metastore.tables.records import journal

Cause = Literal["load", "stream", "replace", "repair", "delete", "compare", "watch"]
"""`load`: a part of a load. `stream`: a load seen as a whole, without keys. `replace`: what else the pipeline had there
is gone. `repair`, `delete`: a comparison put right what differed. `compare`: no writing; keys that were read back as
they were written, with hashes of their rows. `watch`: no writing either; changes that were found in a watched stream,
whoever made them."""
OURS: Final[tuple[Cause, ...]] = ("load", "stream", "replace", "repair", "delete", "compare")
"""All but `watch`: what the workbench did itself."""


@dataclass(frozen=True)
class Origin:
    """Who writes what: a target of a pipeline's run.

    Args:
        store: the connection's type.
        kind: of target: table, node, relationship, collection, resource, file.
        dataset: the target's name: a table, `(Label)`, `(A)-[:TYPE]->(B)`, a collection.
        definition_hash: the version of the pipeline.
    """

    connection: str
    store: str
    kind: str
    dataset: str
    pipeline: str
    definition_hash: str
    run_id: str
    destination: str
    target_index: int


@dataclass(frozen=True)
class Entry(Origin):
    """One row of the journal.

    `id` orders entries as they were begun. `written` is None for what may or may not have been written: its process
    was killed between the two notes, and the run not taken up again. `rows` is None where nobody could say.
    """

    id: int
    cause: Cause
    part: int
    rows: int | None
    begun: datetime
    written: datetime | None
    has_keys: bool


_SHOWN = [
    *(journal.c[item.name] for item in fields(Entry) if item.name != "has_keys"),
    journal.c.content.is_not(None).label("has_keys"),
]


def begin(store: Metastore, origin: Origin, cause: Cause, part: int, rows: int | None, content: bytes | None) -> None:
    """Note a part that is about to be written; again after a crash, where it stands already."""
    values = {**asdict(origin), "cause": cause, "part": part, "rows": rows, "content": content}
    statement = insert(journal).values(values)
    again = {"rows": statement.excluded.rows, "content": statement.excluded.content}
    key = ["run_id", "destination", "target_index", "cause", "part"]
    with store.transaction() as connection:
        connection.execute(statement.on_conflict_do_update(index_elements=key, set_=again))


def add(session: Connection, origin: Origin, part: int, rows: int, content: bytes) -> None:
    """Add changes that were found in a watched stream, in the session's transaction."""
    values = {**asdict(origin), "cause": "watch", "part": part, "rows": rows, "content": content}
    session.execute(insert(journal).values(**values, written=func.clock_timestamp()))


def confirm(store: Metastore, origin: Origin, cause: Cause, *, below: int) -> None:
    """Note that the parts before number `below` are written."""
    statement = (
        update(journal)
        .where(journal.c.run_id == origin.run_id, journal.c.destination == origin.destination)
        .where(journal.c.target_index == origin.target_index, journal.c.cause == cause)
        .where(journal.c.part < below, journal.c.written.is_(None))
        .values(written=func.clock_timestamp())
    )
    with store.transaction() as connection:
        connection.execute(statement)


def withdraw(store: Metastore, origin: Origin, cause: Cause) -> None:
    """Take back what was noted and then not written."""
    statement = (
        delete(journal)
        .where(journal.c.run_id == origin.run_id, journal.c.destination == origin.destination)
        .where(journal.c.target_index == origin.target_index, journal.c.cause == cause, journal.c.written.is_(None))
    )
    with store.transaction() as connection:
        connection.execute(statement)


def entries(
    store: Metastore,
    *,
    connection: str | None = None,
    dataset: str | None = None,
    run_id: str | None = None,
    causes: Sequence[Cause] = OURS,
    since: datetime | None = None,
    until: datetime | None = None,
    after: int | None = None,
    upto: int | None = None,
) -> list[Entry]:
    """Entries that fit, in the order they were begun.

    Args:
        after, upto: positions: the first is excluded, the last is not.
        since, until: those that were, or may have been, at work in this span: written after `since`, begun by `until`.
    """
    statement = select(*_SHOWN).where(journal.c.cause.in_(causes)).order_by(journal.c.id)
    for column, value in (("connection", connection), ("dataset", dataset), ("run_id", run_id)):
        if value is not None:
            statement = statement.where(journal.c[column] == value)
    if since is not None:
        statement = statement.where(journal.c.written.is_(None) | (journal.c.written > since))
    if until is not None:
        statement = statement.where(journal.c.begun <= until)
    if after is not None:
        statement = statement.where(journal.c.id > after)
    if upto is not None:
        statement = statement.where(journal.c.id <= upto)
    with store.transaction() as session:
        return [Entry(**row._mapping) for row in session.execute(statement)]


def writers(store: Metastore) -> dict[tuple[str, str], set[str]]:
    """The pipelines that wrote each dataset, by connection and dataset."""
    statement = select(journal.c.connection, journal.c.dataset, journal.c.pipeline).distinct()
    statement = statement.where(journal.c.cause.in_(OURS))
    found: dict[tuple[str, str], set[str]] = {}
    with store.transaction() as session:
        for connection, dataset, pipeline in session.execute(statement):
            found.setdefault((connection, dataset), set()).add(pipeline)
    return found


def stores(store: Metastore) -> dict[str, str]:
    """The kind of store behind each connection that the journal knows."""
    with store.transaction() as session:
        found = session.execute(select(journal.c.connection, journal.c.store).distinct())
        return {row.connection: row.store for row in found}


def position(store: Metastore) -> tuple[int, datetime]:
    """The number of the newest entry, 0 for an empty journal, and the metastore's clock."""
    with store.transaction() as session:
        [row] = session.execute(select(func.coalesce(func.max(journal.c.id), 0), func.clock_timestamp()))
        return int(row[0]), row[1]


def oldest(store: Metastore) -> int:
    """The number of the oldest entry that is kept; 0 for an empty journal."""
    with store.transaction() as session:
        return int(session.scalar(select(func.coalesce(func.min(journal.c.id), 0))) or 0)


def contents(store: Metastore, ids: Sequence[int]) -> Iterator[tuple[int, bytes]]:
    """What these entries hold, one at a time; those without keys are left out."""
    with store.transaction() as session:
        for number in ids:
            found = session.scalar(select(journal.c.content).where(journal.c.id == number))
            if found is not None:
                yield number, bytes(found)


def expire(store: Metastore, before: datetime) -> int:
    """Remove entries begun before a moment; how many."""
    with store.transaction() as session:
        return session.execute(delete(journal).where(journal.c.begun < before)).rowcount
