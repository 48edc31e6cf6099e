"""A table out of a set: the database is restored beside, then the table brought in line in one transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from data_workbench.backup import tables
from data_workbench.backup.pieces import Key
from data_workbench.backup.postgres_restore import PostgresRestore, named_beside
from data_workbench.connectors.postgres.client import connect, translating
from data_workbench.connectors.postgres.names import parse_relation
from data_workbench.errors import SchemaConflict, StateError, UsageError

if TYPE_CHECKING:
    from data_workbench.backup.content import Reader
    from data_workbench.backup.manifest import StoredStore
    from data_workbench.connectors.connections import Connection

_COLUMNS = """
SELECT attname, format_type(atttypid, atttypmod), attgenerated <> '', attidentity = 'a' FROM pg_attribute
 WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attname
"""
_PRIMARY = """
SELECT a.attname FROM pg_index i, unnest(i.indkey) WITH ORDINALITY AS k(number, place), pg_attribute a
 WHERE i.indrelid = %s::regclass AND i.indisprimary AND k.place <= i.indnkeyatts
   AND a.attrelid = i.indrelid AND a.attnum = k.number ORDER BY k.place
"""
_TRIGGERS = """
SELECT tgname, tgenabled FROM pg_trigger WHERE tgrelid = %s::regclass AND NOT tgisinternal AND tgenabled <> 'D'
"""
_ENABLE = {"O": sql.SQL("ENABLE"), "R": sql.SQL("ENABLE REPLICA"), "A": sql.SQL("ENABLE ALWAYS")}
_PIECE = sql.Identifier("_wb_piece")


class TablePiece(PostgresRestore):
    """One table, or the rows of a key in it."""

    def __init__(
        self, connection: Connection, stored: StoredStore, reader: Reader, *, stamp: str, table: str, key: Key | None
    ) -> None:
        super().__init__(connection, stored, reader, stamp=stamp)
        self._table, self._key = parse_relation(table), key

    def check(self) -> None:
        """As for a whole database; and the table must be there, with columns for the key.

        Raises:
            SchemaConflict: there is no such table any more.
            UsageError: it has no such column.
        """
        super().check()
        with connect(self._config) as session, translating(self._config.address):
            found = session.execute("SELECT to_regclass(%s)", (self._quoted,)).fetchone()
            if found is None or found[0] is None:
                raise SchemaConflict(
                    f"there is no table {self._table.stream} in {self._config.address}",
                    hint="restore the database beside, and copy it from there: workbench backup restore --beside NAME",
                )
            known = [row[0] for row in session.execute(_COLUMNS, (self._quoted,))]
        unknown = next((name for name in self._key or () if name not in known), None)
        if unknown is not None:
            raise UsageError(f"{self._table.stream} has no column {unknown!r}", hint=f"it has {', '.join(known)}")

    def restore(self) -> dict[str, Any]:
        """Bring the rows in line; the rows as they were are kept in a table beside.

        Raises:
            SchemaConflict: the table has other columns now.
            StateError: its rows would not be those of the set: nothing was changed.
        """
        address = self._config.address
        with (
            self._draft("piece") as draft,
            connect(self._at(draft)) as source,
            connect(self._config) as target,
            translating(address),
        ):
            return self._bring(source, target)

    def _bring(self, source: psycopg.Connection, target: psycopg.Connection) -> dict[str, Any]:
        columns = self._same_columns(source, target)
        kept = named_beside(self._table.name, f"replaced_{self._stamp}")
        names = sql.SQL(", ").join(map(sql.Identifier, columns))
        table, where = sql.Identifier(self._table.schema, self._table.name), self._where()
        with target.transaction():
            target.execute(sql.SQL("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE").format(table))
            target.execute(
                sql.SQL("CREATE TABLE {} AS SELECT * FROM ONLY {} WHERE {}").format(
                    sql.Identifier(self._table.schema, kept), table, where
                )
            )
            target.execute(
                sql.SQL("CREATE TEMP TABLE {} ON COMMIT DROP AS SELECT {} FROM ONLY {} WITH NO DATA").format(
                    _PIECE, names, table
                )
            )
            # As text: what refers to the catalogue (`regclass`) is a name in it, and another number in each database.
            read = sql.SQL("COPY (SELECT {} FROM ONLY {} WHERE {}) TO STDOUT").format(names, table, where)
            fill = sql.SQL("COPY {} FROM STDIN").format(_PIECE)
            with source.cursor().copy(read) as given, target.cursor().copy(fill) as taken:
                for block in given:
                    taken.write(block)
            with self._without_triggers(target, table):
                written, removed = self._merge(target, table, names, columns)
            self._compare(target)
        return {"written": written, "removed": removed, "replaced": f"{self._table.schema}.{kept}"}

    def _same_columns(self, source: psycopg.Connection, target: psycopg.Connection) -> list[str]:
        """Columns that can be written, where both have the same."""
        there = source.execute(_COLUMNS, (self._quoted,)).fetchall()
        here = target.execute(_COLUMNS, (self._quoted,)).fetchall()
        if there != here:
            changed = sorted({row[0] for row in {*there} ^ {*here}})
            raise SchemaConflict(
                f"{self._table.stream} has other columns than in the set: {', '.join(changed)}",
                hint="restore the database beside, and copy what you need: workbench backup restore --beside NAME",
            )
        return [name for name, _, is_generated, _ in here if not is_generated]

    def _merge(
        self, target: psycopg.Connection, table: sql.Identifier, names: sql.Composed, columns: list[str]
    ) -> tuple[int, int]:
        primary = [row[0] for row in target.execute(_PRIMARY, (self._quoted,))]
        if not primary:
            removed = target.execute(sql.SQL("DELETE FROM ONLY {} WHERE {}").format(table, self._where())).rowcount
            insert = sql.SQL("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {}")
            return target.execute(insert.format(table, names, names, _PIECE)).rowcount, removed
        same = sql.SQL(" AND ").join(sql.SQL("p.{0} = t.{0}").format(sql.Identifier(name)) for name in primary)
        removed = target.execute(
            sql.SQL("DELETE FROM ONLY {} t WHERE {} AND NOT EXISTS (SELECT FROM {} p WHERE {})").format(
                table, self._where(), _PIECE, same
            )
        ).rowcount
        fixed = {row[0] for row in target.execute(_COLUMNS, (self._quoted,)) if row[3]}  # takes no update
        rest = [name for name in columns if name not in primary and name not in fixed]
        pairs = sql.SQL(", ").join(sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in rest)
        ours = sql.SQL(", ").join(sql.SQL("t.{}::text").format(sql.Identifier(name)) for name in rest)
        theirs = sql.SQL(", ").join(sql.SQL("excluded.{}::text").format(sql.Identifier(name)) for name in rest)
        update = sql.SQL("DO UPDATE SET {} WHERE ROW({}) IS DISTINCT FROM ROW({})").format(pairs, ours, theirs)
        written = target.execute(
            sql.SQL("INSERT INTO {} AS t ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {} ON CONFLICT ({}) {}").format(
                table,
                names,
                names,
                _PIECE,
                sql.SQL(", ").join(map(sql.Identifier, primary)),
                update if rest else sql.SQL("DO NOTHING"),
            )
        ).rowcount
        return written, removed

    @contextmanager
    def _without_triggers(self, target: psycopg.Connection, table: sql.Identifier) -> Iterator[None]:
        """Rows are written as they were, not as triggers would have them; foreign keys hold all the same."""
        alter = sql.SQL("ALTER TABLE {} {} TRIGGER {}")
        found = target.execute(_TRIGGERS, (self._quoted,)).fetchall()
        for name, _ in found:
            target.execute(alter.format(table, sql.SQL("DISABLE"), sql.Identifier(name)))
        yield
        target.execute("SET CONSTRAINTS ALL IMMEDIATE")  # a table that waits for deferred checks takes no change
        for name, state in found:
            target.execute(alter.format(table, _ENABLE[state], sql.Identifier(name)))

    def _compare(self, target: psycopg.Connection) -> None:
        """The whole table must be the set's; a rule or a policy may have made something else of it."""
        if self._key is None and tables.fingerprint(target, self._table) != self._stored.streams[self._table.stream]:
            raise StateError(
                f"{self._table.stream} would not be what the set has: does a rule or a policy change what is written?",
                hint="nothing was changed; restore the database beside: workbench backup restore --beside NAME",
            )

    def _where(self) -> sql.Composable:
        """The rows that are meant."""
        if not self._key:
            return sql.SQL("true")
        same = (
            sql.SQL("{}::text = {}").format(sql.Identifier(name), sql.Literal(_text(value)))
            for name, value in self._key.items()
        )
        return sql.SQL(" AND ").join(same)

    @property
    def _quoted(self) -> str:
        return sql.Identifier(self._table.schema, self._table.name).as_string()


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
