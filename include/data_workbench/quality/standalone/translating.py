"""A finder in PostgreSQL's words, where it has words that find the same rows."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from data_workbench.records.patterns import is_plain
from data_workbench.records.types import native_type

if TYPE_CHECKING:
    from sqlglot import exp

_TYPES: Final = frozenset(
    {"SMALLINT", "INT", "BIGINT", "DECIMAL", "DOUBLE", "DATE", "TIME", "TIMESTAMP", "TIMESTAMPTZ", "VARCHAR", "TEXT",
     "BOOLEAN", "UUID"}
)  # fmt: skip
"""That a cast may name."""
_UNLIKE: Final = frozenset({"json", "xml", "point", "line", "lseg", "box", "path", "polygon", "circle"})


def unlike(schema: pa.Schema) -> frozenset[str]:
    """Columns whose values PostgreSQL measures or compares otherwise, or not at all: arrays, documents, shapes."""
    return frozenset(one.name for one in schema if pa.types.is_nested(one.type) or native_type(one) in _UNLIKE)


def in_postgres(query: str, unlike: Collection[str] = ()) -> str | None:
    """A query of DuckDB's for PostgreSQL; None where a word of it is not known to mean the same there.

    What is not known is left out, not the other way round: sqlglot writes what it has no word for as it stands.

    Args:
        unlike: columns of which only their texts, and whether they are null, are the same.
    """
    import sqlglot
    from sqlglot.errors import SqlglotError

    try:
        found = sqlglot.parse_one(query, read="duckdb")
    except SqlglotError:
        return None
    same = all(_means_the_same(node, unlike) for node in found.walk())
    return found.sql(dialect="postgres") if same else None


def _means_the_same(node: exp.Expr, unlike: Collection[str]) -> bool:
    from sqlglot import exp

    if isinstance(node, exp.Column) and node.name in unlike:
        return isinstance(node.parent, exp.Is | exp.Cast)
    if isinstance(node, exp.RegexpLike):
        return isinstance(node.expression, exp.Literal) and is_plain(node.expression.name)
    if isinstance(node, exp.Cast):
        return type(node) is exp.Cast and getattr(node.to.this, "name", "") in _TYPES
    if isinstance(node, exp.Func | exp.Binary | exp.Unary | exp.Predicate | exp.Bracket | exp.Lambda):
        return isinstance(node, _same())
    return True


def _same() -> tuple[type[exp.Expr], ...]:
    from sqlglot import exp

    logic = (exp.And, exp.Or, exp.Not, exp.Paren, exp.Exists, exp.In, exp.Between, exp.Case, exp.If, exp.Coalesce)
    compared = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Is, exp.NullSafeEQ, exp.NullSafeNEQ)
    numbers = (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod, exp.Neg, exp.Abs, exp.Floor, exp.Ceil, exp.Round, exp.Count)
    texts = (exp.Like, exp.ILike, exp.StartsWith, exp.Length, exp.Lower, exp.Upper, exp.Trim, exp.Replace, exp.DPipe)
    parts = (exp.Left, exp.Right, exp.Substring)
    return (*logic, *compared, *numbers, *texts, *parts, exp.Nullif, exp.Greatest, exp.Least)
