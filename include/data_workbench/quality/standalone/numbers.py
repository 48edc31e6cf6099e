"""Numbers that travel as text, since a numeric of any length has no Arrow type, as numbers where SQL computes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from data_workbench.records.names import quoted
from data_workbench.records.types import native_type

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_FINEST: Final = 18
"""Digits behind the point that leave room for as many and more before it."""


def texts_of(schema: pa.Schema) -> frozenset[str]:
    """Columns whose text is a number."""
    return frozenset(one.name for one in schema if native_type(one) == "numeric" and pa.types.is_string(one.type))


def types_of(connection: DuckDBPyConnection, table: str, columns: Collection[str]) -> dict[str, str]:
    """The type that holds the values of each column as they are: a decimal; a double where one is none, or too fine."""
    return {name: _type_of(connection, table, quoted(name)) for name in columns}


def _type_of(connection: DuckDBPyConnection, table: str, column: str) -> str:
    [[scale]] = connection.execute(f"SELECT max(length(split_part({column}, '.', 2))) FROM {table}").fetchall()
    exact = f"DECIMAL(38, {min(scale or 0, _FINEST):d})"
    wrong = f"SELECT count(*) FROM {table} WHERE {column} IS NOT NULL AND TRY_CAST({column} AS {exact}) IS NULL"
    [[others]] = connection.execute(wrong).fetchall()
    return "DOUBLE" if others or (scale or 0) > _FINEST else exact


def computed(sql: str, types: Mapping[str, str]) -> str:
    """An expression over columns that are texts, as one over numbers."""
    if not types:
        return sql
    import sqlglot
    from sqlglot import exp

    def as_number(node: exp.Expr) -> exp.Expr:
        if not (isinstance(node, exp.Column) and node.name in types):
            return node
        return exp.cast(node.copy(), types[node.name], dialect="duckdb")

    return sqlglot.parse_one(sql, read="duckdb").transform(as_number).sql(dialect="duckdb")


def replaced(types: Mapping[str, str]) -> str:
    """What follows `SELECT *` where all columns are to be numbers."""
    listed = ", ".join(f"CAST({quoted(name)} AS {kind}) AS {quoted(name)}" for name, kind in types.items())
    return f" REPLACE ({listed})" if listed else ""
