"""SQL read as DuckDB reads it, where the parser alone reads something else."""

from __future__ import annotations

import sqlglot
from sqlglot import exp

_LAMBDAS = ("transform", "filter", "reduce", "apply")
"""How the names of the functions end that take a lambda."""


def read_duckdb(sql: str) -> exp.Expr:
    """One statement or expression, as it is written here.

    Raises:
        sqlglot.errors.ParseError: it is none.
    """
    return without_false_lambdas(sqlglot.parse_one(sql, read="duckdb"))


def without_false_lambdas(tree: exp.Expr) -> exp.Expr:
    """`f(doc -> '$.path')` looks into a document, as DuckDB reads it: only some functions take a lambda."""
    for node in list(tree.find_all(exp.Lambda)):
        taker = node.parent
        is_taken = isinstance(taker, exp.Transform | exp.ArrayFilter | exp.Reduce) or (
            isinstance(taker, exp.Anonymous) and taker.name.lower().endswith(_LAMBDAS)
        )
        if not is_taken and not node.args.get("colon") and len(node.expressions) == 1:
            column = exp.column(node.expressions[0].copy())
            column.this.meta.update(node.expressions[0].meta)
            node.replace(exp.JSONExtract(this=column, expression=node.this, only_json_types=False))
    return tree
