"""An expression in DuckDB's SQL as PostgreSQL's, where it gives the same value for every row.

An allow-list. DuckDB itself says which type each part has; numbers are computed in that type, texts compare in the
collation "C", which is by bytes as DuckDB does, and what depends on tables of letters (`lower`) is computed for ASCII
only. A value that PostgreSQL cannot compute is an error there, which ends the attempt: so nothing here needs to fail
as DuckDB fails, but nothing may succeed with another value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

from sqlglot import exp

from data_workbench.records.names import literal, quoted
from data_workbench.records.pushed import PARAMS
from data_workbench.transforms.pushdown import casts, conditions, moments, numbers, texts
from data_workbench.transforms.pushdown.values import NotPushed, Value, of_duckdb
from data_workbench.transforms.pushdown.writing import C, Writers, may_differ, shown

_WRITERS: Final[Writers] = {
    **conditions.WRITERS,
    **numbers.WRITERS,
    **texts.WRITERS,
    **casts.WRITERS,
    **moments.WRITERS,
    exp.Null: lambda *_: "NULL",
    exp.Boolean: lambda _, node: "TRUE" if node.this else "FALSE",
    exp.Paren: lambda write, node: f"({write.sql(node.this)})",
}


class TypeOracle:
    """DuckDB, asked for the types of expressions over an empty table."""

    def __init__(self) -> None:
        import duckdb

        self._database = duckdb.connect(config={"threads": 1})

    def close(self) -> None:
        """Give the database back."""
        self._database.close()

    def types(self, columns: Mapping[str, str], parts: Sequence[str]) -> list[str]:
        """The type of each expression; empty where it is none by itself."""
        table = ", ".join(f"{quoted(name)} {kind}" for name, kind in columns.items()) or "x INTEGER"
        self._database.execute(f"CREATE OR REPLACE TEMP TABLE frame ({table})")
        return self._told(parts) or [(self._told([part]) or [""])[0] for part in parts]

    def _told(self, parts: Sequence[str]) -> list[str] | None:
        import duckdb

        listed = ", ".join(f"{part} AS v{place}" for place, part in enumerate(parts))
        try:
            return [str(row[1]) for row in self._database.execute(f"DESCRIBE SELECT {listed} FROM frame").fetchall()]
        except duckdb.Error:
            return None


class Expressions:
    """Expressions over the columns of one node."""

    def __init__(self, columns: Mapping[str, Value], params: Mapping[str, str], oracle: TypeOracle) -> None:
        """Keep what is known of the columns.

        Args:
            params: declared params and their types in DuckDB.
        """
        self.columns = columns
        self._oracle = oracle
        self.params = params
        self.used: dict[str, str] = {}
        """Params that were read, with their types in PostgreSQL."""
        self._types: dict[str, Value] = {}

    def write(self, tree: exp.Expr) -> tuple[str, Value]:
        """A checked expression in PostgreSQL's SQL, and what it gives.

        Raises:
            NotPushed: a part of it might mean something else there.
        """
        self._ask(tree)
        return self.sql(tree), self.value(tree)

    def condition(self, tree: exp.Expr) -> str:
        """A checked condition in PostgreSQL's SQL. Raises NotPushed."""
        sql, value = self.write(tree)
        if value.kind != "boolean":
            raise NotPushed(f"{shown(tree)} is no condition")
        return sql

    # ------------------------------------------------------------------------------------------------- types

    def _ask(self, tree: exp.Expr) -> None:
        """Have DuckDB say the types of all parts of an expression."""
        parts: dict[str, str] = {}
        for node in tree.walk():
            if isinstance(node, exp.Condition | exp.Func | exp.Filter) and not isinstance(
                node, exp.DataType | exp.Star
            ):
                parts.setdefault(shown(node), self._typed(node))
        kinds = self._oracle.types({name: value.duckdb for name, value in self.columns.items()}, list(parts.values()))
        for text, kind in zip(parts, kinds, strict=True):
            with suppress(NotPushed):  # asked for only if this part is written by itself
                self._types[text] = Value("text", "text") if kind == '"NULL"' else of_duckdb(kind)

    def _typed(self, node: exp.Expr) -> str:
        def typed(one: exp.Expr) -> exp.Expr:
            if isinstance(one, exp.Placeholder):
                return exp.cast(exp.Null(), self.params.get(one.name, "VARCHAR"), dialect="duckdb")
            return one

        return node.copy().transform(typed).sql(dialect="duckdb", comments=False)

    def value(self, node: exp.Expr) -> Value:
        """What an expression gives. Raises NotPushed if PostgreSQL has no such type."""
        if isinstance(node, exp.Paren):
            return self.value(node.this)
        if isinstance(node, exp.Column) and node.name in self.columns:
            return self.columns[node.name]
        found = self._types.get(shown(node))
        if found is None:
            raise NotPushed(f"{shown(node)} has no equal type in PostgreSQL")
        return found

    # ------------------------------------------------------------------------------------------------- writing

    def sql(self, node: exp.Expr) -> str:
        """A part of an expression whose types were asked for. Raises NotPushed."""
        if isinstance(node, exp.Column):
            return self._column(node)
        if isinstance(node, exp.Literal):
            return self._literal(node)
        if isinstance(node, exp.Placeholder):
            return self._param(node)
        write = _WRITERS.get(type(node))
        if write is None:
            raise may_differ(node)
        return write(self, node)

    def _column(self, node: exp.Expr) -> str:
        name = node.name
        value = self.columns.get(name) if not node.args.get("table") else None
        if value is None:
            raise NotPushed(f"{shown(node)} is no column")
        if value.kind is None:
            raise NotPushed(f"column {name} is {value.native}, which DuckDB compares and computes otherwise")
        return f"({quoted(name)}::text {C})" if value.kind == "texted" else quoted(name)

    def _literal(self, node: exp.Expr) -> str:
        text = str(node.this)
        if node.is_string:
            return f"({literal(text)}::text {C})"
        return f"{text}::float8" if self.value(node).kind == "double" else text

    def _param(self, node: exp.Expr) -> str:
        value = self.value(node)
        self.used[node.name] = value.native
        collated = f" {C}" if value.kind == "text" else ""
        return f"((SELECT {quoted(node.name)} FROM {PARAMS}){collated})"
