"""The step that computes columns from the rows around each row: live rows see each other, a tombstone has NULLs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlglot import exp

from data_workbench.errors import TransformError
from data_workbench.records.marks import ORDINAL
from data_workbench.records.names import literal, quoted
from data_workbench.transforms.computing import Made, cannot_be, make_columns
from data_workbench.transforms.drafts import APART, Column, Compilation, Draft, Shape
from data_workbench.transforms.folds import Folds
from data_workbench.transforms.ordering import OrderItem, careful_item, order_item
from data_workbench.transforms.overflows import Overflows
from data_workbench.transforms.plan import ALIVE, STATUS, Action
from data_workbench.transforms.spec import Step
from data_workbench.transforms.spec_tables import Frame, Window
from data_workbench.transforms.text import HIDDEN, listing, with_variables
from data_workbench.transforms.verbs import distinct_names, known

RANKS = frozenset({"rank", "dense_rank", "rank_dense", "percent_rank", "cume_dist"})
_PLACES = frozenset({"row_number", "ntile", "lag", "lead"})


def window_columns(build: Compilation, step: Step, shape: Shape, source: str) -> Draft:
    rule = step.window
    assert rule is not None
    known(step.name, rule.by, shape, "window by")
    distinct_names(step.name, dict.fromkeys([*shape.columns, *rule.take]))
    folds = Folds()
    order = [order_item(build, step.name, text, shape, source) for text in rule.order]
    careful_order = [careful_item(folds, one, "window order") for one in order]
    checked = {
        name: build.windowed(text, shape=shape, step=step.name, what=f"window {name}")
        for name, text in rule.take.items()
    }
    outers = {name: folds.split(one.tree, f"window {name}") for name, one in checked.items()}
    _require_calls(step.name, rule, folds)
    table = quoted(f"windows_{step.name}")
    rows, calls = source, [_over(call.tree, rule, order) for call in folds.calls]
    direct = _table(table, source, shape, calls)
    otherwise: tuple[str, ...] = ()
    if folds.arguments:
        made = make_columns(build, step.name, shape, source, folds.columns_made(build, step.name, shape, source))
        rows, calls = quoted(f"arguments_{step.name}"), [_over(one.careful, rule, careful_order) for one in folds.calls]
        again = _table(table, rows, shape, calls)
        otherwise = (f"CREATE OR REPLACE TEMP TABLE {rows} AS {made.sql}", again)
    told = {call.name: call.told for call in folds.calls}
    query = f"SELECT {_values(calls)} FROM {rows}"
    parts: dict[str, Any] = {"step": step.name, "query": query, "columns": told, "rest": "a window"}
    overflows = Overflows(build, step.name, folds, shape, rule="window", of="this row")
    if overflows.calls:
        items = careful_order if folds.arguments else order
        parts[APART] = _apart(table, rows, shape, overflows, [_over(one, rule, items) for one in overflows.lists()])
    prepare = Action("sql", direct, parts, otherwise)
    build.run(prepare, step=step.name)
    looked_at = [*rule.by, *sorted({name for item in order for name in item.columns(shape)})]
    columns = []
    for name, one in checked.items():
        made_of = sorted(one.columns)
        origins = (
            *shape.origins_of(made_of, "TRANSFORMATION", rule.take[name]),
            *shape.origins_of([one for one in looked_at if one not in made_of], "CONDITIONAL", "window"),
        )
        outer = _outer(build, step.name, name, rule.take[name], outers[name], table)
        columns.append(replace(outer, column=replace(outer.column, origins=origins)))
    extra = [call.name for call in folds.calls]
    draft = make_columns(build, step.name, shape, table, columns, extra=extra)
    if set(shape.key) & set(rule.take):
        draft.shape = replace(draft.shape, key=(), key_is_unique=False)
    draft.shape = replace(
        draft.shape, marks=draft.shape.marks or (build.holds and bool(folds.arguments or overflows.calls))
    )
    draft.prepare.insert(0, prepare)
    return draft


def _require_calls(step: str, rule: Window, folds: Folds) -> None:
    if not folds.calls:
        raise TransformError(
            f"{step}: window: no function looks at other rows", hint="write for example row_number(), lag(x), sum(x)"
        )
    for call in folds.calls:
        if not rule.order and (ranked := asks_for_order(call.tree)):
            raise TransformError(f"{step}: window: {ranked} needs an order", hint="add order: [COLUMN]")


def asks_for_order(tree: exp.Expr) -> str | None:
    """The function in an expression that means nothing without an order."""
    folds = Folds()
    folds.split(tree, "")
    return next((name for call in folds.calls if (name := _name(call.tree)) in (*RANKS, *_PLACES)), None)


def _name(tree: exp.Expr) -> str:
    """The function that a call calls."""
    while isinstance(tree, exp.Filter | exp.IgnoreNulls | exp.RespectNulls | exp.WithinGroup):
        tree = tree.this
    return tree.sql(dialect="duckdb", comments=False).partition("(")[0].lower()


def _over(tree: exp.Expr, rule: Window, order: Sequence[OrderItem]) -> str:
    """A call with its window. Ranks see ties as ties; all else takes equal rows in their order."""
    name = _name(tree)
    items = [one.sql for one in order]
    if name not in RANKS:
        items.append(ORDINAL)
    by = ", ".join([f"({STATUS} = {ALIVE})", *map(quoted, rule.by)])
    frame = "" if name in RANKS | _PLACES else f" {_frame(rule)}"
    return f"{with_variables(tree)} OVER (PARTITION BY {by} ORDER BY {', '.join(items)}{frame})"


def _frame(rule: Window) -> str:
    rows = rule.rows or ("running" if rule.order else "all")
    if isinstance(rows, Frame):
        before = "UNBOUNDED PRECEDING" if rows.before is None else f"{rows.before} PRECEDING"
        after = "UNBOUNDED FOLLOWING" if rows.after is None else f"{rows.after} FOLLOWING"
        return f"ROWS BETWEEN {before} AND {after}"
    end = "CURRENT ROW" if rows == "running" else "UNBOUNDED FOLLOWING"
    return f"ROWS BETWEEN UNBOUNDED PRECEDING AND {end}"


def _table(table: str, source: str, shape: Shape, calls: Sequence[str]) -> str:
    """All rows with the values of the calls, in the order of the rows."""
    hidden = ", ".join(HIDDEN)
    return (
        f"CREATE OR REPLACE TEMP TABLE {table} AS SELECT {listing(shape.columns)}, {hidden}, {_values(calls)} "
        f"FROM {source} ORDER BY {ORDINAL}"
    )


def _apart(table: str, source: str, shape: Shape, overflows: Overflows, lists: Sequence[str]) -> str:
    """The same, where rows are set aside for which a call is out of range."""
    listed = f"(SELECT {listing(shape.columns)}, {', '.join(HIDDEN)}, {_values(lists)} FROM {source})"
    columns = ", ".join([listing(shape.columns), ORDINAL, *overflows.columns()])
    return f"CREATE OR REPLACE TEMP TABLE {table} AS SELECT {columns} FROM {listed} ORDER BY {ORDINAL}"


def _values(calls: Sequence[str]) -> str:
    return ", ".join(f"{sql} AS _wb_f{index}" for index, sql in enumerate(calls))


def _outer(build: Compilation, step: str, name: str, text: str, outer: exp.Expr, table: str) -> Made:
    """What is computed of the calls; a row that does not live has NULL."""
    sql = with_variables(outer)
    kind = build.types_of(f"SELECT {sql} AS v FROM {table}", step=step, what=f"window {name}")["v"]
    whole: Mapping[str, str] = {"HUGEINT": "BIGINT", "UHUGEINT": "BIGINT", '"NULL"': "VARCHAR"}
    if kind in whole:
        kind, sql = whole[kind], f"CAST({sql} AS {whole[kind]})"
    live = f"CASE WHEN {STATUS} = {ALIVE} THEN {sql} END"
    return Made(
        name=name,
        sql=live,
        column=Column(kind, None, ()),
        rule=f"window {name}",
        failed=lambda value: cannot_be(value, live),
        reason=literal(f"{text} cannot be computed"),
    )
