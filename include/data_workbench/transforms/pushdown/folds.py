"""Aggregates that fold rows to the same value in PostgreSQL, whatever the order of rows."""

from __future__ import annotations

from sqlglot import exp

from data_workbench.records.names import quoted
from data_workbench.transforms.pushdown.expressions import Expressions
from data_workbench.transforms.pushdown.values import MOMENTS, NUMBERS, NotPushed
from data_workbench.transforms.pushdown.writing import shown, truth


class Folds(Expressions):
    """Expressions with aggregates over the rows of a group.

    Sums and means of doubles are left out: they depend on the order in which rows are added.
    """

    def sql(self, node: exp.Expr) -> str:
        if isinstance(node, exp.Filter):
            return f"{self._call(node.this, f' FILTER (WHERE {truth(self, node.expression.this)})')}"
        if isinstance(node, exp.AggFunc):
            return self._call(node, "")
        return super().sql(node)

    def _call(self, node: exp.Expr, only: str) -> str:
        match node:
            case exp.Count():
                return f"pg_catalog.count({self._counted(node.this)}){only}::int8"
            case exp.CountIf() if not only:
                return f"pg_catalog.count(*) FILTER (WHERE {truth(self, node.this)})::{self.value(node).native}"
            case exp.Sum() if self.value(node.this).kind in ("integer", "decimal"):
                return f"pg_catalog.sum({self.sql(node.this)}){only}::{self.value(node).native}"
            case exp.Avg() if self.value(node.this).native in ("int2", "int4"):
                given = self.sql(node.this)
                return f"(pg_catalog.sum({given}){only}::float8 / pg_catalog.count({given}){only}::float8)"
            case exp.Min() | exp.Max() if not node.expressions and self._has_order(node.this):
                name = "min" if isinstance(node, exp.Min) else "max"
                return f"pg_catalog.{name}({self.sql(node.this)}){only}"
            case exp.LogicalAnd() | exp.LogicalOr():
                name = "bool_and" if isinstance(node, exp.LogicalAnd) else "bool_or"
                return f"pg_catalog.{name}({truth(self, node.this)}){only}"
        raise NotPushed(f"{shown(node)} may fold to something else in PostgreSQL")

    def _counted(self, node: exp.Expr) -> str:
        if isinstance(node, exp.Star):
            return "*"
        if isinstance(node, exp.Distinct) and len(node.expressions) == 1:
            one = node.expressions[0]
            if self.value(one).kind in (None, "double"):
                raise NotPushed(f"{shown(one)} tells values apart otherwise in PostgreSQL")
            return f"DISTINCT {self.sql(one)}"
        if isinstance(node, exp.Column) and node.name in self.columns:
            return quoted(node.name)
        return self.sql(node)

    def _has_order(self, node: exp.Expr) -> bool:
        return self.value(node).kind in (*NUMBERS, *MOMENTS, "text", "texted")
