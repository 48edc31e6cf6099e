"""The aggregate that keeps its rows between runs: it is given changes, and folds the groups that they touch anew.

What it keeps is a row for each key of its input: the key, the groups' columns, and the arguments of its aggregates.
Rows of keys that come along are replaced, or gone if they are deleted, filtered out or set aside; every group that one
of them was in, or is in now, is folded from all its rows. So the groups are those of a full computation, whatever has
changed. A group without rows is told to merge destinations as deleted.

Rows are folded in the order of their keys, which is the same in any run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlglot import exp

from data_workbench.errors import SchemaConflict
from data_workbench.records.marks import ORDINAL
from data_workbench.records.names import quoted
from data_workbench.transforms.computing import make_columns
from data_workbench.transforms.drafts import APART, Compilation, Draft, Shape
from data_workbench.transforms.folds import Folds
from data_workbench.transforms.grouping import Groups, SetApart, framed_groups, take_of
from data_workbench.transforms.plan import ALIVE, EXTRA, FOLDED, REJECTED, STATUS, TOMBSTONE_ROW, Action
from data_workbench.transforms.spec import Step
from data_workbench.transforms.spec_tables import Aggregate
from data_workbench.transforms.text import REJECTED_TYPE, listing, side_name
from data_workbench.transforms.verbs import distinct_names, filter_frame, known


def whole_param(step: str) -> str:
    """The engine's variable that says whether the step is given all rows, and not changes alone."""
    return f"_whole_{step}"


def kept_side(step: str) -> str:
    """The side input with the rows that the step kept."""
    return f"kept:{step}"


def fold_changes(build: Compilation, step: Step, shape: Shape, source: str) -> Draft:
    rule = step.aggregate
    assert rule is not None
    known(step.name, rule.by, shape, "aggregate by")
    distinct_names(step.name, [*rule.by, *rule.take])
    if not shape.key or not shape.key_is_unique:
        raise SchemaConflict(
            f"{step.name}: aggregate: rows without a key cannot be told apart between runs",
            hint="give the source a key that reaches this step, or leave incremental out",
        )
    takes = [take_of(build, step.name, shape, source, name, text, rule.by) for name, text in rule.take.items()]
    folds = Folds()
    outers = {take.name: folds.split(take.tree, take.what) for take in takes}
    held, build.holds = build.holds, False  # the group of a row whose argument cannot be computed goes on without it
    made = make_columns(build, step.name, shape, source, folds.columns_made(build, step.name, shape, source))
    build.holds = held
    kept = _Kept(step.name, rule, shape, made.shape, folds)
    apart = SetApart(build, step.name, shape, Groups(folds, rule.by, rollup=False, level=None))
    build.keep(kept_side(step.name), kept.columns)
    gone = build.drop(step.name, "filtered", "aggregate")
    draft = framed_groups(build, step.name, shape, rule.by, takes, outers, folds, kept.groups, rollup=False, level=None)
    draft.prepare[:0] = [
        *made.prepare,
        *(Action("sql", sql) for sql in kept.statements(made.sql)),
        kept.fold(apart),
        Action("keep", f"SELECT {listing(kept.columns)} FROM {kept.rows}", kept.arguments),
        Action("count", f"SELECT {gone}, count(*) FROM {source} WHERE {STATUS} = {TOMBSTONE_ROW}"),
    ]
    draft.shape = replace(draft.shape, marks=True)
    if rule.having is None:
        return draft
    for action in draft.prepare:
        build.run(action, step=step.name)
    having = filter_frame(build, step.name, draft.shape, f"({draft.sql})", rule.having, what="having")
    return replace(having, prepare=draft.prepare, table=draft.table)


class _Kept:
    """The tables of one step: the changes, the rows kept with them, the groups touched, and those folded."""

    def __init__(self, step: str, rule: Aggregate, shape: Shape, made: Shape, folds: Folds) -> None:
        self.step, self.by, self.key, self.folds = step, rule.by, shape.key, folds
        used = [one.name for call in folds.calls for one in call.careful.find_all(exp.Column)]
        names = dict.fromkeys([*shape.key, *rule.by, *used])
        self.columns = {name: made.columns[name].type for name in names}
        self.changes, self.rows, self.touched, self.groups = (
            quoted(f"{name}_{step}") for name in ("changes", "kept", "touched", "rows")
        )
        self.before = f"(SELECT {self._typed()} FROM {side_name(kept_side(step))})"
        self.arguments = {"changes": self.changes, "side": kept_side(step)}

    def _typed(self) -> str:
        """Columns of files in the types they had: JSON and UUIDs are text there."""
        return ", ".join(f"CAST({quoted(name)} AS {kind}) AS {quoted(name)}" for name, kind in self.columns.items())

    def statements(self, frame: str) -> Sequence[str]:
        same = " AND ".join(f"s.{quoted(name)} = c.{quoted(name)}" for name in self.key)
        given = f"SELECT 1 FROM {self.changes} c WHERE {same}"
        whole = f"coalesce(CAST(getvariable('param_{whole_param(self.step)}') AS BOOLEAN), FALSE)"
        columns, by = listing(self.columns), listing(self.by)
        left = f"SELECT {columns} FROM {self.before} s WHERE NOT {whole} AND NOT EXISTS ({given})"
        came = f"SELECT {columns} FROM {self.changes} WHERE {STATUS} = {ALIVE}"
        were = f"SELECT {by} FROM {self.before} s WHERE {whole} OR EXISTS ({given})"
        are = f"SELECT {by} FROM {self.changes} WHERE {STATUS} = {ALIVE}"
        made = {
            self.changes: f"SELECT {columns}, {ORDINAL}, {STATUS}, {REJECTED} FROM ({frame})",
            self.rows: f"{left} UNION ALL {came}",
            self.touched: f"SELECT DISTINCT {by} FROM ({are} UNION ALL {were})",
        }
        return [f"CREATE OR REPLACE TEMP TABLE {name} AS {sql}" for name, sql in made.items()]

    def fold(self, apart: SetApart) -> Action:
        """Groups touched, in the order of their first keys; those that are gone; rows that were set aside."""
        alike = " AND ".join(f"t.{quoted(name)} IS NOT DISTINCT FROM n.{quoted(name)}" for name in self.by)
        empty = f"CAST(NULL AS {REJECTED_TYPE}) AS {REJECTED}"
        place = f"row_number() OVER (ORDER BY {listing(self.key, 'n')}) AS {ORDINAL}"
        members = (
            f"(SELECT {listing(self.columns, 'n')}, {place}, {ALIVE} AS {STATUS}, {empty} "
            f"FROM {self.rows} n SEMI JOIN {self.touched} t ON {alike})"
        )
        gone = (
            f"SELECT {listing(self.by, 't')}, 0 AS {FOLDED}, FALSE AS {EXTRA}, {TOMBSTONE_ROW} AS {STATUS}, {empty} "
            f"FROM {self.touched} t ANTI JOIN {self.rows} n ON {alike}"
        )
        aside = (
            f"SELECT 1 AS {FOLDED}, FALSE AS {EXTRA}, {STATUS}, {REJECTED} FROM {self.changes} WHERE {STATUS} > {ALIVE}"
        )

        def made(found: str) -> str:
            unions = f"(SELECT * FROM {found}) UNION ALL BY NAME ({gone}) UNION ALL BY NAME ({aside})"
            return f"CREATE OR REPLACE TEMP TABLE {self.groups} AS {unions}"

        given: Any = (members, f"{STATUS} = {ALIVE}", self.columns)
        query = apart.groups.sql(*given, careful=True)
        told: dict[str, Any] = {"query": query, "columns": {call.name: call.told for call in self.folds.calls}}
        if (without := apart.sql(*given, careful=True)) is not None:
            told[APART] = made(without)
        return Action("sql", made(query), {"step": self.step, "rest": "a group", **told})
