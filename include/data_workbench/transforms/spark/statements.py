"""Queries of a plan in Spark's SQL.

Structure (joins, groups, windows, unions) is Spark's own; what each expression becomes is decided one by one
(`select.py`). Types come from DuckDB itself: a session whose tables are empty is asked what an expression gives.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from data_workbench.records.marks import ORDINAL
from data_workbench.transforms.spark.remote import Define
from data_workbench.transforms.spark.select import Select

if TYPE_CHECKING:
    import duckdb


@dataclass
class Queries:
    """Writes queries again.

    Args:
        oracle: DuckDB with the same tables and views, all empty.
        views: names of tables and views, and what they are called in Spark.
        tables: those of them that have a ROWID.
        variables: name to type and value; without secrets.
        define: for what DuckDB computes.
    """

    oracle: duckdb.DuckDBPyConnection
    views: Mapping[str, str]
    tables: Mapping[str, object]
    variables: Mapping[str, tuple[str, Any]]
    define: Define

    def write(self, tree: exp.Expr, *, in_order: bool = False) -> str:
        """SQL of Spark's for a query.

        Args:
            in_order: rows come in the order of their ordinals, where the query has no order itself.
        """
        if in_order:
            _put_in_order(tree, self)
        return self.query(tree.copy(), "").sql(dialect="spark", comments=False)

    def columns(self, frame: str, prefix: str = "") -> dict[str, str]:
        """Names and DuckDB types of what a query gives."""
        return {str(row[0]): str(row[1]) for row in self.oracle.execute(f"DESCRIBE {prefix}{frame}").fetchall()}

    def query(self, node: exp.Expr, prefix: str, around: Select | None = None) -> exp.Expr:
        """A query, whose parts are changed in their places; `around` is the one it stands in as an expression."""
        if node.args.get("with_"):
            prefix = f"{node.args['with_'].sql(dialect='duckdb')} "
        for cte in node.args["with_"].expressions if node.args.get("with_") else ():
            cte.set("this", self.query(cte.this, prefix))
        if isinstance(node, exp.Subquery):
            node.set("this", self.query(node.this, prefix, around))
            return node
        if isinstance(node, exp.SetOperation):
            if node.args.get("by_name"):
                self._align(node, prefix)
            node.set("this", self.query(node.this, prefix))
            node.set("expression", self.query(node.expression, prefix))
            return node
        if isinstance(node, exp.Table):
            return self._table(node)
        assert isinstance(node, exp.Select), type(node)
        return Select(self, node, prefix, around).write()

    def _table(self, node: exp.Table) -> exp.Expr:
        name = node.name
        if name not in self.views:
            return node  # a part of the query itself
        if not node.alias:
            node.set("alias", exp.TableAlias(this=exp.to_identifier(name, quoted=True)))
        node.set("this", exp.to_identifier(self.views[name], quoted=True))
        return node

    def _align(self, node: exp.SetOperation, prefix: str) -> None:
        """UNION BY NAME as a union of the same columns."""
        sides = {key: node.args[key] for key in ("this", "expression")}
        columns = {key: self.columns(side.sql(dialect="duckdb"), prefix) for key, side in sides.items()}
        kinds = {**columns["expression"], **columns["this"]}
        for key, side in sides.items():
            parts = [
                exp.column(name, quoted=True)
                if name in columns[key]
                else exp.alias_(exp.cast(exp.Null(), kind, dialect="duckdb"), name, quoted=True)
                for name, kind in kinds.items()
            ]
            inner = side if isinstance(side, exp.Subquery) else exp.Subquery(this=side.copy())
            node.set(key, exp.Select(expressions=parts, from_=exp.From(this=inner.copy())))
        node.set("by_name", False)


def _put_in_order(tree: exp.Expr, queries: Queries) -> None:
    """Sort the rows of the frame that a query reads, so that what comes of them has their order."""
    for node in _innermost(tree):
        joins = node.args.get("joins")
        source = node.args["from_"].this
        if joins:
            if not node.args.get("order"):
                table = source.alias_or_name
                columns = queries.columns(f"SELECT * FROM {source.sql(dialect='duckdb')}")
                if ORDINAL in columns and table:
                    node.set(
                        "order",
                        exp.Order(expressions=[exp.Ordered(this=exp.column(ORDINAL, table=table), nulls_first=False)]),
                    )
            continue
        if node.args.get("order") or node.args.get("group") or node.args.get("distinct"):
            continue
        if ORDINAL in queries.columns(f"SELECT * FROM {source.sql(dialect='duckdb')}"):
            order = exp.Order(expressions=[exp.Ordered(this=exp.column(ORDINAL), nulls_first=False)])
            inner = exp.Select(expressions=[exp.Star()], from_=exp.From(this=source.copy()), order=order)
            alias = exp.TableAlias(this=exp.to_identifier(source.alias_or_name or "_wb_f", quoted=True))
            node.args["from_"].set("this", exp.Subquery(this=inner, alias=alias))


def _innermost(tree: exp.Expr) -> Iterator[exp.Select]:
    """The queries at the ends of a chain of FROMs, through unions."""
    if isinstance(tree, exp.SetOperation):
        yield from _innermost(tree.this)
        yield from _innermost(tree.expression)
    elif isinstance(tree, exp.Subquery):
        yield from _innermost(tree.this)
    elif isinstance(tree, exp.Select) and tree.args.get("from_") and not tree.args.get("order"):
        source = tree.args["from_"].this
        is_chain = isinstance(source, exp.Subquery) and not tree.args.get("joins")
        if is_chain and not (tree.args.get("group") or tree.args.get("distinct")):
            before = list(_innermost(source))
            yield from before
        elif not tree.args.get("with_"):
            yield tree
