"""Expressions that mean the same in Spark: they are written again as its SQL.

What is not known here to mean the same is `Foreign`: DuckDB computes it on the executors. Spark runs in ANSI mode, so
a value that cannot be computed is an error there as it is in DuckDB, and TRY is written with Spark's own TryEval.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from sqlglot import exp

from data_workbench.transforms.spark.types import INTEGERS, NoSparkType, spark_type


class Foreign(Exception):
    """An expression that Spark does not compute as DuckDB does."""


class Scope(Protocol):
    """What is known of the place an expression stands in."""

    def type_of(self, node: exp.Expr) -> str:
        """The DuckDB type of an expression. Raises Foreign where it cannot be told."""

    def column(self, node: exp.Column) -> exp.Expr:
        """A column by the name Spark has for it. Raises Foreign for a field of a struct."""

    def variable(self, name: str) -> exp.Expr:
        """A variable's value. Raises Foreign if it is a secret."""

    def query(self, node: exp.Query) -> exp.Expr:
        """A query that stands inside of an expression."""

    def folded(self, node: exp.Expr) -> exp.Expr | None:
        """The call of an aggregate or window function in Spark's SQL; None if the node is none."""


def native(node: exp.Expr, scope: Scope) -> exp.Expr:
    """The expression in Spark's SQL.

    Raises:
        Foreign: Spark does not compute it as DuckDB does.
    """
    called = scope.folded(node)
    if called is not None:
        return called
    write = _WRITERS.get(type(node))
    if write is None:
        raise Foreign(type(node).__name__)
    return write(node, scope)


def fails(node: exp.Expr) -> exp.Expr:
    """Whether computing an expression of Spark's raises an error.

    `try_to_binary` is TryEval around its argument: NULL if anything within raises. The size of an array of the value is
    never NULL by itself, and the optimizer computes it even where the value could not be NULL.
    """
    size = exp.cast(exp.Anonymous(this="size", expressions=[exp.Array(expressions=[node])]), "string", dialect="spark")
    probe = exp.Anonymous(this="try_to_binary", expressions=[size, exp.Literal.string("utf-8")])
    return exp.Paren(this=exp.Is(this=probe, expression=exp.Null()))


def typed(node: exp.Expr, kind: str) -> exp.Expr:
    """A value as a DuckDB type."""
    try:
        return exp.cast(node, spark_type(kind), dialect="spark")
    except NoSparkType as error:
        raise Foreign(str(error)) from error


# ---------------------------------------------------------------------------------------------------------- parts


def _same(node: exp.Expr, scope: Scope) -> exp.Expr:
    """The same node over parts in Spark's SQL."""
    made = node.copy()
    for key, value in node.args.items():
        if isinstance(value, exp.Expr):
            made.set(key, native(value, scope))
        elif isinstance(value, list):
            made.set(key, [native(one, scope) if isinstance(one, exp.Expr) else one for one in value])
    return made


def _copied(node: exp.Expr, _: Scope) -> exp.Expr:
    return node.copy()


def _column(node: exp.Expr, scope: Scope) -> exp.Expr:
    assert isinstance(node, exp.Column)
    return scope.column(node)


def _literal(node: exp.Expr, _: Scope) -> exp.Expr:
    if not node.is_string:
        return node.copy()
    if any(sign in node.name for sign in "\\\0") or not node.name.isprintable():
        raise Foreign("a text with signs that are written differently")
    return node.copy()


def _compared(node: exp.Expr, scope: Scope) -> exp.Expr:
    """Comparisons of like types; others are cast by rules that differ."""
    kinds = {scope.type_of(node.this), scope.type_of(node.expression)}
    if (
        isinstance(node, exp.NullSafeEQ | exp.NullSafeNEQ)
        and len(kinds) == 1
        and next(iter(kinds)).startswith("STRUCT")
    ):
        return _same(node, scope)  # field by field, NULLs being equal
    _alike(scope, node.this, node.expression)
    return _same(node, scope)


def _between(node: exp.Expr, scope: Scope) -> exp.Expr:
    _alike(scope, node.this, node.args["low"], node.args["high"])
    return _same(node, scope)


def _alike(scope: Scope, *nodes: exp.Expr) -> None:
    kinds = {scope.type_of(node) for node in nodes} - {'"NULL"'}
    if len(kinds) > 1 and not all(kind in (*INTEGERS, "DOUBLE") or kind.startswith("DECIMAL") for kind in kinds):
        raise Foreign("values of different types")
    if any(kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "INTERVAL", "TIME", "UNION")) for kind in kinds - {
        "TIMESTAMP", "TIMESTAMP WITH TIME ZONE"
    }):  # fmt: skip
        raise Foreign("nested values are compared by other rules")


def _among(node: exp.Expr, scope: Scope) -> exp.Expr:
    assert isinstance(node, exp.In)
    if isinstance(node.this, exp.Anonymous) and node.this.name.lower() == "hash":
        return exp.true()  # only makes DuckDB quicker; the two engines have other hashes
    query = node.args.get("query")
    if query is not None:
        inner = query.this if isinstance(query, exp.Subquery) else query
        return exp.In(this=native(node.this, scope), query=exp.Subquery(this=scope.query(inner.copy())))
    _alike(scope, node.this, *node.expressions)
    return _same(node, scope)


def _summed(node: exp.Expr, scope: Scope) -> exp.Expr:
    """Sums, differences and products, computed in the type DuckDB computes them in."""
    kind = scope.type_of(node)
    sides = [scope.type_of(node.this), scope.type_of(node.expression)]
    if kind in INTEGERS or kind in ("DOUBLE", "FLOAT"):
        if any(side not in INTEGERS and side not in ("DOUBLE", "FLOAT") for side in sides):
            raise Foreign("other types")
        parts = [
            native(one, scope) if side == kind else typed(native(one, scope), kind)
            for one, side in zip((node.this, node.expression), sides, strict=True)
        ]
        return type(node)(this=parts[0], expression=parts[1])
    if kind.startswith("DECIMAL") and all(side.startswith("DECIMAL") for side in sides):
        digits = [tuple(map(int, side[8:-1].split(","))) for side in sides]
        widest = sum(one[0] for one in digits) + 1
        if widest <= 38:
            return typed(exp.Paren(this=_same(node, scope)), kind)
    raise Foreign("other types")


def _negative(node: exp.Expr, scope: Scope) -> exp.Expr:
    if scope.type_of(node) not in (*INTEGERS, "DOUBLE"):
        raise Foreign("other types")
    return _same(node, scope)


_TEXTS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "BOOLEAN", "VARCHAR", "DATE")
_WIDER: Mapping[str, tuple[str, ...]] = {
    "TINYINT": ("SMALLINT", "INTEGER", "BIGINT", "DOUBLE"),
    "SMALLINT": ("INTEGER", "BIGINT", "DOUBLE"),
    "INTEGER": ("BIGINT", "DOUBLE"),
    "BIGINT": ("DOUBLE",),
    "FLOAT": ("DOUBLE",),
    "DATE": ("TIMESTAMP",),
}
_ZONED = "TIMESTAMP WITH TIME ZONE"


def _cast(node: exp.Expr, scope: Scope) -> exp.Expr:
    """Casts that lose nothing, and those between whole numbers, which fail alike."""
    kind, given = scope.type_of(node), scope.type_of(node.this)
    if kind == given:
        return native(node.this, scope)
    if given == '"NULL"':
        return typed(exp.Null(), kind)
    if kind == _ZONED and isinstance(node.this, exp.Literal):
        raise Foreign("a moment written as text")
    is_number = given in INTEGERS and kind in INTEGERS
    to_decimal = given in INTEGERS and kind.startswith("DECIMAL")
    as_text = kind == "VARCHAR" and given in _TEXTS and given != "DATE"
    whole = given == "HUGEINT" and kind == "BIGINT"
    if not (is_number or to_decimal or as_text or whole or kind in _WIDER.get(given, ())):
        raise Foreign(f"a cast of {given} to {kind}")
    value = native(node.this, scope)
    if isinstance(node, exp.TryCast):
        return exp.TryCast(this=value, to=exp.DataType.build(spark_type(kind), dialect="spark"))
    return typed(value, kind)


def _tried(node: exp.Expr, scope: Scope) -> exp.Expr:
    value = native(node.this, scope)
    if isinstance(node.this, exp.Column | exp.Literal):
        return value
    return exp.Case(ifs=[exp.If(this=fails(value), true=exp.Null())], default=value.copy())


def _list_of_one(node: exp.Expr, scope: Scope) -> exp.Expr:
    if len(node.expressions) != 1:
        raise Foreign("a list")
    return _same(node, scope)


def _joined(node: exp.Expr, scope: Scope) -> exp.Expr:
    for side in (node.this, node.expression):
        if scope.type_of(side) not in ("VARCHAR", '"NULL"'):
            raise Foreign("other types")
    return _same(node, scope)


def _of_text(node: exp.Expr, scope: Scope) -> exp.Expr:
    """Functions of one text."""
    if scope.type_of(node.this) != "VARCHAR" or any(
        value for key, value in node.args.items() if key != "this" and isinstance(value, exp.Expr | list)
    ):
        raise Foreign("other arguments")
    return _same(node, scope)


def _digest(name: str, *more: exp.Expr) -> Callable[[exp.Expr, Scope], exp.Expr]:
    def write(node: exp.Expr, scope: Scope) -> exp.Expr:
        value = node.this if not isinstance(node, exp.Anonymous) else node.expressions[0]
        if scope.type_of(value) != "VARCHAR":
            raise Foreign("other types")
        return exp.Anonymous(this=name, expressions=[native(value, scope), *(one.copy() for one in more)])

    return write


def _called(node: exp.Expr, scope: Scope) -> exp.Expr:
    name = node.name.lower()
    if name == "getvariable":
        return scope.variable(node.expressions[0].name)
    if name == "bit_count" and isinstance(node.expressions[0], exp.GroupingId):
        return exp.Anonymous(this=name, expressions=[native(node.expressions[0], scope)])
    raise Foreign(name)


def _greatest(node: exp.Expr, scope: Scope) -> exp.Expr:
    parts = [node.this, *node.expressions]
    if any(scope.type_of(one) not in INTEGERS for one in parts):
        raise Foreign("other types")
    return _same(node, scope)


def _chosen(node: exp.Expr, scope: Scope) -> exp.Expr:
    """CASE and COALESCE: what they give has one type in DuckDB, whatever their branches are."""
    if isinstance(node, exp.Case):
        if node.this is not None:
            raise Foreign("CASE with a value")
        values = [one.args["true"] for one in node.args["ifs"]] + (
            [node.args["default"]] if node.args.get("default") else []
        )
    else:
        values = [node.this, *node.expressions]
    kinds = {scope.type_of(one) for one in values} - {'"NULL"'}
    if len(kinds) > 1 and not all(kind in (*INTEGERS, "HUGEINT") for kind in kinds):
        raise Foreign("values of different types")
    return _same(node, scope)


def _subquery(node: exp.Expr, scope: Scope) -> exp.Expr:
    assert isinstance(node, exp.Subquery)
    return exp.Subquery(this=scope.query(node.this.copy()))


_WRITERS: Mapping[type[exp.Expr], Callable[[exp.Expr, Scope], exp.Expr]] = {
    **dict.fromkeys((exp.And, exp.Or, exp.Not, exp.Paren, exp.Is, exp.If, exp.Tuple), _same),
    **dict.fromkeys((exp.Boolean, exp.Null, exp.DataType), _copied),
    **dict.fromkeys((exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.NullSafeEQ, exp.NullSafeNEQ), _compared),
    **dict.fromkeys((exp.Add, exp.Sub, exp.Mul), _summed),
    **dict.fromkeys((exp.Cast, exp.TryCast), _cast),
    **dict.fromkeys((exp.Case, exp.Coalesce), _chosen),
    exp.Array: _list_of_one,
    exp.Between: _between,
    exp.Column: _column,
    exp.Literal: _literal,
    exp.In: _among,
    exp.Neg: _negative,
    exp.Try: _tried,
    exp.DPipe: _joined,
    exp.Length: _of_text,
    exp.MD5: _digest("md5"),
    exp.Anonymous: _called,
    exp.Greatest: _greatest,
    exp.Subquery: _subquery,
}
