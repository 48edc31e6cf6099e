"""Steps whose rows are made anew, by a query or a Python function: sql, python.

Which row became which is not known. Live rows are what they see. Deletions and filtered rows pass with their keys where
the step keeps the key of its input; otherwise a deletion counts as filtered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlglot import exp

from data_workbench.errors import SchemaConflict
from data_workbench.records.marks import ORDINAL
from data_workbench.records.names import quoted
from data_workbench.transforms.calling import declared_kinds
from data_workbench.transforms.drafts import Column, Compilation, Draft, Shape, refused
from data_workbench.transforms.plan import ALIVE, STATUS, Action, Origin
from data_workbench.transforms.queries import check_query
from data_workbench.transforms.reshaping import framed
from data_workbench.transforms.spec import Step
from data_workbench.transforms.text import listing, next_segment, with_variables
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
    kinds = {name: _WHOLE.get(kind, kind) for name, kind in types.items()}
    assert query.made_of is not None
    made = {
        name: Column(kind, None, _origins(tables, query.made_of[name], name in query.folded, rule.query))
        for name, kind in kinds.items()
    }
    given = ", ".join(
        f"CAST({quoted(name)} AS {kind}) AS {quoted(name)}" if types[name] != kind else quoted(name)
        for name, kind in kinds.items()
    )
    conditions = tuple(
        origin
        for name in query.reads
        for origin in (
            *tables[name].conditions,
            *tables[name].origins_of(sorted(c for t, c in query.decided_by if t == name), "CONDITIONAL", "sql"),
        )
    )
    return _remade(build, step.name, shape, source, made, rule.key, conditions, prepare, f"SELECT {given} FROM ({sql})")


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
    return _remade(build, step.name, shape, source, made, rule.key, conditions, prepare, f"SELECT * FROM {table}")


def _remade(
    build: Compilation,
    step: str,
    shape: Shape,
    source: str,
    columns: Mapping[str, Column],
    key: Sequence[str],
    conditions: Sequence[Origin],
    prepare: list[Action],
    rows: str,
) -> Draft:
    distinct_names(step, columns)
    absent = [name for name in key if name not in columns]
    if absent:
        raise SchemaConflict(
            f"{step}: key: there is no column {absent[0]!r}", hint=f"columns are {', '.join(list(columns)[:20])}"
        )
    table = quoted(f"rows_{step}")
    names = listing(columns)
    keeps_key = bool(key) and tuple(key) == shape.key and shape.marks
    passing = ""
    if keeps_key:
        keys = ", ".join(
            f"CAST({quoted(name)} AS {column.type}) AS {quoted(name)}" if name in key else
            f"CAST(NULL AS {column.type}) AS {quoted(name)}"
            for name, column in columns.items()
        )  # fmt: skip
        passing = f" UNION ALL (SELECT {keys}, {STATUS} FROM {source} WHERE {STATUS} < {ALIVE} ORDER BY {ORDINAL})"
    sql = (
        f"CREATE OR REPLACE TEMP TABLE {table} AS (SELECT {names}, CAST({ALIVE} AS INTEGER) AS {STATUS} "
        f"FROM ({rows})){passing}"
    )
    gone = build.drop(step, "filtered", "deleted rows")
    prepare = [
        *prepare,
        Action("sql", sql),
        Action("count", f"SELECT {gone}, count(*) FROM {source} WHERE {STATUS} = -1"),
    ]
    out = Shape(columns, tuple(key), False, tuple(dict.fromkeys(conditions)), marks=keeps_key)
    return Draft(step, out, framed(columns, table), prepare=prepare, table=table)
