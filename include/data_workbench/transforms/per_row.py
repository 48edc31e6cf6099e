"""Queries that make each row of one row of their input, as steps do that look at a row at a time.

Of these it is known which row a value belongs to, so one that cannot be computed sets aside its row alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass

from sqlglot import exp

from data_workbench.transforms.expressions import is_fold

_PARTS = frozenset({"kind", "expressions", "from_", "where", "order"})
"""What such a query has; all else looks at several rows, or takes some."""


@dataclass(frozen=True)
class PerRow:
    """What a query makes of a row; columns stand without the name of their table.

    Args:
        columns: new column to its expression.
        where: which rows it takes.
        order: the order in which they come.
    """

    columns: Mapping[str, exp.Expr]
    where: exp.Expr | None
    order: tuple[exp.Ordered, ...]


def per_row(tree: exp.Query, *, table: str, columns: Set[str]) -> PerRow | None:
    """How the query is done row by row; None if it cannot be.

    Args:
        table: the source or step whose rows they have to be.
        columns: its columns.
    """
    if not isinstance(tree, exp.Select) or any(value and part not in _PARTS for part, value in tree.args.items()):
        return None
    read = tree.args["from_"].this
    if not isinstance(read, exp.Table) or read.name != table or read.args.get("joins"):
        return None
    where, order = tree.args.get("where"), tree.args.get("order")
    names = {one.casefold() for one in columns}
    parts = [one.unalias().copy() for one in tree.selects]
    made = {one.alias_or_name: part for one, part in zip(tree.selects, parts, strict=True)}
    condition = where.this.copy() if where else None
    sorts = [_by(one, made) for one in order.expressions] if order else []
    roots = [exp.Paren(this=one) for one in (*parts, *([condition] if condition else []), *sorts)]
    if any(_looks_around(node) for root in roots for node in root.walk()):
        return None
    if not all(_bare(one, read.alias_or_name, names) for root in roots for one in root.find_all(exp.Column, exp.Dot)):
        return None
    values = [root.this for root in roots]
    kept = values[len(parts)] if condition else None
    ends = tuple(one for one in values if isinstance(one, exp.Ordered))
    return PerRow(dict(zip(made, values, strict=False)), kept, ends)


def _by(item: exp.Expr, made: Mapping[str, exp.Expr]) -> exp.Ordered:
    """An item of an order over the input's columns: a new column or a place stands for its expression."""
    ordered = item.copy() if isinstance(item, exp.Ordered) else exp.Ordered(this=item.copy())
    asked = ordered.this
    if isinstance(asked, exp.Literal) and asked.is_int and 0 < int(asked.name) <= len(made):
        ordered.set("this", exp.Paren(this=list(made.values())[int(asked.name) - 1].copy()))
    elif isinstance(asked, exp.Column) and not asked.table:
        alias = next((name for name in made if name.casefold() == asked.name.casefold()), None)
        if alias is not None:
            ordered.set("this", exp.Paren(this=made[alias].copy()))
    return ordered


def _looks_around(node: exp.Expr) -> bool:
    return isinstance(node, exp.Query | exp.Exists | exp.Window) or is_fold(node)


def _bare(column: exp.Expr, table: str, names: Set[str]) -> bool:
    """Take the table's name from a column; False if it is not plainly one of the table."""
    if not isinstance(column, exp.Column):
        return False
    if column.args.get("db") or (column.table and column.table.casefold() != table.casefold()):
        return False
    column.set("table", None)
    return column.name.casefold() in names or any(_is_variable(column, parent) for parent in _above(column))


def _is_variable(column: exp.Column, parent: exp.Expr) -> bool:
    return isinstance(parent, exp.Lambda) and any(one.name == column.name for one in parent.expressions)


def _above(node: exp.Expr) -> Iterator[exp.Expr]:
    while node.parent is not None:
        node = node.parent
        yield node
