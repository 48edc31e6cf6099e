"""Rows by key: the keys travel as array literals in the statement.

No temporary table is needed, so it works in a read-only transaction and on a standby; the planner sees the arrays'
length. Keys that are no values of the column's type match nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pyarrow as pa
from psycopg import sql

from data_workbench.connectors.postgres.catalogue import Table
from data_workbench.connectors.postgres.encode import array_literals
from data_workbench.connectors.postgres.names import quoted

CHUNK = 50_000


def conditions(connection: psycopg.Connection, table: Table, keys: pa.Table) -> Iterator[sql.Composable]:
    """One WHERE per chunk of keys; together they find every row once."""
    distinct = keys.group_by(keys.column_names, use_threads=False).aggregate([])
    for start in range(0, distinct.num_rows, CHUNK):
        yield matching(connection, table, distinct.slice(start, CHUNK))


def matching(connection: psycopg.Connection, table: Table, keys: pa.Table) -> sql.Composable:
    """The WHERE for these keys."""
    columns = {name: table.column(name) for name in keys.column_names}
    natives = [column.native if column is not None else "text" for column in columns.values()]
    literals = [array_of(keys.column(name)) for name in keys.column_names]
    if not _all_fit(connection, literals, natives):
        names = [f"{quoted(name)}::text" for name in keys.column_names]
        natives = ["text"] * len(natives)
    else:
        names = [quoted(name) for name in keys.column_names]
    arrays = [
        sql.SQL("{}::{}[]").format(literal, sql.SQL(native)) for literal, native in zip(literals, natives, strict=True)
    ]
    return sql.SQL("({}) IN (SELECT * FROM unnest({}))").format(sql.SQL(", ".join(names)), sql.SQL(", ").join(arrays))


def array_of(column: pa.ChunkedArray) -> sql.Literal:
    """A column as one array literal."""
    values = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    offsets = pa.array([0, len(values)], pa.int64())
    text = array_literals(pa.LargeListArray.from_arrays(offsets, values))[0].as_py()
    return sql.Literal(text)


def _all_fit(connection: psycopg.Connection, literals: list[sql.Literal], natives: list[str]) -> bool:
    """Ask the server, in a savepoint where there is a transaction, since a failed cast would end it."""
    casts = [
        sql.SQL("{}::{}[]").format(literal, sql.SQL(native)) for literal, native in zip(literals, natives, strict=True)
    ]
    query = sql.SQL("SELECT 1 WHERE ({}) IS NULL").format(sql.SQL(") IS NULL OR (").join(casts))
    try:
        with connection.transaction():
            connection.execute(query)
    except psycopg.DataError:
        return False
    return True
