"""Changes out of the server's log: a publication of the watched tables, and a logical slot that keeps their place.

The slot is read by its SQL functions, so a watcher needs no connection of its own kind and may live for seconds. It is
peeked at, and moved on once what was read is kept elsewhere; whoever is killed in between reads the same again.
A slot keeps log on the server's disk until it is read: `look` tells how much, and `drop` gives it back.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import psycopg
from psycopg import sql

from data_workbench.connectors.postgres import client
from data_workbench.connectors.postgres.config import PostgresConfig
from data_workbench.connectors.postgres.names import Relation
from data_workbench.connectors.postgres.pgoutput import Decoder, Message
from data_workbench.errors import AccessDenied, StateError, Unsupported

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connection

_PAGE: Final = 2_000
_IDENTITY = """
SELECT c.relreplident::text, c.relkind::text, c.relpersistence::text,
       EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid
               AND CASE c.relreplident WHEN 'd' THEN i.indisprimary ELSE i.indisreplident END)
FROM pg_catalog.pg_class c WHERE c.oid = pg_catalog.to_regclass(%s)
"""
_SLOT = """
SELECT plugin, database, active, wal_status, confirmed_flush_lsn::text,
       pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), restart_lsn)::int8
FROM pg_catalog.pg_replication_slots WHERE slot_name = %s
"""
_PUBLISHED = """
SELECT array_agg(t.schemaname || '.' || t.tablename)
FROM pg_catalog.pg_publication p LEFT JOIN pg_catalog.pg_publication_tables t USING (pubname)
WHERE p.pubname = %s HAVING count(*) > 0
"""


@dataclass(frozen=True)
class Slot:
    """What the server says of a slot; `confirmed` is how far it was read, `retained` bytes of log it holds back."""

    active: bool
    is_lost: bool
    confirmed: int
    retained: int


class Capture:
    """One database's log."""

    def __init__(self, connection: Connection, slot: str) -> None:
        self.config = PostgresConfig.of(connection)
        self.slot = slot
        self._connection = client.connect(self.config)
        self._aside: client.PatientConnection | None = None

    def close(self) -> None:
        """Give the connections back."""
        self._connection.close()
        if self._aside is not None:
            self._aside.close()

    # ------------------------------------------------------------------------------------------ slot and publication

    def look(self) -> Slot | None:
        """The slot; None if there is none.

        Raises:
            StateError: it is another program's, or of another database.
        """
        with client.translating(self.config.address):
            row = self._connection.execute(_SLOT, (self.slot,)).fetchone()
        if row is None:
            return None
        plugin, database, active, status, confirmed, retained = row
        if plugin != "pgoutput" or database != self.config.database:
            raise StateError(
                f"PostgreSQL {self.config.address}: slot {self.slot!r} is another's ({plugin}, {database})",
                hint="give another `slot` in the file of watches",
            )
        # A lost slot may tell no position any more.
        return Slot(active, status == "lost" or confirmed is None, lsn_number(confirmed or "0/0"), retained or 0)

    def publish(self, relations: Sequence[Relation]) -> None:
        """Publish exactly these tables.

        Raises:
            Unsupported: one of them cannot be published without harm.
            AccessDenied: we do not own them.
        """
        for one in relations:
            self._check(one)
        name = sql.Identifier(self.slot)
        tables = sql.SQL(", ").join(sql.Identifier(one.schema, one.name) for one in relations)
        try:
            with client.translating(self.config.address):
                there = self._connection.execute(_PUBLISHED, (self.slot,)).fetchone()
                if there is None:
                    self._connection.execute(
                        sql.SQL("CREATE PUBLICATION {} FOR TABLE {} WITH (publish_via_partition_root = true)").format(
                            name, tables
                        )
                    )
                elif set(there[0]) != {f"{one.schema}.{one.name}" for one in relations}:
                    self._connection.execute(sql.SQL("ALTER PUBLICATION {} SET TABLE {}").format(name, tables))
        except AccessDenied as error:
            raise AccessDenied(error.message, hint=_GRANTS) from error

    def _check(self, relation: Relation) -> None:
        """A published table without an identity refuses everybody's updates."""
        with client.translating(self.config.address):
            row = self._connection.execute(_IDENTITY, (relation.sql,)).fetchone()
        if row is None:
            raise StateError(
                f"PostgreSQL {self.config.address} has no table {relation.stream}", hint="correct the file of watches"
            )
        identity, kind, persistence, has_index = row
        if kind not in ("r", "p") or persistence != "p":
            raise Unsupported(
                f"{relation.stream} is no plain table, so the log does not tell its changes", hint="use `how: compare`"
            )
        if identity == "n" or (identity in "di" and not has_index):
            raise Unsupported(
                f"{relation.stream} has no primary key: were it published, its owners could not update it any more",
                hint="use `how: cursor` or `compare`, or ALTER TABLE … REPLICA IDENTITY FULL",
            )

    def create(self) -> int:
        """Make the slot; the position it begins at. The publication must be there."""
        try:
            with client.translating(self.config.address):
                row = self._connection.execute(
                    "SELECT lsn::text FROM pg_catalog.pg_create_logical_replication_slot(%s, 'pgoutput')", (self.slot,)
                ).fetchone()
        except AccessDenied as error:
            raise AccessDenied(error.message, hint=_GRANTS) from error
        assert row is not None
        return lsn_number(row[0])

    def drop(self) -> None:
        """Drop slot and publication, as far as they are there: the server may throw its log away.

        Raises:
            StoreBusy: somebody reads the slot just now.
        """
        with client.translating(self.config.address):
            self._connection.execute(
                "SELECT pg_catalog.pg_drop_replication_slot(slot_name) FROM pg_catalog.pg_replication_slots"
                " WHERE slot_name = %s",
                (self.slot,),
            )
            self._connection.execute(sql.SQL("DROP PUBLICATION IF EXISTS {}").format(sql.Identifier(self.slot)))

    def server_limit(self) -> str:
        """What the server itself lets slots hold back; `-1` is everything."""
        with client.translating(self.config.address):
            row = self._connection.execute("SELECT current_setting('max_slot_wal_keep_size')").fetchone()
        assert row is not None
        return str(row[0])

    def held_back(self) -> int:
        """Bytes of log that the slot holds back, asked for beside the connection that may be reading it just now."""
        if self._aside is None:
            self._aside = client.connect(self.config)
        with client.translating(self.config.address):
            row = self._aside.execute(_SLOT, (self.slot,)).fetchone()
        return int(row[5] or 0) if row is not None else 0

    # ------------------------------------------------------------------------------------------------------- reading

    def now(self) -> int:
        """The end of the log."""
        with client.translating(self.config.address):
            row = self._connection.execute("SELECT pg_catalog.pg_current_wal_lsn()::text").fetchone()
        assert row is not None
        return lsn_number(row[0])

    def peek(self, upto: int, *, most: int) -> Generator[Message]:
        """Messages of whole transactions that committed before a position, at least so many if there are."""
        decoder = Decoder()
        query = sql.SQL(
            "SELECT data FROM pg_catalog.pg_logical_slot_peek_binary_changes({slot}, {upto}::pg_lsn, {most},"
            " 'proto_version', '1', 'publication_names', {name}, 'messages', 'true')"
        ).format(
            slot=sql.Literal(self.slot),
            upto=sql.Literal(lsn_text(upto)),
            most=sql.Literal(most),
            name=sql.Literal('"' + self.slot.replace('"', '""') + '"'),
        )
        with (
            client.translating(self.config.address),
            self._connection.transaction(),
            psycopg.ServerCursor(self._connection, "watched") as cursor,
        ):
            cursor.itersize = _PAGE
            for (data,) in cursor.execute(query, binary=True):
                yield from decoder.decode(bytes(data))

    def advance(self, upto: int) -> None:
        """Let the server throw away what came before a position."""
        with client.translating(self.config.address):
            self._connection.execute(
                "SELECT pg_catalog.pg_replication_slot_advance(%s, %s::pg_lsn)", (self.slot, lsn_text(upto))
            )


_GRANTS = (
    "watching the log needs a role with REPLICATION that owns the tables (or a superuser), and wal_level = logical;"
    " where that is not to be had, use `how: cursor`"
)


def lsn_number(text: str) -> int:
    """A position of the log as a number."""
    high, _, low = text.partition("/")
    return int(high, 16) << 32 | int(low, 16)


def lsn_text(number: int) -> str:
    """As PostgreSQL writes it."""
    return f"{number >> 32:X}/{number & 0xFFFFFFFF:X}"
