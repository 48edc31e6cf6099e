"""Archives and their parts, so that rows are found without opening a file. What one is stands in its manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, String, bindparam, cast, delete, exc, func, literal, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY, insert

from data_workbench.metastore.database import Metastore
from data_workbench.metastore.tables.safekeeping import archive_parts, archive_texts, archives

State = Literal["written", "live", "restored", "replaced", "expired"]
_LEAST_BLOCK = 1
_CONFIGURATION = "simple"
"""Words as they are: what is archived is in many languages, and a stem of one is a stranger in the next."""


@dataclass(frozen=True)
class Archive:
    """An archive as it is registered. `written`: its rows are still in the table; `live`: some are only here."""

    archive: str
    shelf: str
    policy: str
    connection: str
    dataset: str
    database: str
    partition: str
    state: str
    rows: int
    live: int
    bytes: int
    raw_bytes: int
    manifest: str
    created: datetime
    retained_until: datetime | None
    legal_hold: bool


@dataclass(frozen=True)
class Part:
    """A file of an archive, with the range of its keys (`first_key`, `last_key`) and times."""

    archive: str
    part: int
    sha256: str
    rows: int
    bytes: int
    first_key: str
    last_key: str
    first_time: str
    last_time: str
    attributes: dict[str, list[str]]


@dataclass(frozen=True)
class Block:
    """Rows of a part that hold the words looked for."""

    archive: str
    part: int
    first_row: int
    rows: int


_ARCHIVE = [archives.c[name] for name in Archive.__dataclass_fields__]
_PART = [archive_parts.c[name] for name in Part.__dataclass_fields__]


def register(store: Metastore, archive: Archive, parts: Sequence[Part]) -> None:
    """Keep an archive with its parts; again is as good as once."""
    with store.transaction() as connection:
        connection.execute(insert(archives).values(**vars(archive)).on_conflict_do_nothing())
        connection.execute(insert(archive_parts).on_conflict_do_nothing(), [vars(part) for part in parts])


def set_state(store: Metastore, archive: str, state: State, *, live: int) -> None:
    """How an archive stands now."""
    with store.transaction() as connection:
        values = {"state": state, "live": live, "changed": func.clock_timestamp()}
        connection.execute(update(archives).where(archives.c.archive == archive).values(**values))


def set_hold(store: Metastore, archive: str, *, is_held: bool) -> None:
    """Whether an archive is under a legal hold."""
    with store.transaction() as connection:
        values = {"legal_hold": is_held, "changed": func.clock_timestamp()}
        connection.execute(update(archives).where(archives.c.archive == archive).values(**values))


def forget(store: Metastore, archive: str) -> None:
    """An archive that was given up before anything left its table."""
    with store.transaction() as connection:
        connection.execute(delete(archives).where(archives.c.archive == archive))


def forget_parts(store: Metastore, archive: str) -> None:
    """The files are gone, and with them what they were found by; that there was an archive is kept."""
    with store.transaction() as connection:
        connection.execute(delete(archive_parts).where(archive_parts.c.archive == archive))


def find(store: Metastore, archive: str) -> Archive | None:
    """One archive."""
    with store.transaction() as connection:
        row = connection.execute(select(*_ARCHIVE).where(archives.c.archive == archive)).one_or_none()
        return None if row is None else Archive(**row._mapping)


def list_archives(
    store: Metastore,
    *,
    policy: str | None = None,
    shelf: str | None = None,
    states: Sequence[str] = (),
    partition: str | None = None,
    attributes: Mapping[str, str] | None = None,
    since: str | None = None,
    until: str | None = None,
) -> list[Archive]:
    """Archives, oldest first.

    Args:
        attributes: some part has this value of each; a part that keeps no values of a column may have any.
        since, until: some part has rows of this time; texts that sort as times do.
    """
    statement = select(*_ARCHIVE).order_by(archives.c.policy, archives.c.created, archives.c.archive)
    for column, wanted in ((archives.c.policy, policy), (archives.c.shelf, shelf), (archives.c.partition, partition)):
        if wanted is not None:
            statement = statement.where(column == wanted)
    if states:
        statement = statement.where(archives.c.state.in_(states))
    if attributes or since or until:
        parts = _picked(select(archive_parts.c.archive), attributes or {}, since, until)
        statement = statement.where(archives.c.archive.in_(parts))
    with store.transaction() as connection:
        return [Archive(**row._mapping) for row in connection.execute(statement)]


def replaced(store: Metastore, *, shelf: str) -> list[tuple[Archive, datetime]]:
    """Archives of a shelf that a larger one replaced, and when."""
    statement = select(*_ARCHIVE, archives.c.changed).where(archives.c.shelf == shelf, archives.c.state == "replaced")
    with store.transaction() as connection:
        rows = connection.execute(statement.order_by(archives.c.policy, archives.c.created, archives.c.archive))
        return [(Archive(**{name: row[name] for name in Archive.__dataclass_fields__}), row["changed"])
                for row in rows.mappings()]  # fmt: skip


def attributes_of(store: Metastore, *, policy: str | None = None) -> list[str]:
    """Columns by whose values archives are listed."""
    statement = select(func.jsonb_object_keys(archive_parts.c.attributes)).distinct()
    if policy is not None:
        statement = statement.join(archives, archives.c.archive == archive_parts.c.archive)
        statement = statement.where(archives.c.policy == policy)
    with store.transaction() as connection:
        return sorted(connection.scalars(statement))


def parts_of(
    store: Metastore,
    names: Sequence[str],
    *,
    key: str | None = None,
    attributes: Mapping[str, str] | None = None,
    since: str | None = None,
    until: str | None = None,
) -> list[Part]:
    """Parts of these archives in their order, or those that may hold what is asked for.

    Args:
        key: the sortable text of the key's first column.
    """
    columns = archive_parts.c
    statement = select(*_PART).where(columns.archive.in_(names)).order_by(columns.archive, columns.part)
    if key is not None:
        statement = statement.where(columns.first_key <= key, columns.last_key >= key)
    statement = _picked(statement, attributes or {}, since, until)
    with store.transaction() as connection:
        return [Part(**row._mapping) for row in connection.execute(statement)]


def _picked(statement: Any, attributes: Mapping[str, str], since: str | None, until: str | None) -> Any:
    columns = archive_parts.c
    for name, value in attributes.items():
        has = columns.attributes.contains({name: [value]})
        statement = statement.where(has | ~columns.attributes.has_key(name))
    if since is not None:
        statement = statement.where(columns.last_time >= since)
    if until is not None:
        statement = statement.where(columns.first_time <= until)
    return statement


# ------------------------------------------------------------------------------------------------------ words


def index_words(store: Metastore, archive: str, part: int, first_row: int, texts: Sequence[str]) -> None:
    """Keep the words of a block of rows; one with too many words for a tsvector is halved."""
    try:
        with store.transaction() as connection:
            words = func.strip(func.to_tsvector(_CONFIGURATION, "\n".join(texts)))
            values = {"archive": archive, "part": part, "first_row": first_row, "rows": len(texts), "words": words}
            connection.execute(insert(archive_texts).values(**values).on_conflict_do_nothing())
    except exc.DBAPIError as error:
        # https://www.postgresql.org/docs/current/textsearch-limitations.html: 1 MB of words
        if getattr(error.orig, "sqlstate", None) != "54000" or len(texts) <= _LEAST_BLOCK:
            if getattr(error.orig, "sqlstate", None) == "54000":
                return index_words(store, archive, part, first_row, [texts[0][: len(texts[0]) // 2]])
            store.translate(error)
        middle = len(texts) // 2
        index_words(store, archive, part, first_row, texts[:middle])
        index_words(store, archive, part, first_row + middle, texts[middle:])


def blocks_with(store: Metastore, words: str, names: Sequence[str]) -> list[Block]:
    """Blocks of these archives' rows in which all the words stand."""
    columns = archive_texts.c
    query = func.plainto_tsquery(_CONFIGURATION, words)
    statement = (
        select(*[columns[name] for name in Block.__dataclass_fields__])
        .where(columns.archive.in_(names), columns.words.op("@@")(query))
        .order_by(columns.archive, columns.part, columns.first_row)
    )
    with store.transaction() as connection:
        return [Block(**row._mapping) for row in connection.execute(statement)]


def with_words(store: Metastore, words: str, texts: Sequence[str]) -> list[int]:
    """Places of the texts in which all the words stand, as the index reads them."""
    with store.transaction() as connection:
        return _matching(connection, words, texts)


def _matching(connection: Connection, words: str, texts: Sequence[str]) -> list[int]:
    given = cast(bindparam("texts", list(texts)), ARRAY(String))
    rows = func.unnest(given).table_valued("body", with_ordinality="place", name="given").render_derived()
    query = func.plainto_tsquery(_CONFIGURATION, literal(words))
    statement = select(rows.c.place).where(func.to_tsvector(_CONFIGURATION, rows.c.body).op("@@")(query))
    return [int(place) - 1 for place in connection.scalars(statement.order_by(rows.c.place))]


def has_words(store: Metastore, words: str) -> bool:
    """Whether a text has any word in it that could be looked for."""
    with store.transaction() as connection:
        found = connection.scalar(text("SELECT numnode(plainto_tsquery(:c, :w))"), {"c": _CONFIGURATION, "w": words})
    return bool(found)
