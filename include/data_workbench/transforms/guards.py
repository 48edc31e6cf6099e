"""AND and OR from left to right, as they are read: `n <> 0 AND 10 // n > 1` is false where n is 0, and no failure.

DuckDB computes both sides, and of a row for which one fails nothing is known. Spark and PostgreSQL stop at the first
side that decides. Conditions are written so that DuckDB does, too: what stands behind is asked for where it counts.
"""

from __future__ import annotations

from sqlglot import exp

_CANNOT_FAIL = (exp.Column, exp.Boolean, exp.Null)
_LARGE = 2000
"""Each side is written twice; conditions nested in each other so deeply stay as they are."""


def in_turn(tree: exp.Expr) -> exp.Expr:
    """The expression with its conditions asked one after the other; the tree given stays as it is."""
    root = exp.Paren(this=tree.copy())
    found = [one for one in root.find_all(exp.And, exp.Or) if not isinstance(one.parent, type(one))]
    for node in reversed(found):  # the inner ones first: they are copied with the outer
        sides = list(node.flatten())
        if all(_cannot_fail(side) for side in sides[1:]) or sum(1 for _ in node.walk()) > _LARGE:
            continue
        decides = isinstance(node, exp.Or)
        ifs = [
            exp.If(this=side.copy() if decides else exp.not_(exp.paren(side.copy())), true=exp.Boolean(this=decides))
            for side in sides[:-1]
        ]
        node.replace(exp.Case(ifs=ifs, default=node.copy()))
    return root.this.copy()


def _cannot_fail(side: exp.Expr) -> bool:
    while isinstance(side, exp.Paren | exp.Not):
        side = side.this
    return isinstance(side, _CANNOT_FAIL) or (isinstance(side, exp.Is) and isinstance(side.this, _CANNOT_FAIL))
