"""One SELECT of a plan: what its names mean, and its expressions in Spark's SQL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlglot import exp

from data_workbench.errors import TransformError
from data_workbench.records.marks import ORDINAL
from data_workbench.transforms.expressions import is_fold
from data_workbench.transforms.spark.folds import fold, over
from data_workbench.transforms.spark.native import Foreign, native, typed
from data_workbench.transforms.spark.remote import Remote
from data_workbench.transforms.spark.types import NoSparkType, spark_type

if TYPE_CHECKING:
    from data_workbench.transforms.spark.statements import Queries

ROWID = "_wb_rowid"
"""Column of tables made here: the place of a row, as DuckDB's rowid."""


@dataclass
class Select:
    """One SELECT: what its names mean, and its expressions in Spark's SQL."""

    queries: Queries
    node: exp.Select
    prefix: str
    around: Select | None = None
    frame: str = ""
    groups: str = ""
    sources: dict[str, dict[str, str]] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    early: list[exp.Expr] = field(default_factory=list)
    """Computed below the aggregates."""

    def write(self) -> exp.Expr:
        node = self.node
        self._look_around()
        self._spread_stars()
        lists = [one for one in node.expressions if isinstance(one.unalias(), exp.Explode)]
        nearest = self._plain_joins()
        node.set("expressions", [self._selected(one) for one in node.expressions if one not in lists])
        for key in ("where", "having", "qualify"):
            if node.args.get(key):
                node.args[key].set("this", self.expression(node.args[key].this))
        self._grouping()
        if node.args.get("order"):
            for item in node.args["order"].expressions:
                item.set("this", self.expression(item.this))
        for join in node.args.get("joins") or ():
            if join.args.get("on"):
                join.set("on", self.expression(join.args["on"]))
        unnested = [(one.alias, self.expression(one.unalias().this)) for one in lists]
        self._read()
        if self.early:
            self._compute_early()
        if nearest:
            return self._nearest_only(nearest)
        return self._unnested(unnested) if unnested else node

    # ------------------------------------------------------------------------------------------------------ names

    def _look_around(self) -> None:
        """What stands in FROM, with columns and types."""
        bare = exp.Select(
            expressions=[exp.Star()], from_=self.node.args.get("from_"), joins=self.node.args.get("joins")
        )
        self.frame = bare.sql(dialect="duckdb").removeprefix("SELECT *") if self.node.args.get("from_") else ""
        if self.node.args.get("group"):
            self.groups = self.node.args["group"].sql(dialect="duckdb")
        if not self.frame:
            return
        parts = [self.node.args["from_"].this, *(join.this for join in self.node.args.get("joins") or ())]
        for place, part in enumerate(parts):
            name = part.alias_or_name or f"_wb_{place}"
            star = f'"{name}".*' if part.alias_or_name else "*"
            self.sources[name] = self._describe(f"SELECT {star}{self.frame}")

    def _describe(self, sql: str) -> dict[str, str]:
        import duckdb

        try:
            return self.queries.columns(sql, self.prefix)
        except duckdb.Error as error:
            raise Foreign(str(error)) from error

    def _spread_stars(self) -> None:
        """`*` and `f.*` as columns: tables here have one column more."""
        made: list[exp.Expr] = []
        for one in self.node.expressions:
            star = one if isinstance(one, exp.Star) else one.this if isinstance(one, exp.Column) else None
            if not isinstance(star, exp.Star):
                made.append(one)
                continue
            table = one.table if isinstance(one, exp.Column) else ""
            columns = (
                self.sources[table] if table else {n: k for found in self.sources.values() for n, k in found.items()}
            )
            left_out = {name.name for name in star.args.get("except_") or ()}
            replaced = {item.alias: item.this for item in star.args.get("replace") or ()}
            for name in columns:
                if name in replaced:
                    made.append(exp.alias_(replaced[name].copy(), name, quoted=True))
                elif name not in left_out:
                    made.append(exp.column(name, table=table or None, quoted=True))
        self.node.set("expressions", made)

    def column(self, node: exp.Column) -> exp.Expr:
        name, table = node.name, node.table
        if node.args.get("db") or (table and not self._knows(table)):
            raise Foreign("a field of a struct")
        if name == "rowid" and not node.this.args.get("quoted"):
            return exp.column(ROWID, table=table or None, quoted=True)
        made = node.copy()
        made.this.set("quoted", True)
        return made

    def _knows(self, table: str) -> bool:
        return table in self.sources or (self.around is not None and self.around._knows(table))

    def type_of(self, node: exp.Expr) -> str:
        sql = node.sql(dialect="duckdb", comments=False)
        if sql not in self.kinds:
            if isinstance(node, exp.Column):
                found = [
                    one[node.name]
                    for name, one in self.sources.items()
                    if node.name in one and node.table in ("", name)
                ]
                if len(found) == 1:
                    self.kinds[sql] = found[0]
                    return found[0]
                if not found and self.around is not None:
                    return self.around.type_of(node)
            groups = f" {self.groups}" if node.find(exp.GroupingId) else ""
            found = list(self._describe(f"SELECT {sql} AS v{self.frame}{groups}").values())
            self.kinds[sql] = found[0]
        return self.kinds[sql]

    def variable(self, name: str) -> exp.Expr:
        if name not in self.queries.variables:
            raise Foreign("a secret")
        kind, value = self.queries.variables[name]
        if value is None:
            return typed(exp.Null(), kind)
        if kind not in ("VARCHAR", "BIGINT", "BOOLEAN", "DATE"):
            raise Foreign("written as text, it may be read otherwise")
        return typed(native(exp.Literal.string(str(value)), self), kind)

    def query(self, node: exp.Query) -> exp.Expr:
        if len(node.selects) == 1 and isinstance(node.selects[0], exp.Tuple):
            node.set("expressions", node.selects[0].expressions)
        return self.queries.query(node, self.prefix, self)

    # ------------------------------------------------------------------------------------------------ expressions

    def _selected(self, node: exp.Expr) -> exp.Expr:
        value = node.unalias()
        name = node.alias_or_name
        made = self.expression(value)
        is_same = isinstance(made, exp.Column) and made.name == name
        return made if is_same or not name else exp.alias_(made, name, quoted=True)

    def expression(self, node: exp.Expr) -> exp.Expr:
        """In Spark's SQL, or as a function that DuckDB computes."""
        try:
            return native(node, self)
        except Foreign as reason:
            if node.find(exp.Query):
                return self._around_query(node, reason)
            return self.remote(node)

    def _around_query(self, node: exp.Expr, reason: Foreign) -> exp.Expr:
        """A condition with a query in it, of which Spark computes the query and DuckDB the rest."""
        if isinstance(node, exp.And | exp.Or):
            return type(node)(this=self.expression(node.this), expression=self.expression(node.expression))
        if isinstance(node, exp.Not | exp.Paren):
            return type(node)(this=self.expression(node.this))
        query = node.args.get("query") if isinstance(node, exp.In) else None
        if query is not None:
            inner = query.this if isinstance(query, exp.Subquery) else query
            return exp.In(this=self.expression(node.this), query=exp.Subquery(this=self.query(inner.copy())))
        text = node.sql(dialect="duckdb", comments=False)
        raise TransformError(
            f"{text[:200]} has no equal meaning on Spark: {reason}",
            hint="split it over several steps, or use engine: duckdb",
        )

    def remote(self, node: exp.Expr) -> exp.Expr:
        """An expression over columns, and over what aggregates and windows give, that DuckDB computes."""
        called, folds = self._without_folds(node)
        columns = self.columns_of(called)
        given = [(self.type_of(one), self.column(one)) for one in columns.values()]
        named = {key: f"c{index}" for index, key in enumerate(columns)}
        for index, fold_ in enumerate(folds):
            named["", f"_wb_fold{index}"] = f"c{len(given)}"
            made = self.folded(fold_)
            assert made is not None
            given.append((self.type_of(fold_), made))
        sql = self.renamed(called, named).sql(dialect="duckdb", comments=False)
        result = self.type_of(node)
        _require_type(node, result)
        function = self.queries.define(Remote(sql, tuple(kind for kind, _ in given), result))
        return exp.Anonymous(this=function, expressions=[one for _, one in given] or [exp.Literal.number(1)])

    def _without_folds(self, node: exp.Expr) -> tuple[exp.Expr, list[exp.Expr]]:
        """The expression with names in the places of its aggregates and window functions."""
        if not has_fold(node):
            return node, []
        root, folds = exp.Paren(this=node.copy()), []
        for one in list(outermost_folds(root)):
            folds.append(one.copy())
            one.replace(exp.column(f"_wb_fold{len(folds) - 1}"))
        return root.this, folds

    def columns_of(self, node: exp.Expr) -> dict[tuple[str, str], exp.Column]:
        """The columns of FROM that an expression uses, each once."""
        found: dict[tuple[str, str], exp.Column] = {}
        for one in node.find_all(exp.Column):
            root = self._root(one)
            if root is not None:
                found.setdefault((root.table, root.name), root)
        return found

    def _root(self, node: exp.Column) -> exp.Column | None:
        """The column itself where a field of it is named; None for the variable of a lambda."""
        parts = node.parts
        for count in (2, 1):
            names = [part.name for part in parts[:count]]
            if len(names) < count:
                continue
            table, name = (names[0], names[1]) if count == 2 else ("", names[0])
            known = (
                self.sources.get(table, {})
                if table
                else {n: k for one in self.sources.values() for n, k in one.items()}
            )
            if name == "rowid" or any(name.lower() == one.lower() for one in known):
                return exp.column(parts[count - 1].name, table=table or None)
        return None

    def renamed(self, node: exp.Expr, names: Mapping[tuple[str, str], str]) -> exp.Expr:
        """The expression with other names for its columns."""

        def change(one: exp.Expr) -> exp.Expr:
            if not isinstance(one, exp.Column):
                return one
            if ("", one.name) in names and one.name.startswith("_wb_fold"):
                return exp.column(names["", one.name])
            root = self._root(one)
            if root is None:
                return one
            made: exp.Expr = exp.column(names[root.table, root.name])
            for part in one.parts[len(root.parts) :]:
                made = exp.Dot(this=made, expression=part.copy())
            return made

        return exp.Paren(this=node.copy()).transform(change)

    # -------------------------------------------------------------------------------------------------- structure

    def folded(self, node: exp.Expr) -> exp.Expr | None:
        if isinstance(node, exp.Window):
            return over(node, self)
        if isinstance(node, exp.Filter | exp.WithinGroup) or is_fold(node):
            return fold(node, self)
        return None

    def precomputed(self, node: exp.Expr) -> exp.Expr:
        """A value below the aggregates of this SELECT."""
        if isinstance(node, exp.Column) or len(self.sources) > 1:
            return node
        name = f"_wb_e{len(self.early)}"
        self.early.append(exp.alias_(node, name, quoted=True))
        return exp.column(name, quoted=True)

    def _compute_early(self) -> None:
        node = self.node
        every = [exp.column(name, quoted=True) for columns in self.sources.values() for name in columns]
        inner = exp.Select(
            expressions=[*every, *self.early],
            from_=node.args["from_"],
            where=node.args.get("where"),
            joins=node.args.get("joins"),
        )
        alias = next(iter(self.sources))
        node.set(
            "from_",
            exp.From(this=exp.Subquery(this=inner, alias=exp.TableAlias(this=exp.to_identifier(alias, quoted=True)))),
        )
        node.set("where", None)
        node.set("joins", None)

    def _grouping(self) -> None:
        group = self.node.args.get("group")
        if group is None:
            return
        for key in ("expressions",):
            group.set(
                key,
                [one if isinstance(one, exp.Literal) else self.expression(one) for one in group.args.get(key) or []],
            )
        for rollup in group.args.get("rollup") or ():
            rollup.set("expressions", [self.expression(one) for one in rollup.expressions])

    def _read(self) -> None:
        if self.node.args.get("from_"):
            from_ = self.node.args["from_"]
            from_.set("this", self._source(from_.this))
        for join in self.node.args.get("joins") or ():
            join.set("this", self._source(join.this))

    def _source(self, node: exp.Expr) -> exp.Expr:
        return self.queries.query(node, self.prefix)

    def _plain_joins(self) -> exp.Expr | None:
        """An as-of join as a join with all rows before; the order that finds the nearest, if there is one."""
        for join in self.node.args.get("joins") or ():
            if str(join.args.get("method") or "").upper() != "ASOF":
                continue
            join.set("method", None)
            late = next(one for one in join.args["on"].flatten() if isinstance(one, exp.GTE | exp.LTE))
            there = late.expression.copy()
            return exp.Ordered(this=there, desc=isinstance(late, exp.GTE), nulls_first=False)
        return None

    def _nearest_only(self, nearest: exp.Expr) -> exp.Expr:
        left = next(iter(self.sources))
        names = [one.alias_or_name for one in self.node.expressions]
        place = exp.Window(
            this=exp.RowNumber(),
            partition_by=[exp.column(ORDINAL, table=left, quoted=True)],
            order=exp.Order(expressions=[nearest]),
        )
        self.node.append("expressions", exp.alias_(place, "_wb_near"))
        inner = exp.Subquery(this=self.node.copy())
        return exp.Select(
            expressions=[exp.column(name, quoted=True) for name in names],
            from_=exp.From(this=inner),
            where=exp.Where(this=exp.EQ(this=exp.column("_wb_near"), expression=exp.Literal.number(1))),
        )

    def _unnested(self, lists: list[tuple[str, exp.Expr]]) -> exp.Expr:
        """Several UNNEST beside each other: row by row, the lists side by side."""
        names = [one.alias_or_name for one in self.node.expressions]
        for index, (_, value) in enumerate(lists):
            self.node.append("expressions", exp.alias_(value, f"_wb_l{index}"))
        sides = [exp.column(f"_wb_l{index}") for index in range(len(lists))]
        inline = exp.Anonymous(this="inline", expressions=[exp.Anonymous(this="arrays_zip", expressions=sides)])
        aliases = exp.Aliases(this=inline, expressions=[exp.to_identifier(name, quoted=True) for name, _ in lists])
        columns = [exp.column(name, quoted=True) for name in names]
        return exp.Select(expressions=[*columns, aliases], from_=exp.From(this=exp.Subquery(this=self.node.copy())))


def _require_type(node: exp.Expr, kind: str) -> None:
    try:
        spark_type(kind)
    except NoSparkType as error:
        tried = node.find(exp.Try)
        text = (tried.this if tried else node).sql(dialect="duckdb", comments=False)
        raise TransformError(
            f"{text[:200]}: {error}", hint="cast it to text or a number, or use engine: duckdb"
        ) from None


def outermost_folds(node: exp.Expr) -> Iterator[exp.Expr]:
    """Calls of aggregates and window functions, with what belongs to them."""
    if isinstance(node, exp.Window | exp.Filter | exp.WithinGroup) or is_fold(node):
        yield node
        return
    for child in list(node.iter_expressions()):
        yield from outermost_folds(child)


def has_fold(node: exp.Expr) -> bool:
    """Whether an aggregate or a window function stands in an expression."""
    return any(isinstance(one, exp.Window) or is_fold(one) for one in node.walk() if not isinstance(one, exp.Explode))
