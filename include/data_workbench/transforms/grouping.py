"""Steps that fold rows into groups: aggregate, pivot, nest.

A value that cannot be computed does not stop the run: of an argument it sets aside its row, of a group the group.
The statement that assumes there is none runs first; only when it fails, arguments are computed row by row.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlglot import exp

from data_workbench.errors import TransformError
from data_workbench.records.marks import ORDINAL
from data_workbench.records.names import literal, quoted
from data_workbench.transforms.computing import Made, cannot_be, make_columns
from data_workbench.transforms.dialect import read_duckdb
from data_workbench.transforms.drafts import APART, Column, Compilation, Draft, Shape
from data_workbench.transforms.expressions import Checked
from data_workbench.transforms.folds import Folds, in_order
from data_workbench.transforms.overflows import Overflows
from data_workbench.transforms.plan import ALIVE, EXTRA, FOLDED, REJECTED, STATUS, Action, Origin
from data_workbench.transforms.spec import Step
from data_workbench.transforms.text import REJECTED_TYPE, listing, with_variables
from data_workbench.transforms.verbs import distinct_names, filter_frame, known


@dataclass(frozen=True)
class Take:
    """A column made of a group."""

    name: str
    text: str
    tree: exp.Expr
    type: str
    origins: tuple[Origin, ...]
    what: str


def aggregate_rows(build: Compilation, step: Step, shape: Shape, source: str) -> Draft:
    """One row per group, in the order in which groups first appear. No rows give no groups, even with `by: []`."""
    rule = step.aggregate
    assert rule is not None
    known(step.name, rule.by, shape, "aggregate by")
    level = [rule.level] if rule.level else []
    distinct_names(step.name, [*rule.by, *rule.take, *level])
    takes = [take_of(build, step.name, shape, source, name, text, rule.by) for name, text in rule.take.items()]
    draft = _fold(build, step.name, shape, source, rule.by, takes, rollup=rule.rollup, level=rule.level)
    if rule.having is None:
        return draft
    for action in draft.prepare:
        build.run(action, step=step.name)
    kept = filter_frame(build, step.name, draft.shape, f"({draft.sql})", rule.having, what="having")
    return replace(kept, prepare=draft.prepare, table=draft.table)


def pivot_rows(build: Compilation, step: Step, shape: Shape, source: str) -> Draft:
    rule = step.pivot
    assert rule is not None
    known(step.name, [*rule.by, rule.on], shape, "pivot")
    distinct_names(step.name, [*rule.by, *rule.columns])
    base = take_of(build, step.name, shape, source, "take", rule.take, rule.by, what="pivot take")
    on = f"CAST({quoted(rule.on)} AS VARCHAR)"
    decided = shape.origins_of([rule.on], "CONDITIONAL", "pivot on")
    takes = [
        replace(base, name=name, tree=_only(base.tree, f"{on} = {literal(value)}"), what=f"pivot {name}")
        for name, value in rule.columns.items()
    ]
    takes = [replace(one, origins=tuple(dict.fromkeys((*one.origins, *decided)))) for one in takes]
    wanted = f"coalesce({on} IN ({', '.join(map(literal, rule.columns.values()))}), FALSE)"
    draft = _fold(build, step.name, shape, source, rule.by, takes, where=wanted)
    draft.shape = replace(draft.shape, conditions=(*draft.shape.conditions, *decided))
    return draft


def _only(tree: exp.Expr, condition: str) -> exp.Expr:
    """An expression whose aggregates see only rows for which a condition holds."""
    folds = Folds()
    outer = folds.split(tree, "")
    calls = {call.name: call.tree for call in folds.calls}
    wanted = read_duckdb(condition)

    def narrowed(node: exp.Expr) -> exp.Expr:
        call = calls.get(node.name) if isinstance(node, exp.Column) else None
        if call is None:
            return node
        if isinstance(call, exp.Filter):
            both = exp.and_(call.expression.this.copy(), wanted.copy())
            return exp.Filter(this=call.this.copy(), expression=exp.Where(this=both))
        return exp.Filter(this=call.copy(), expression=exp.Where(this=wanted.copy()))

    return outer.transform(narrowed)


def nest_rows(build: Compilation, step: Step, shape: Shape, source: str) -> Draft:
    rule = step.nest
    assert rule is not None
    known(step.name, [*rule.by, *rule.columns], shape, "nest")
    distinct_names(step.name, [*rule.by, rule.into])
    fields = ", ".join(f"{literal(name)}: {quoted(name)}" for name in rule.columns)
    text = f"list({quoted(rule.columns[0])})" if len(rule.columns) == 1 else f"list({{{fields}}})"
    take = take_of(build, step.name, shape, source, rule.into, text, rule.by, what=f"nest {rule.into}")
    return _fold(build, step.name, shape, source, rule.by, [take])


def take_of(
    build: Compilation,
    step: str,
    shape: Shape,
    source: str,
    name: str,
    text: str,
    by: Sequence[str],
    *,
    what: str | None = None,
) -> Take:
    """A column made of a group, checked: an aggregate over columns of the frame."""
    what = what or f"aggregate {name}"
    checked, _, kind = build.expression(text, shape=shape, source=source, step=step, what=what, allow_aggregates=True)
    _require_fold(step, what, checked, by)
    origins = shape.origins_of(sorted(checked.columns), "AGGREGATION", text)
    return Take(name, text, checked.tree, kind, origins, what)


def _require_fold(step: str, what: str, checked: Checked, by: Sequence[str]) -> None:
    loose = checked.bare_columns - set(by)
    if not checked.is_aggregate or loose:
        seen = f"uses {', '.join(sorted(loose))} outside an aggregate" if loose else "is not an aggregate"
        raise TransformError(f"{step}: {what} {seen}", hint="write for example max(column)")


def _fold(
    build: Compilation,
    step: str,
    shape: Shape,
    source: str,
    by: Sequence[str],
    takes: Sequence[Take],
    *,
    rollup: bool = False,
    level: str | None = None,
    where: str | None = None,
) -> Draft:
    """The frame of groups.

    Args:
        level: with `rollup`, a column for how many columns of `by` a row is of.
        where: which rows belong to a group; the others are filtered out.
    """
    folds = Folds()
    outers = {take.name: folds.split(take.tree, take.what) for take in takes}
    gone = build.drop(step, "filtered", "aggregate")
    table = quoted(f"rows_{step}")
    groups = Groups(folds, by, rollup=rollup, level=level)
    kept = f"{STATUS} = {ALIVE}" + (f" AND {where}" if where else "")
    types = {name: column.type for name, column in shape.columns.items()}
    otherwise: tuple[str, ...] = ()
    query = groups.sql(source, kept, types, careful=False)
    direct = f"CREATE OR REPLACE TEMP TABLE {table} AS {query}"
    apart = SetApart(build, step, shape, groups)
    without, rejects = apart.sql(source, kept, types, careful=False), ""
    if folds.arguments:
        held, build.holds = build.holds, False  # the group of such a row goes on without it
        seen = f"(SELECT * FROM {source} WHERE {STATUS} <> {ALIVE} OR {where})" if where else source
        made = make_columns(build, step, shape, seen, folds.columns_made(build, step, shape, source))
        build.holds = held
        arguments = quoted(f"arguments_{step}")
        kinds = {**types, **{name: made.shape.columns[name].type for name in folds.arguments}}
        query = groups.sql(arguments, kept, kinds, careful=True)
        rejects = (
            f" UNION ALL BY NAME SELECT {ORDINAL} AS _wb_first, 1 AS {FOLDED}, FALSE AS {EXTRA}, {STATUS}, {REJECTED} "
            f"FROM {arguments} WHERE {STATUS} > {ALIVE}"
        )
        unions = f"CREATE OR REPLACE TEMP TABLE {table} AS {query}{rejects}"
        otherwise = (f"CREATE OR REPLACE TEMP TABLE {arguments} AS {made.sql}", unions)
        without = apart.sql(arguments, kept, kinds, careful=True)
    draft = framed_groups(build, step, shape, by, takes, outers, folds, table, rollup=rollup, level=level)
    told: dict[str, Any] = {"query": query, "columns": {call.name: call.told for call in folds.calls}}
    if without is not None:
        told[APART] = f"CREATE OR REPLACE TEMP TABLE {table} AS {without}{rejects}"
        draft.shape = replace(draft.shape, marks=draft.shape.marks or build.holds)
    draft.prepare.insert(0, Action("sql", direct, {"step": step, "rest": "a group", **told}, otherwise))
    if shape.marks or where:
        lost = f"{STATUS} = -1" + (f" OR ({STATUS} = {ALIVE} AND NOT {where})" if where else "")
        draft.prepare.insert(1, Action("count", f"SELECT {gone}, count(*) FROM {source} WHERE {lost}"))
    return draft


@dataclass(frozen=True)
class Groups:
    """The query of a step's groups."""

    folds: Folds
    by: Sequence[str]
    rollup: bool
    level: str | None

    def sql(
        self, source: str, where: str, types: Mapping[str, str], *, careful: bool, collect: Collection[str] = ()
    ) -> str:
        """The groups of a frame's rows.

        Args:
            careful: arguments stand in columns.
            collect: calls of which the values are listed, and not folded.
        """
        folded = ((call, call.written(careful=careful, listed=call.name in collect)) for call in self.folds.calls)
        calls = [f"{in_order(tree, types)} AS {call.name}" for call, tree in folded]
        count = "count(*)"
        parts = [*map(quoted, self.by), *calls, f"min({ORDINAL}) AS _wb_first"]
        order, group = "_wb_first", ""
        extra = "FALSE"
        if self.rollup:
            left_out = f"bit_count(grouping_id({listing(self.by)}))"
            count, extra = f"CASE WHEN {left_out} = 0 THEN count(*) ELSE 0 END", f"{left_out} > 0"
            order, group = f"{left_out}, _wb_first", f"GROUP BY ROLLUP ({listing(self.by)}) "
            parts += [f"CAST({len(self.by)} - {left_out} AS INTEGER) AS {quoted(self.level)}"] if self.level else []
        elif self.by:
            group = f"GROUP BY {listing(self.by)} "
        status = f"CAST({ALIVE} AS INTEGER) AS {STATUS}, CAST(NULL AS {REJECTED_TYPE}) AS {REJECTED}"
        parts += [f"{count} AS {FOLDED}", f"{extra} AS {EXTRA}", status]
        return f"(SELECT {', '.join(parts)} FROM {source} WHERE {where} {group}HAVING count(*) > 0 ORDER BY {order})"


class SetApart:
    """The query that sets groups aside of which an aggregate is out of range."""

    def __init__(self, build: Compilation, step: str, shape: Shape, groups: Groups) -> None:
        told = Shape({name: shape.columns[name] for name in groups.by}, () if groups.rollup else tuple(groups.by))
        self.groups = groups
        self.overflows = Overflows(build, step, groups.folds, told, rule="aggregate", of="this group")

    def sql(self, source: str, where: str, types: Mapping[str, str], *, careful: bool) -> str | None:
        """The groups, each with a status; None if no aggregate can be out of range."""
        if not self.overflows.calls:
            return None
        listed = self.groups.sql(source, where, types, careful=careful, collect=self.overflows.calls)
        level = [quoted(self.groups.level)] if self.groups.level else []
        parts = [*map(quoted, self.groups.by), "_wb_first", *level, FOLDED, EXTRA, *self.overflows.columns()]
        return f"(SELECT {', '.join(parts)} FROM {listed})"


def framed_groups(
    build: Compilation,
    step: str,
    shape: Shape,
    by: Sequence[str],
    takes: Sequence[Take],
    outers: Mapping[str, exp.Expr],
    folds: Folds,
    table: str,
    *,
    rollup: bool,
    level: str | None,
) -> Draft:
    """The frame over the table: what is computed of the folds."""
    conditions = (*shape.conditions, *shape.origins_of(by, "CONDITIONAL", "aggregate by"))
    columns = {name: shape.columns[name] for name in by}
    if rollup:  # a subtotal has NULLs there, so the columns are no longer just copies
        columns = {
            name: Column(one.type, one.landed, shape.origins_of([name], "TRANSFORMATION", "rollup"))
            for name, one in columns.items()
        }
    groups = Shape(columns, () if rollup else tuple(by), not rollup, conditions, marks=False)
    made = [_outer(take, outers[take.name]) for take in takes]
    if level:
        origins = shape.origins_of(by, "CONDITIONAL", "rollup")
        made.append(Made(level, quoted(level), Column("INTEGER", None, origins)))
    extra = [*(call.name for call in folds.calls), *([level] if level else [])]
    named_calls = "".join(f", {name}" for name in map(quoted, extra))
    keys = f"{listing(by)}, " if by else ""
    frame = f"(SELECT {keys}rowid AS {ORDINAL}, {STATUS}, {REJECTED}{named_calls} FROM {table})"
    draft = make_columns(build, step, groups, frame, made, extra=extra)
    draft.table = table
    return draft


def _outer(take: Take, outer: exp.Expr) -> Made:
    sql = with_variables(outer)
    is_plain = isinstance(outer, exp.Column)
    if take.type in ("BIGINT", "VARCHAR"):  # whole sums are HUGEINT, and a NULL has no type
        sql = f"CAST({sql} AS {take.type})"
    can_fail = not is_plain or take.type == "BIGINT"
    return Made(
        name=take.name,
        sql=sql,
        column=Column(take.type, None, take.origins),
        rule=take.what,
        failed=(lambda value: cannot_be(value, sql)) if can_fail else None,
        reason=literal(f"{take.text} cannot be computed for this group"),
    )
