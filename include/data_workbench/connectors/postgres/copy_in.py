"""COPY … FROM STDIN: Arrow rows into a table."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

import psycopg
import pyarrow as pa

from data_workbench.connectors.postgres.copy_form import Encoded, blocks_of
from data_workbench.connectors.postgres.copy_out import ReadAhead
from data_workbench.connectors.postgres.names import quoted

if TYPE_CHECKING:
    from data_workbench.connectors.postgres.catalogue import Column


def column_list(columns: Sequence[str]) -> str:
    """Quoted names with commas."""
    return ", ".join(quoted(name) for name in columns)


def copy_rows(
    connection: psycopg.Connection,
    table: str,
    columns: Sequence[Column],
    rows: pa.Table,
    *,
    encoded: Encoded | None = None,
) -> int:
    """Write the rows; how many PostgreSQL took. A block is encoded while the server takes the last one.

    Args:
        table: for SQL, quoted.
        columns: the table's columns, in the order of those of `rows`.
        encoded: `blocks_of` these rows, if it has been asked before.
    """
    form, blocks = encoded or blocks_of(rows, columns)
    statement = f"COPY {table} ({column_list([column.name for column in columns])}) FROM STDIN ({form})"
    with connection.cursor() as cursor:
        with cursor.copy(statement.encode()) as copy:
            ahead = ReadAhead(blocks, threading.Event(), name="copy-in")
            try:
                for block in ahead:
                    copy.write(memoryview(block).cast("B"))
            finally:
                ahead.close()
        return cursor.rowcount
