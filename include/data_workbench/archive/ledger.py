"""What the table's own database knows of its archives, in schema `_workbench`: which rows are live where.

    archives         archives whose rows left a table, noted in the transaction that deleted them
    archive_gone     rows of those that are not live in the archive: changed meanwhile, restored, or moved on
    archive_origin   the id of this database, which manifests name

A row of an archive is live while the archive is noted here as `live` and the row is not in `archive_gone`. Whoever
reads these tables and the archived table in one snapshot sees each row in exactly one place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import psycopg
import pyarrow as pa

from data_workbench.connectors.postgres import checkpoints
from data_workbench.errors import StateError, StoreBusy
from data_workbench.metastore.locks import key_of

_CREATE = """
CREATE TABLE IF NOT EXISTS _workbench.archives (
    archive text PRIMARY KEY, policy text NOT NULL, table_name text NOT NULL, manifest text NOT NULL,
    rows bigint NOT NULL, live bigint NOT NULL, state text NOT NULL CHECK (state IN ('live', 'replaced', 'expired')),
    noted_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp());
CREATE TABLE IF NOT EXISTS _workbench.archive_gone (
    archive text NOT NULL REFERENCES _workbench.archives ON DELETE CASCADE, part integer NOT NULL, row bigint NOT NULL,
    reason text NOT NULL CHECK (reason IN ('changed', 'restored')), PRIMARY KEY (archive, part, row));
CREATE TABLE IF NOT EXISTS _workbench.archive_origin (id uuid PRIMARY KEY);
"""


@dataclass(frozen=True)
class Noted:
    """An archive as its table's database knows it."""

    archive: str
    policy: str
    table: str
    manifest: str
    rows: int
    live: int
    state: str
    noted: datetime


def ensure(connection: psycopg.Connection, address: str) -> str:
    """Make the tables if they are missing; the id of the database. Raises AccessDenied if the role may not."""
    checkpoints.ensure(connection, address)
    if not _is_there(connection):
        with connection.transaction():
            checkpoints.one_at_a_time(connection)
            connection.execute(_CREATE)
            connection.execute(
                """INSERT INTO _workbench.archive_origin SELECT pg_catalog.gen_random_uuid()
                   WHERE NOT EXISTS (SELECT FROM _workbench.archive_origin)"""
            )
    origin = origin_of(connection)
    if origin is None:
        raise StateError(
            f"PostgreSQL {address}: _workbench.archive_origin is empty",
            hint="put back the `database` that manifests of its archives name: INSERT INTO _workbench.archive_origin",
        )
    return origin


def origin_of(connection: psycopg.Connection) -> str | None:
    """The id of the database; None before anything was archived from it."""
    if not _is_there(connection):
        return None
    row = connection.execute("SELECT id::text FROM _workbench.archive_origin").fetchone()
    return row[0] if row else None


def _is_there(connection: psycopg.Connection) -> bool:
    row = connection.execute("SELECT pg_catalog.to_regclass('_workbench.archive_origin') IS NOT NULL").fetchone()
    return bool(row and row[0])


@contextmanager
def alone(connection: psycopg.Connection, table: str) -> Iterator[None]:
    """Hold the lock of a table's archives on this connection: one run, restore or expiry at a time.

    It is held by the session that deletes. While a killed process's last statement is still under way at the server,
    the next process does not get it, and so cannot take an archive for undecided that is just being decided.

    Raises:
        StoreBusy: another session has it.
    """
    key = key_of("archive", table)
    row = connection.execute("SELECT pg_catalog.pg_try_advisory_lock(%s)", (key,)).fetchone()
    if not (row and row[0]):
        raise StoreBusy(
            f"archives of {table} are being made, restored or removed by another process just now",
            hint="wait for it to end, then run again",
        )
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute("SELECT pg_catalog.pg_advisory_unlock(%s)", (key,))


def note(connection: psycopg.Connection, noted: Noted) -> None:
    """Note an archive, in the transaction that makes it true."""
    connection.execute(
        """INSERT INTO _workbench.archives (archive, policy, table_name, manifest, rows, live, state)
           VALUES (%s, %s, %s, %s, %s, %s, %s)""",
        (noted.archive, noted.policy, noted.table, noted.manifest, noted.rows, noted.live, noted.state),
    )


def set_state(connection: psycopg.Connection, archives: Sequence[str], state: str) -> None:
    """Archives no longer hold live rows: `replaced` by a larger one, or `expired`."""
    connection.execute(
        "UPDATE _workbench.archives SET state = %s, live = 0 WHERE archive = ANY(%s)", (state, list(archives))
    )


def count_live(connection: psycopg.Connection, archives: Sequence[str]) -> None:
    """Count again how many rows of these archives are live, after some went."""
    connection.execute(
        """UPDATE _workbench.archives a SET live = a.rows -
               (SELECT pg_catalog.count(*) FROM _workbench.archive_gone g WHERE g.archive = a.archive)
           WHERE a.archive = ANY(%s) AND a.state = 'live'""",
        (list(archives),),
    )


def noted(connection: psycopg.Connection, *, table: str | None = None) -> dict[str, Noted]:
    """All archives by id, of one table or of all; none before anything was archived."""
    if not _is_there(connection):
        return {}
    rows = connection.execute(
        """SELECT archive, policy, table_name, manifest, rows, live, state, noted_at FROM _workbench.archives
           WHERE %s::text IS NULL OR table_name = %s ORDER BY archive""",
        (table, table),
    )
    return {row[0]: Noted(*row) for row in rows}


def gone(connection: psycopg.Connection, archives: Sequence[str]) -> pa.Table:
    """Rows of these archives that are not live in them: `archive`, `part`, `row`, `reason`."""
    rows = connection.execute(
        """SELECT archive, part, row, reason FROM _workbench.archive_gone
           WHERE archive = ANY(%s) ORDER BY archive, part, row""",
        (list(archives),),
    ).fetchall()
    columns = list(zip(*rows, strict=True)) if rows else [(), (), (), ()]
    return pa.table(
        {
            "archive": pa.array(columns[0], pa.string()),
            "part": pa.array(columns[1], pa.int32()),
            "row": pa.array(columns[2], pa.int64()),
            "reason": pa.array(columns[3], pa.string()),
        }
    )
