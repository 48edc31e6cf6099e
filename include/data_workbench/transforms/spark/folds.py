"""Aggregates and window functions in Spark's SQL.

Few aggregates mean the same in both engines. Of all others the values of a group are collected, and DuckDB folds them
on the executors: exact, and in the order the plan asks for, at the price of a group's values at one place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from data_workbench.transforms.spark.native import Foreign, typed
from data_workbench.transforms.spark.remote import Remote
from data_workbench.transforms.spark.types import INTEGERS

if TYPE_CHECKING:
    from data_workbench.transforms.spark.select import Select

_EXACT = (*INTEGERS, "DATE", "TIMESTAMP", "VARCHAR", "TIMESTAMP WITH TIME ZONE", "BOOLEAN")
"""Types whose values Spark orders as DuckDB does."""
_RANKS = (exp.RowNumber, exp.Rank, exp.DenseRank, exp.PercentRank, exp.CumeDist, exp.Ntile)
_PLACES = (exp.Lag, exp.Lead, exp.FirstValue, exp.LastValue, exp.NthValue)


def fold(node: exp.Expr, scope: Select) -> exp.Expr:
    """An aggregate of a SELECT.

    Raises:
        Foreign: its arguments cannot be computed below it.
    """
    call = node.this if isinstance(node, exp.Filter) else node
    try:
        made = _plain(call, scope, early=True)
    except Foreign:
        return _collected(node, scope)
    if not isinstance(node, exp.Filter):
        return made
    condition = scope.precomputed(scope.expression(node.expression.this))
    return exp.Filter(this=made, expression=exp.Where(this=condition))


def _plain(call: exp.Expr, scope: Select, *, early: bool) -> exp.Expr:
    """An aggregate that is the same in Spark."""

    def value(node: exp.Expr) -> exp.Expr:
        found = scope.expression(node)
        return scope.precomputed(found) if early else found

    given = call.this
    if isinstance(given, exp.Order):  # the plan asks for it where it might matter
        given = given.this
    if isinstance(call, exp.GroupingId):
        return exp.GroupingId(expressions=[scope.expression(one) for one in call.expressions])
    if isinstance(call, exp.Count):
        if isinstance(given, exp.Star):
            return exp.Count(this=exp.Star())
        if isinstance(given, exp.Distinct):
            if len(given.expressions) != 1 or scope.type_of(given.expressions[0]) not in _EXACT:
                raise Foreign("count distinct of such values")
            return exp.Count(this=exp.Distinct(expressions=[value(given.expressions[0])]))
        return exp.Count(this=value(given))
    if isinstance(call, exp.Sum) and not isinstance(given, exp.Distinct):
        kind = scope.type_of(given)
        if kind in INTEGERS:
            return exp.Sum(this=typed(value(given), "HUGEINT"))
        if kind.startswith("DECIMAL"):
            return exp.Sum(this=typed(value(given), scope.type_of(call)))
    if isinstance(call, exp.Min | exp.Max) and not call.args.get("expressions"):
        kind = scope.type_of(given)
        if kind in _EXACT or kind.startswith("DECIMAL"):
            return type(call)(this=value(given))
    if isinstance(call, exp.ArgMin | exp.ArgMax) and scope.type_of(call.expression) in _EXACT and early:
        chosen, by = call.this, call.expression
        name = "min_by" if isinstance(call, exp.ArgMin) else "max_by"
        if isinstance(by, exp.Column) and by.name.startswith("_wb_"):  # never equal, never NULL; nor is what is told
            return exp.Anonymous(this=name, expressions=[value(chosen), value(by)])
    raise Foreign(f"the aggregate {call.sql(dialect='duckdb')[:60]}")


def _collected(node: exp.Expr, scope: Select, window: exp.Window | None = None) -> exp.Expr:
    columns = scope.columns_of(node)
    named = {key: f"c{index}" for index, key in enumerate(columns)}
    kinds = tuple(scope.type_of(one) for one in columns.values())
    sql = scope.renamed(node, named).sql(dialect="duckdb", comments=False)
    function = scope.queries.define(Remote(sql, kinds, scope.type_of(node), is_fold=True))
    fields: list[exp.Expr] = []
    for key, column in columns.items():
        fields += [exp.Literal.string(named[key]), scope.column(column)]
    rows = exp.Anonymous(this="named_struct", expressions=fields or [exp.Literal.string("c0"), exp.Literal.number(1)])
    collected: exp.Expr = exp.Anonymous(this="collect_list", expressions=[rows])
    if window is not None:
        window.set("this", collected)
        collected = window
    return exp.Anonymous(this=function, expressions=[collected])


def over(node: exp.Window, scope: Select) -> exp.Expr:
    """A window function with its window.

    Raises:
        Foreign: Spark has no such window function.
    """
    call: exp.Expr = node.this
    wrap: type[exp.Expr] | None = None
    if isinstance(call, exp.IgnoreNulls | exp.RespectNulls):
        wrap, call = type(call), call.this
    condition = None
    if isinstance(call, exp.Filter):
        condition, call = call.expression.this, call.this
    made: exp.Expr
    if isinstance(call, _RANKS):
        made = call.copy()
    elif isinstance(call, _PLACES):
        made = call.copy()
        for key in ("this", "offset", "default"):
            if isinstance(call.args.get(key), exp.Expr):
                made.set(key, scope.expression(call.args[key]))
    else:
        try:
            made = _window_fold(call, scope, condition)
        except Foreign:
            if not isinstance(call, exp.AggFunc):
                raise
            return _collected(node.this, scope, _window(node, scope))
    if wrap is not None:
        made = wrap(this=made)
    window = _window(node, scope)
    window.set("this", made)
    return window


def _window(node: exp.Window, scope: Select) -> exp.Window:
    """The window without what is called over it."""
    window = node.copy()
    window.set("partition_by", [scope.expression(one) for one in node.args.get("partition_by") or []])
    if node.args.get("order"):
        items = [one.copy() for one in node.args["order"].expressions]
        for item, given in zip(items, node.args["order"].expressions, strict=True):
            item.set("this", scope.expression(given.this))
        window.set("order", exp.Order(expressions=items))
    return window


def _window_fold(call: exp.Expr, scope: Select, condition: exp.Expr | None) -> exp.Expr:
    """An aggregate over a window; a condition is written into its argument."""
    given = call.this
    if isinstance(call, exp.Avg) and scope.type_of(given) in INTEGERS:
        made: exp.Expr = exp.Avg(this=typed(scope.expression(given), "DOUBLE"))
    elif isinstance(call, exp.Avg | exp.Sum) and scope.type_of(given) == "DOUBLE":
        made = type(call)(this=scope.expression(given))
    else:
        made = _plain(call, scope, early=False)
    if condition is None:
        return made
    counted = exp.Literal.number(1) if isinstance(made.this, exp.Star) else made.this
    only = exp.Case(ifs=[exp.If(this=scope.expression(condition), true=counted.copy())])
    made.set("this", only)
    return made
