"""A finder in PostgreSQL's words, where it has words that find the same rows."""

from __future__ import annotations

from dataclasses import dataclass
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


_IN_DOUBLES: Final = frozenset({"FLOAT", "DOUBLE"})
_IN_TEXTS: Final = frozenset({"VARCHAR", "TEXT"})


@dataclass(frozen=True)
class Doubtful:
    """Columns whose values PostgreSQL does not treat as DuckDB does.

    Args:
        unlike: measured or compared otherwise, or not at all: arrays, documents, shapes.
        ordered: texts, which a collation orders.
        written: those that have another text.
    """

    unlike: frozenset[str] = frozenset()
    ordered: frozenset[str] = frozenset()
    written: frozenset[str] = frozenset()


def doubtful(schema: pa.Schema) -> Doubtful:
    """Those of a table."""
    nested = {one.name for one in schema if pa.types.is_nested(one.type)}
    texts = {one.name for one in schema if pa.types.is_string(one.type) and native_type(one) != "numeric"}
    written = {one.name for one in schema if _has_another_text(one.type)}
    unlike = {one.name for one in schema if native_type(one) in _UNLIKE}
    return Doubtful(frozenset(nested | unlike), frozenset(texts), frozenset(nested | written))


def _has_another_text(kind: pa.DataType) -> bool:
    """1e+16 is 1e16 here or there, a moment is told in the session's zone, bytes as hex."""
    moment = pa.types.is_timestamp(kind) and kind.tz is not None
    return pa.types.is_floating(kind) or moment or pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def in_postgres(query: str, doubtful: Doubtful = Doubtful()) -> str | None:
    """A query of DuckDB's for PostgreSQL; None where a word of it is not known to mean the same there.

    What is not known is left out, not the other way round: sqlglot writes what it has no word for as it stands.
    """
    import sqlglot
    from sqlglot.errors import SqlglotError

    try:
        found = sqlglot.parse_one(query, read="duckdb")
    except SqlglotError:
        return None
    same = all(_means_the_same(node, doubtful) for node in found.walk())
    return found.sql(dialect="postgres") if same else None


def _means_the_same(node: exp.Expr, doubtful: Doubtful) -> bool:
    from sqlglot import exp

    if isinstance(node, exp.Column) and node.name in doubtful.unlike:
        return isinstance(node.parent, exp.Is | exp.Cast)
    if isinstance(node, exp.RegexpLike):
        return isinstance(node.expression, exp.Literal) and is_plain(node.expression.name)
    if isinstance(node, exp.Like | exp.ILike):  # PostgreSQL escapes by a backslash, DuckDB does not
        return isinstance(node.expression, exp.Literal) and "\\" not in node.expression.name
    if isinstance(node, exp.Cast):
        return type(node) is exp.Cast and _type(node) in _TYPES and _is_written_alike(node, doubtful)
    if isinstance(node, exp.GT | exp.GTE | exp.LT | exp.LTE | exp.Between | exp.Greatest | exp.Least):
        return not any(_may_be_text(one, doubtful) for one in node.iter_expressions())
    if isinstance(node, exp.Func | exp.Binary | exp.Unary | exp.Predicate | exp.Bracket | exp.Lambda):
        return isinstance(node, _same())
    return True


def _type(cast: exp.Cast) -> str:
    return str(getattr(cast.to.this, "name", ""))


def _is_written_alike(cast: exp.Cast, doubtful: Doubtful) -> bool:
    from sqlglot import exp

    if _type(cast) not in _IN_TEXTS:
        return True
    columns = (one.name for one in cast.this.find_all(exp.Column))
    doubles = (_type(one) in _IN_DOUBLES for one in cast.this.find_all(exp.Cast))
    return not (any(name in doubtful.written for name in columns) or cast.this.find(exp.Div) or any(doubles))


def _may_be_text(node: exp.Expr, doubtful: Doubtful) -> bool:
    """Whether a value that is put in order may be a text; a literal by itself is what it is compared with."""
    from sqlglot import exp

    if isinstance(node, exp.Length | exp.Literal):
        return False
    if isinstance(node, exp.Cast):
        return _type(node) in _IN_TEXTS
    if isinstance(node, exp.Column):
        return node.name in doubtful.ordered
    inside = list(node.iter_expressions())
    return any(_may_be_text(one, doubtful) or (isinstance(one, exp.Literal) and one.is_string) for one in inside)


def _same() -> tuple[type[exp.Expr], ...]:
    from sqlglot import exp

    logic = (exp.And, exp.Or, exp.Not, exp.Paren, exp.Exists, exp.In, exp.Case, exp.If, exp.Coalesce)
    compared = (exp.EQ, exp.NEQ, exp.Is, exp.NullSafeEQ, exp.NullSafeNEQ)
    # No remainder, since PostgreSQL refuses the one by 0, and no rounding: there doubles go half to even.
    numbers = (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Neg, exp.Abs, exp.Floor, exp.Ceil, exp.Count)
    texts = (exp.StartsWith, exp.Length, exp.Lower, exp.Upper, exp.Trim, exp.Replace, exp.DPipe)
    parts = (exp.Left, exp.Right, exp.Substring)
    return (*logic, *compared, *numbers, *texts, *parts, exp.Nullif)
