"""Staged rows into the table: insert, update only what differs, count exactly.

`*<>` compares the stored bytes of two rows, so it works for types without equality (json, xml, point) and sees what `=`
does not (1.0 and 1.00, or two intervals of equal length). A row is `unchanged` when nothing at all would differ.

Where a unique index covers the key, one INSERT … ON CONFLICT does it. Where none does (another's table, which is not
altered) or the table is partitioned (it tells no xmax), the table is locked against other writers for the part and an
UPDATE is followed by an INSERT.
"""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from data_workbench.connectors.postgres.catalogue import Table
from data_workbench.connectors.postgres.copy_in import column_list
from data_workbench.connectors.postgres.names import quoted
from data_workbench.records.accounting import WriteCounts

STAGING = "pg_temp._wb_staging"


def create_staging(connection: psycopg.Connection, table: Table, columns: Sequence[str]) -> None:
    """A temporary table with the columns' types and none of the constraints, emptied by each commit."""
    connection.execute(f"DROP TABLE IF EXISTS {STAGING}")
    connection.execute(
        f"CREATE TEMPORARY TABLE _wb_staging ON COMMIT DELETE ROWS AS "
        f"SELECT {column_list(columns)} FROM {table.relation.sql} WITH NO DATA"
    )


def insert_staged(connection: psycopg.Connection, table: Table, columns: Sequence[str]) -> WriteCounts:
    """All staged rows are new."""
    names = column_list(columns)
    cursor = connection.execute(f"INSERT INTO {table.relation.sql} ({names}) SELECT {names} FROM {STAGING}")
    return WriteCounts(inserted=cursor.rowcount, out=cursor.rowcount)


def merge_staged(
    connection: psycopg.Connection, table: Table, columns: Sequence[str], key: Sequence[str], staged: int
) -> WriteCounts:
    """Insert and update by key."""
    if table.kind == "table" and table.is_unique(key):
        inserted, updated = _by_conflict(connection, table, columns, key)
    else:
        inserted, updated = _under_lock(connection, table, columns, key)
    return WriteCounts(inserted=inserted, updated=updated, unchanged=staged - inserted - updated, out=staged)


def keys_are_sound(connection: psycopg.Connection, key: Sequence[str]) -> bool:
    """Whether no staged key is NULL or occurs twice."""
    nulls = " OR ".join(f"{quoted(name)} IS NULL" for name in key)
    row = connection.execute(
        f"""SELECT NOT EXISTS (SELECT FROM {STAGING} WHERE {nulls})
               AND NOT EXISTS (SELECT FROM {STAGING} GROUP BY {column_list(key)} HAVING count(*) > 1)""".encode()
    ).fetchone()
    return bool(row and row[0])


def _differs(columns: Sequence[str], theirs: str) -> str:
    old = ", ".join(f"t.{quoted(name)}" for name in columns)
    new = ", ".join(f"{theirs}.{quoted(name)}" for name in columns)
    # Without the casts the parser would compare column by column.
    return f"ROW({old})::record OPERATOR(pg_catalog.*<>) ROW({new})::record"


def _by_conflict(
    connection: psycopg.Connection, table: Table, columns: Sequence[str], key: Sequence[str]
) -> tuple[int, int]:
    names, rest = column_list(columns), [name for name in columns if name not in key]
    action = "NOTHING"
    if rest:
        sets = ", ".join(f"{quoted(name)} = excluded.{quoted(name)}" for name in rest)
        action = f"UPDATE SET {sets} WHERE {_differs(rest, 'excluded')}"
    row = connection.execute(
        f"""WITH merged AS (
                INSERT INTO {table.relation.sql} AS t ({names}) SELECT {names} FROM {STAGING}
                ON CONFLICT ({column_list(key)}) DO {action} RETURNING (t.xmax = 0) AS is_new)
            SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new) FROM merged""".encode()
    ).fetchone()
    assert row is not None
    return row[0], row[1]


def _under_lock(
    connection: psycopg.Connection, table: Table, columns: Sequence[str], key: Sequence[str]
) -> tuple[int, int]:
    target, names = table.relation.sql, column_list(columns)
    rest = [name for name in columns if name not in key]
    same = " AND ".join(f"t.{quoted(name)} = s.{quoted(name)}" for name in key)
    updated = 0
    connection.execute(f"LOCK TABLE {target} IN SHARE ROW EXCLUSIVE MODE".encode())
    if rest:
        sets = ", ".join(f"{quoted(name)} = s.{quoted(name)}" for name in rest)
        row = connection.execute(
            f"""WITH changed AS (UPDATE {target} AS t SET {sets} FROM {STAGING} AS s
                                 WHERE {same} AND {_differs(rest, "s")} RETURNING s.ctid AS staged)
                SELECT count(DISTINCT staged) FROM changed""".encode()
        ).fetchone()
        assert row is not None
        updated = row[0]
    cursor = connection.execute(
        f"""INSERT INTO {target} ({names}) SELECT {names} FROM {STAGING} AS s
            WHERE NOT EXISTS (SELECT FROM {target} AS t WHERE {same})""".encode()
    )
    return cursor.rowcount, updated
