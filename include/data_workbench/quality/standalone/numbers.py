"""Numbers that travel as text, since a numeric of any length has no Arrow type, as numbers where SQL computes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from data_workbench.records.names import quoted
from data_workbench.records.types import native_type

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection
    from sqlglot import exp

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

    tree = sqlglot.parse_one(sql, read="duckdb")
    wide = _without_room(tree, types)

    def as_number(node: exp.Expr) -> exp.Expr:
        if not (isinstance(node, exp.Column) and node.name in types):
            return node
        return exp.cast(node.copy(), "DOUBLE" if id(node) in wide else types[node.name], dialect="duckdb")

    return tree.transform(as_number, copy=False).sql(dialect="duckdb")


def _without_room(tree: exp.Expr, types: Mapping[str, str]) -> set[int]:
    """The columns, by identity, in products with so many places that decimals would run out of digits."""
    from sqlglot import exp

    places: dict[int, int] = {}
    found: set[int] = set()
    nodes = [*tree.bfs()]
    for node in reversed(nodes):  # what stands inside comes first
        inside = [places[id(one)] for one in node.iter_expressions()]
        if isinstance(node, exp.Column | exp.Literal):
            places[id(node)] = _places(node, types)
        elif isinstance(node, exp.Cast | exp.Div):  # of its own type; a quotient is a double
            places[id(node)] = 0
        else:
            places[id(node)] = sum(inside) if isinstance(node, exp.Mul) else max(inside, default=0)
    for node in nodes:
        is_wide = isinstance(node, exp.Mul) and places[id(node)] > _FINEST
        if id(node) in found or is_wide:  # so is all that stands inside
            found.update(map(id, node.iter_expressions()))
    return found


def _places(node: exp.Expr, types: Mapping[str, str]) -> int:
    """Digits behind the point."""
    from sqlglot import exp

    if isinstance(node, exp.Column):
        kind = types.get(node.name, "")
        return int(kind.partition(",")[2].rstrip(")")) if kind.startswith("DECIMAL") else 0
    return 0 if node.args["is_string"] else len(node.name.partition(".")[2])


def replaced(types: Mapping[str, str]) -> str:
    """What follows `SELECT *` where all columns are to be numbers."""
    listed = ", ".join(f"CAST({quoted(name)} AS {kind}) AS {quoted(name)}" for name, kind in types.items())
    return f" REPLACE ({listed})" if listed else ""
