"""Structs, maps and lists of them: JSON documents in PostgreSQL, and back in the type they were written from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa

from data_workbench.connectors.postgres.types import is_list, is_nested

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def is_document(kind: pa.DataType) -> bool:
    """Whether values of an Arrow type are written as a JSON document."""
    while is_list(kind):
        kind = kind.value_type
    return is_nested(kind)


def to_json(values: pa.Array) -> pa.Array:
    """The documents as texts; null stays null."""
    with _with_values(values) as connection:
        query = "SELECT CASE WHEN v IS NULL THEN NULL ELSE to_json(v)::VARCHAR END AS v FROM given"
        return _first_column(connection, query)


def from_json(texts: pa.Array, kind: pa.DataType) -> pa.Array:
    """The reverse: a key that a document lacks is a null field.

    Raises:
        duckdb.Error: a text is no document, or holds what the type cannot.
    """
    with _with_values(texts) as connection:
        connection.register("shape", pa.table({"v": pa.array([], kind)}))
        [[_, name, *_]] = connection.execute("DESCRIBE SELECT v FROM shape").fetchall()
        return _first_column(connection, f"SELECT CAST(v::JSON AS {name}) AS v FROM given").cast(kind)


@contextmanager
def _with_values(values: pa.Array) -> Iterator[DuckDBPyConnection]:
    import duckdb

    with duckdb.connect(":memory:") as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("given", pa.table({"v": values}))
        yield connection


def _first_column(connection: DuckDBPyConnection, query: str) -> pa.Array:
    column = connection.sql(query).to_arrow_table().column(0)
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks or [pa.array([], column.type)])
