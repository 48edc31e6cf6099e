"""COPY … FROM STDIN: Arrow rows into a table."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

import psycopg
import pyarrow as pa

from data_workbench.connectors.postgres.copy_form import blocks_of
from data_workbench.connectors.postgres.copy_out import ReadAhead
from data_workbench.connectors.postgres.names import quoted

if TYPE_CHECKING:
    from data_workbench.connectors.postgres.catalogue import Column


def column_list(columns: Sequence[str]) -> str:
    """Quoted names with commas."""
    return ", ".join(quoted(name) for name in columns)


class Encoding:
    """Rows as COPY takes them, encoded by a thread that is two blocks ahead from the start."""

    def __init__(self, rows: pa.Table, columns: Sequence[Column]) -> None:
        self.form, blocks = blocks_of(rows, columns)
        self._blocks = ReadAhead(blocks, threading.Event(), name="copy-in")

    def __iter__(self) -> Iterator[pa.Buffer]:
        return iter(self._blocks)

    def close(self) -> None:
        """Stop the thread; safe to call twice."""
        self._blocks.close()


def copy_rows(
    connection: psycopg.Connection,
    table: str,
    columns: Sequence[Column],
    rows: pa.Table,
    *,
    encoding: Encoding | None = None,
) -> int:
    """Write the rows; how many PostgreSQL took. A block is encoded while the server takes the last one.

    Args:
        table: for SQL, quoted.
        columns: the table's columns, in the order of those of `rows`.
        encoding: of these rows, if it was begun before; closed here.
    """
    names = column_list([column.name for column in columns])
    with closing(encoding or Encoding(rows, columns)) as blocks, connection.cursor() as cursor:
        with cursor.copy(f"COPY {table} ({names}) FROM STDIN ({blocks.form})".encode()) as copy:
            for block in blocks:
                copy.write(memoryview(block).cast("B"))
        return cursor.rowcount
