"""Steps whose rows are made anew, by a query or a Python function: sql, python.

Which row became which is not known, but for queries that look at one row at a time: of these a value that cannot be
computed sets its row aside. Live rows are what they see. Deletions and filtered rows pass with their keys where the
step keeps the key of its input; otherwise a deletion counts as filtered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlglot import exp

from data_workbench.errors import SchemaConflict
from data_workbench.records.marks import ORDINAL
from data_workbench.records.names import literal, quoted
from data_workbench.transforms.calling import declared_kinds
from data_workbench.transforms.computing import Made, cannot_be, make_columns, with_values
from data_workbench.transforms.drafts import Column, Compilation, Draft, Shape, refused
from data_workbench.transforms.folds import Folds
from data_workbench.transforms.guards import in_turn
from data_workbench.transforms.ordering import careful_item, order_item
from data_workbench.transforms.per_row import PerRow, per_row
from data_workbench.transforms.plan import ALIVE, REJECTED, STATUS, Action, Origin
from data_workbench.transforms.queries import check_query
from data_workbench.transforms.spec import Step
from data_workbench.transforms.text import REJECTED_TYPE, listing, next_segment, with_variables
from data_workbench.transforms.verbs import distinct_names

_WHOLE: Mapping[str, str] = {"HUGEINT": "BIGINT", "UHUGEINT": "BIGINT", '"NULL"': "VARCHAR"}


def query_rows(build: Compilation, step: Step, shape: Shape, source: str, tables: Mapping[str, Shape]) -> Draft:
    """The rows a query gives; `tables` are the shapes of all it may read, the input's first."""
    rule = step.sql
    assert rule is not None
    columns = {name: set(one.columns) for name, one in tables.items()}
    with refused(step.name):
        query = check_query(rule.query, tables=columns, params=set(build.params), what="sql")
    views = {name: quoted(f"sql_{step.name}_{name}") for name in tables}
    prepare = [
        Action(
            "sql",
            f"CREATE OR REPLACE TEMP VIEW {views[name]} AS SELECT {listing(one.columns)} "
            f"FROM {next_segment(name, list(one.columns))} WHERE {STATUS} = {ALIVE}",
        )
        for name, one in tables.items()
        if name in query.reads
    ]
    for action in prepare:
        build.run(action, step=step.name)
    sql = with_variables(query.tree.transform(lambda node: _from_view(node, views)))
    types = build.types_of(sql, step=step.name, what="sql")
    # A column is named as it is written, where DuckDB takes the spelling of the input.
    kinds = {name: _WHOLE.get(kind, kind) for name, kind in zip(query.columns, types.values(), strict=True)}
    assert query.made_of is not None
    made = {
        name: Column(kind, None, _origins(tables, query.made_of[name], name in query.folded, rule.query))
        for name, kind in kinds.items()
    }
    given = ", ".join(
        (f"CAST({quoted(name)} AS {kind})" if found != kind else quoted(name)) + f" AS {quoted(name)}"
        for (name, kind), found in zip(kinds.items(), types.values(), strict=True)
    )
    conditions = tuple(
        origin
        for name in query.reads
        for origin in (
            *tables[name].conditions,
            *tables[name].origins_of(sorted(c for t, c in query.decided_by if t == name), "CONDITIONAL", "sql"),
        )
    )
    first = next(iter(tables))
    plain = per_row(query.written, table=first, columns=set(shape.columns)) if query.reads == {first} else None
    rows = f"SELECT {given} FROM ({sql})"
    remade = _Remade(build, step.name, shape, source, made, tuple(rule.key))
    selects = zip(query.columns, query.written.selects, strict=True)
    told = {
        "step": step.name,
        "query": rows,
        "columns": {name: f"sql: column {name}: {_text(one.unalias())}" for name, one in selects},
        "rest": "sql: a condition, join, group or order of the query",
    }
    careful = careful_rows(remade, plain) if plain else None
    return remade.draft(conditions, prepare, rows, careful, told)


def _from_view(node: exp.Expr, views: Mapping[str, str]) -> exp.Expr:
    """A table as the view over its live rows, under the name the query calls it."""
    if not isinstance(node, exp.Table) or node.name not in views or not isinstance(node.this, exp.Identifier):
        return node
    view = exp.Table(this=exp.to_identifier(views[node.name][1:-1], quoted=True))
    alias = node.args.get("alias") or exp.TableAlias(this=exp.to_identifier(node.name, quoted=True))
    view.set("alias", alias.copy())
    for part in ("joins",):
        if node.args.get(part):
            view.set(part, node.args[part])
    return view


def _origins(
    tables: Mapping[str, Shape], made_of: frozenset[tuple[str, str]], is_folded: bool, text: str
) -> tuple[Origin, ...]:
    kind = "AGGREGATION" if is_folded else "TRANSFORMATION"
    found = [
        origin
        for table, column in sorted(made_of)
        for origin in tables[table].origins_of([column], kind, " ".join(text.split()))  # type: ignore[arg-type]
    ]
    return tuple(dict.fromkeys(found))


def call_function(build: Compilation, step: Step, shape: Shape, source: str) -> Draft:
    """The rows a Python function gives. It is not imported before the run."""
    rule = step.python
    assert rule is not None
    kinds = declared_kinds(step.name, rule)
    origins = shape.origins_of(shape.columns, "TRANSFORMATION", rule.function)
    made = {name: Column(kind, None, origins) for name, kind in kinds.items()}
    table = quoted(f"made_{step.name}")
    typed = ", ".join(f"{quoted(name)} {kind}" for name, kind in kinds.items())
    arguments = {"function": rule.function, "options": rule.options, "table": table}
    prepare = [
        Action("sql", f"CREATE OR REPLACE TEMP TABLE {table} ({typed})"),
        Action("python", f"SELECT {listing(shape.columns)} FROM {source} WHERE {STATUS} = {ALIVE}", arguments),
    ]
    for action in prepare:
        build.run(action, step=step.name)
    conditions = (*shape.conditions, *origins)
    remade = _Remade(build, step.name, shape, source, made, tuple(rule.key))
    return remade.draft(conditions, prepare, f"SELECT * FROM {table}")


@dataclass(frozen=True)
class _Remade:
    """A step whose rows are made anew, and the table that holds them."""

    build: Compilation
    step: str
    shape: Shape
    source: str
    columns: Mapping[str, Column]
    key: tuple[str, ...]

    def __post_init__(self) -> None:
        distinct_names(self.step, self.columns)
        absent = [name for name in self.key if name not in self.columns]
        if absent:
            raise SchemaConflict(
                f"{self.step}: key: there is no column {absent[0]!r}",
                hint=f"columns are {', '.join(list(self.columns)[:20])}",
            )

    @property
    def keeps_key(self) -> bool:
        """Whether its rows have the keys of its input's."""
        return bool(self.key) and self.key == self.shape.key

    @property
    def keys(self) -> str:
        """Its columns of a row of the input of which only the key matters."""
        kept = self.key if self.keeps_key else ()
        return ", ".join(
            f"CAST({quoted(name) if name in kept else 'NULL'} AS {column.type}) AS {quoted(name)}"
            for name, column in self.columns.items()
        )

    def draft(
        self,
        conditions: Sequence[Origin],
        prepare: list[Action],
        rows: str,
        careful: CarefulRows | None = None,
        told: Mapping[str, Any] | None = None,
    ) -> Draft:
        """The frame over the table.

        Args:
            rows: the query of the new rows.
            careful: how they are made where that fails for one of them.
            told: what a failure is told with.
        """
        table = quoted(f"rows_{self.step}")
        create = f"CREATE OR REPLACE TEMP TABLE {table} AS "
        alive = f"CAST({ALIVE} AS INTEGER) AS {STATUS}, CAST(NULL AS {REJECTED_TYPE}) AS {REJECTED}"
        passing = ""
        if self.keeps_key and self.shape.marks:
            passing = (
                f" UNION ALL (SELECT {self.keys}, {STATUS}, CAST(NULL AS {REJECTED_TYPE}) AS {REJECTED} "
                f"FROM {self.source} WHERE {STATUS} < {ALIVE} ORDER BY {ORDINAL})"
            )
        otherwise = (careful.prepare, f"{create}{careful.rows}{passing}") if careful else ()
        made = Action(
            "sql", f"{create}(SELECT {listing(self.columns)}, {alive} FROM ({rows})){passing}", told or {}, otherwise
        )
        gone = self.build.drop(self.step, "filtered", "deleted rows")
        counted = Action("count", f"SELECT {gone}, count(*) FROM {self.source} WHERE {STATUS} = -1")
        marks = self.keeps_key and (self.shape.marks or (careful is not None and self.build.holds))
        out = Shape(self.columns, self.key, False, tuple(dict.fromkeys(conditions)), marks=marks)
        frame = f"SELECT {listing(self.columns)}, rowid AS {ORDINAL}, {STATUS}, {REJECTED} FROM {table}"
        return Draft(self.step, out, frame, prepare=[*prepare, made, counted], table=table)


@dataclass(frozen=True)
class CarefulRows:
    """What makes a query's rows one by one: a statement for their values, and the query over these."""

    prepare: str
    rows: str


def careful_rows(remade: _Remade, query: PerRow) -> CarefulRows:
    """Rows of which a value cannot be computed are set aside, others made as the query says."""
    build, step, shape, source = remade.build, remade.step, remade.shape, remade.source
    folds, where = Folds(), ""
    told: dict[str, str] = {}
    taken = f"{STATUS} = {ALIVE}"
    if query.where is not None:
        name, where = _argument(remade, folds, told, query.where, "BOOLEAN", "sql where")
        taken += f" AND coalesce({quoted(name)}, FALSE)"
    values = []
    for column, tree in query.columns.items():
        name, _ = _argument(remade, folds, told, tree, remade.columns[column].type, f"sql {column}")
        values.append(f"{quoted(name)} AS {quoted(column)}")
    items = [order_item(build, step, _text(item), shape, source) for item in query.order]
    order = ", ".join([*(careful_item(folds, item, "sql order by").sql for item in items), ORDINAL])
    held, build.holds = build.holds, build.holds and remade.keeps_key
    made = [
        _made(one, told.get(one.name), where if one.rule != "sql where" else "")
        for one in folds.columns_made(build, step, shape, source)
    ]
    computed = make_columns(build, step, shape, source, made)
    build.holds = held
    table = quoted(f"computed_{step}")
    rows = (
        f"(SELECT {', '.join(values)}, {STATUS}, {REJECTED} FROM {table} WHERE {taken} ORDER BY {order}) UNION ALL "
        f"(SELECT {remade.keys}, {STATUS}, {REJECTED} FROM {table} WHERE {STATUS} > {ALIVE} ORDER BY {ORDINAL})"
    )
    return CarefulRows(f"CREATE OR REPLACE TEMP TABLE {table} AS {computed.sql}", rows)


def _argument(
    remade: _Remade, folds: Folds, told: dict[str, str], tree: exp.Expr, wanted: str, what: str
) -> tuple[str, str]:
    """A column of the input, or one that is computed before: its name, and the SQL of its value."""
    build, step, shape, source = remade.build, remade.step, remade.shape, remade.source
    checked, sql, kind = build.expression(_text(tree), shape=shape, source=source, step=step, what=what)
    if isinstance(checked.tree, exp.Column) and kind == wanted:
        return checked.tree.name, sql
    is_it = kind == wanted and sql == with_variables(in_turn(checked.tree))
    name = folds.argument(what).name
    folds.arguments[name] = checked.tree if is_it else exp.cast(checked.tree, wanted, dialect="duckdb")
    told[name] = literal(f"{_text(tree)} cannot be computed") + with_values(sorted(checked.columns))
    return name, sql


def _text(tree: exp.Expr) -> str:
    return tree.sql(dialect="duckdb", comments=False)


def _made(made: Made, reason: str | None, condition: str) -> Made:
    """A value with its reason in the file's own words, asked for only of rows for which the condition holds."""
    sql = f"CASE WHEN {condition} THEN {made.sql} END" if condition else made.sql
    return replace(made, sql=sql, failed=lambda value: cannot_be(value, sql), reason=reason or made.reason)
