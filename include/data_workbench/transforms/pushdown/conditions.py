"""Comparisons, what is made of conditions, and choices between values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sqlglot import exp

from data_workbench.records.names import literal, quoted
from data_workbench.transforms.pushdown.values import MOMENTS, NUMBERS, NotPushed
from data_workbench.transforms.pushdown.writing import (
    Writer,
    Writers,
    Writing,
    as_double,
    is_iso,
    is_untyped,
    kind_of,
    may_differ,
    shown,
    truth,
)

_COMPARED: Final[Mapping[type[exp.Expr], str]] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.NullSafeEQ: "IS NOT DISTINCT FROM",
    exp.NullSafeNEQ: "IS DISTINCT FROM",
}


def _comparison(operator: str) -> Writer:
    return lambda write, node: _compare(write, node.this, operator, node.expression)


def _compare(write: Writing, left: exp.Expr, operator: str, right: exp.Expr) -> str:
    ours, theirs = _alike(write, left, right)
    return f"({ours} {operator} {theirs})"


def _alike(write: Writing, *nodes: exp.Expr) -> list[str]:
    """Values that are compared with each other, of one kind."""
    nodes = tuple(node.unnest() for node in nodes)
    told = [node for node in nodes if not is_untyped(node)] or list(nodes)
    kinds = {kind_of(write.value(node)) for node in told}
    if kinds <= {*NUMBERS} and "double" in kinds:
        return [as_double(write, node) for node in nodes]
    if len(kinds) != 1 and not kinds <= {"integer", "decimal"}:
        raise NotPushed(f"{' and '.join(map(shown, nodes))} are of different kinds")
    moment = write.value(told[0]).native if kinds <= {*MOMENTS} else None
    return [_as_moment(node, moment) or _plain(write, node, kinds) for node in nodes]


def _as_moment(node: exp.Expr, native: str | None) -> str | None:
    """A literal compared with a date or moment."""
    is_one = native is not None and isinstance(node, exp.Literal) and node.is_string and is_iso(node)
    return f"{literal(str(node.this))}::{native}" if is_one else None


def _plain(write: Writing, node: exp.Expr, kinds: set[str | None]) -> str:
    if is_untyped(node) and not isinstance(node, exp.Null) and kinds != {"text"}:
        raise NotPushed(f"{shown(node)} is read otherwise by PostgreSQL")
    return write.sql(node)


def _between(write: Writing, node: exp.Expr) -> str:
    low = _compare(write, node.this, ">=", node.args["low"])
    return f"({low} AND {_compare(write, node.this, '<=', node.args['high'])})"


def _in(write: Writing, node: exp.Expr) -> str:
    if not node.expressions:
        raise may_differ(node)
    return f"({' OR '.join(_compare(write, node.this, '=', one) for one in node.expressions)})"


def _and_or(write: Writing, node: exp.Expr) -> str:
    word = "AND" if isinstance(node, exp.And) else "OR"
    return f"({truth(write, node.this)} {word} {truth(write, node.expression)})"


def _not(write: Writing, node: exp.Expr) -> str:
    return f"(NOT {truth(write, node.this)})"


def _is(write: Writing, node: exp.Expr) -> str:
    if isinstance(node.expression, exp.Null):
        column = node.this.unnest()
        known = isinstance(column, exp.Column) and column.name in write.columns
        return f"({quoted(column.name) if known else write.sql(node.this)} IS NULL)"
    if isinstance(node.expression, exp.Boolean):
        return f"({truth(write, node.this)} IS {'TRUE' if node.expression.this else 'FALSE'})"
    raise may_differ(node)


# ------------------------------------------------------------------------------------------------------ choices


def _case(write: Writing, node: exp.Expr) -> str:
    ifs = [node] if isinstance(node, exp.If) else node.args["ifs"]
    last = node.args.get("false") if isinstance(node, exp.If) else node.args.get("default")
    if node.args.get("this") is not None and isinstance(node, exp.Case):
        raise may_differ(node)
    arms = [f"WHEN {truth(write, one.this)} THEN {_result(write, node, one.args['true'])}" for one in ifs]
    rest = f" ELSE {_result(write, node, last)}" if last is not None else ""
    return f"(CASE {' '.join(arms)}{rest} END)"


def _coalesce(write: Writing, node: exp.Expr) -> str:
    given = [node.this, *node.expressions]
    return f"COALESCE({', '.join(_result(write, node, one) for one in given)})"


def _result(write: Writing, whole: exp.Expr, part: exp.Expr) -> str:
    """One of several values an expression may give, in the type of the whole."""
    out = write.value(whole)
    if isinstance(part, exp.Null):
        return f"NULL::{out.native}"
    ours = write.value(part)
    if out.kind == "double":
        return as_double(write, part)
    if kind_of(ours) != kind_of(out) and not (ours.kind == "integer" and out.kind == "decimal"):
        raise NotPushed(f"{shown(part)} is of another kind than {shown(whole)}")
    return write.sql(part) if out.kind in ("text", "texted") else f"({write.sql(part)})::{out.native}"


def _nullif(write: Writing, node: exp.Expr) -> str:
    ours, theirs = _alike(write, node.this, node.expression)
    return f"NULLIF({ours}, {theirs})::{write.value(node).native}"


def _extreme(write: Writing, node: exp.Expr) -> str:
    name = "GREATEST" if isinstance(node, exp.Greatest) else "LEAST"
    return f"{name}({', '.join(_result(write, node, one) for one in [node.this, *node.expressions])})"


WRITERS: Final[Writers] = {
    **{kind: _comparison(operator) for kind, operator in _COMPARED.items()},
    exp.Between: _between,
    exp.In: _in,
    exp.And: _and_or,
    exp.Or: _and_or,
    exp.Not: _not,
    exp.Is: _is,
    exp.Case: _case,
    exp.If: _case,
    exp.Coalesce: _coalesce,
    exp.Nullif: _nullif,
    exp.Greatest: _extreme,
    exp.Least: _extreme,
}
