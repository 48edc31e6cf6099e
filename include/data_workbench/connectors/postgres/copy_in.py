"""COPY … FROM STDIN: Arrow rows into a table."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
import pyarrow as pa

from data_workbench.connectors.postgres.encode import csv_blocks
from data_workbench.connectors.postgres.names import quoted


def column_list(columns: Sequence[str]) -> str:
    """Quoted names with commas."""
    return ", ".join(quoted(name) for name in columns)


def copy_rows(connection: psycopg.Connection, table: str, columns: Sequence[str], rows: pa.Table) -> int:
    """Write the rows; how many PostgreSQL took.

    Args:
        table: for SQL, quoted.
        columns: the table's columns, in the order of those of `rows`.
    """
    statement = f"COPY {table} ({column_list(columns)}) FROM STDIN (FORMAT csv, ENCODING 'UTF8')"
    with connection.cursor() as cursor:
        with cursor.copy(statement.encode()) as copy:
            for block in csv_blocks(rows):
                copy.write(memoryview(block).cast("B"))
        return cursor.rowcount
