"""Numbers, computed in the type DuckDB computes them in."""

from __future__ import annotations

from typing import Final

from sqlglot import exp

from data_workbench.transforms.pushdown.values import NUMBERS, NotPushed
from data_workbench.transforms.pushdown.writing import Writer, Writers, Writing, as_double, may_differ, number, shown

_ROUNDED: Final[dict[type[exp.Expr], str]] = {exp.Round: "round", exp.Floor: "floor", exp.Ceil: "ceil"}


def _arithmetic(sign: str) -> Writer:
    return lambda write, node: _computed(write, node, sign)


def _computed(write: Writing, node: exp.Expr, sign: str) -> str:
    left, right = node.this, node.expression
    kinds, out = [write.value(one).kind for one in (left, right)], write.value(node)
    if any(kind not in NUMBERS for kind in kinds):
        if kinds == ["date", "date"] and sign == "-":
            return f"({write.sql(left)} - {write.sql(right)})::int8"
        raise may_differ(node)
    if out.kind == "double":
        return f"({as_double(write, left)} {sign} {as_double(write, right)})"
    if sign in "/%" and out.kind != "integer":
        raise may_differ(node)
    if out.kind == "integer":
        return f"({write.sql(left)}::{out.native} {sign} {write.sql(right)}::{out.native})"
    return f"({write.sql(left)} {sign} {write.sql(right)})::{out.native}"


def _neg(write: Writing, node: exp.Expr) -> str:
    return f"(- {number(write, node.this)})"


def _abs(write: Writing, node: exp.Expr) -> str:
    return f"pg_catalog.abs({number(write, node.this)})::{write.value(node).native}"


def _rounded(write: Writing, node: exp.Expr) -> str:
    if write.value(node.this).kind != "decimal":
        raise NotPushed(f"{shown(node)} rounds otherwise in PostgreSQL")
    decimals = node.args.get("decimals")
    if decimals is not None and not decimals.is_int:
        raise may_differ(node)
    digits = f", {decimals.this}" if decimals is not None and isinstance(node, exp.Round) else ""
    return f"pg_catalog.{_ROUNDED[type(node)]}({write.sql(node.this)}{digits})::{write.value(node).native}"


WRITERS: Final[Writers] = {
    exp.Add: _arithmetic("+"),
    exp.Sub: _arithmetic("-"),
    exp.Mul: _arithmetic("*"),
    exp.Div: _arithmetic("/"),
    exp.Mod: _arithmetic("%"),
    exp.Neg: _neg,
    exp.Abs: _abs,
    exp.Round: _rounded,
    exp.Floor: _rounded,
    exp.Ceil: _rounded,
}
