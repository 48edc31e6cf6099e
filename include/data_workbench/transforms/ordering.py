"""Items of an order: an expression, and what follows it (`desc nulls first`)."""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from data_workbench.transforms.drafts import Compilation, Shape, refused
from data_workbench.transforms.expressions import check_order
from data_workbench.transforms.folds import Folds
from data_workbench.transforms.text import with_variables


@dataclass(frozen=True)
class OrderItem:
    """One item of an order."""

    tree: exp.Expr
    tail: str

    @property
    def sql(self) -> str:
        """As it stands in ORDER BY."""
        return f"{with_variables(self.tree)}{self.tail}"

    def columns(self, shape: Shape) -> list[str]:
        """The columns it looks at."""
        return sorted({one.name for one in self.tree.find_all(exp.Column)} & set(shape.columns))


def order_item(build: Compilation, step: str, text: str, shape: Shape, source: str) -> OrderItem:
    """An item of the file, checked."""
    with refused(step):
        checked = check_order(text, columns=set(shape.columns), params=build.params, what="order")
    tree = checked.tree
    bare = tree.this if isinstance(tree, exp.Ordered) else tree
    sql = with_variables(bare)
    build.types_of(f"SELECT 1 AS v FROM {source} ORDER BY {sql}", step=step, what="order")
    return OrderItem(bare.copy(), with_variables(tree)[len(sql) :])


def careful_item(folds: Folds, item: OrderItem, rule: str) -> OrderItem:
    """The item with its value in a column that is computed before, if it may fail."""
    if isinstance(item.tree, exp.Column):
        return item
    column = folds.argument(rule)
    folds.arguments[column.name] = item.tree
    return OrderItem(column, item.tail)
