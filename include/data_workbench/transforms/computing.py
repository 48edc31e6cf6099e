"""Steps that compute columns row by row, and what a value that cannot be computed does to its row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from data_workbench.records.marks import ORDINAL
from data_workbench.records.names import literal, quoted
from data_workbench.transforms.drafts import (
    Case,
    Column,
    Compilation,
    Draft,
    Shape,
    failure,
    json_object,
    shown,
    verdict,
)
from data_workbench.transforms.plan import ALIVE, RETRACTS, STATUS, Action
from data_workbench.transforms.text import HIDDEN, listing, select


@dataclass(frozen=True)
class Made:
    """A column being made.

    Args:
        sql: its value over the step's input, NULL where it cannot be computed.
        failed: given the name of the helper column that holds the value, SQL for whether computing it failed; None if
            it cannot fail.
        reason: SQL of the words for the quarantine.
        is_one_to_one: different values stay different, so that a key stays one.
    """

    name: str
    sql: str
    column: Column
    rule: str = ""
    failed: Callable[[str], str] | None = None
    reason: str = ""
    on_failure: str = "quarantine"
    is_one_to_one: bool = False


def computed(shape: Shape, values: Mapping[str, str], source: str) -> str:
    """A frame with helper columns `_wb_v0`, … computed for rows that go on, if only as a retraction."""
    extra = [
        f"CASE WHEN {STATUS} <= {ALIVE} OR {STATUS} >= {RETRACTS} THEN TRY({sql}) END AS {helper(index)}"
        for index, sql in enumerate(values.values())
    ]
    return f"(SELECT {listing(shape.columns)}, {', '.join([*HIDDEN, *extra])} FROM {source})"


def helper(index: int) -> str:
    """The helper column of the value at this place."""
    return f"_wb_v{index}"


def cannot_be(value: str, sql: str) -> str:
    """Whether `value`, which is `TRY(sql)`, is NULL because computing it failed: not even a list of it can be made.

    `(x + 1) IS NULL` would not do: where x has no NULLs, DuckDB says FALSE without computing it.
    """
    return f"CASE WHEN {value} IS NULL THEN TRY([{sql}]) IS NULL ELSE FALSE END"


def with_values(columns: Iterable[str]) -> str:
    """SQL that adds the values a failed expression looked at to the reason."""
    named = [f"{literal(f' {name} = ')} || {shown(quoted(name))}" for name in list(columns)[:5]]
    return f" || ' for' || {' || '.join(named)}" if named else ""


def verdict_with(
    shape: Shape, values: Mapping[str, str], source: str, cases: list[Case], *, hold: bool, told: Shape | None = None
) -> str:
    """`verdict`, keeping the helper columns."""
    sql = verdict(shape, source, cases, hold=hold, told=told)
    helpers = ", ".join(helper(index) for index in range(len(values)))
    return sql.replace("SELECT ", f"SELECT {helpers}, ", 1) if values else sql


def make_columns(
    build: Compilation, step: str, shape: Shape, source: str, made: Sequence[Made], *, extra: Sequence[str] = ()
) -> Draft:
    """A step that adds columns, or puts them in the place of others.

    Args:
        source: may have columns beside those of `shape` that the values use; `extra` names them.
    """
    values = {one.name: one.sql for one in made}
    carried = Shape({**shape.columns, **{name: Column("", None, ()) for name in extra}}, shape.key)
    frame = computed(carried, values, source)
    prepare: list[Action] = []
    told = [(index, one) for index, one in enumerate(made) if one.failed is not None and one.on_failure != "quarantine"]
    if told:
        view = quoted(f"made_{step}")
        prepare.append(Action("sql", f"CREATE OR REPLACE TEMP VIEW {view} AS {frame[1:-1]}"))
        frame = view
    for wanted, on_invalid in (("null", "warn"), ("fail", "fail")):
        asked = [(index, one) for index, one in told if one.on_failure == wanted]
        if asked:
            prepare.append(_counting(step, shape, frame, asked, on_invalid))
    cases: list[Case] = [
        (one.failed(helper(index)), build.drop(step, "quarantined", one.rule), f"[{failure(one.rule, one.reason)}]")
        for index, one in enumerate(made)
        if one.failed is not None and one.on_failure == "quarantine"
    ]
    columns = {**shape.columns, **{one.name: one.column for one in made}}
    index_of = {name: helper(index) for index, name in enumerate(values)}
    judged = (
        verdict_with(carried, values, frame, cases, hold=build.holds, told=shape) if cases else f"SELECT * FROM {frame}"
    )
    out_columns = [f"{index_of[name]} AS {quoted(name)}" if name in values else quoted(name) for name in columns]
    changed = {one.name for one in made if not one.is_one_to_one} & set(shape.key)
    out = Shape(
        columns=columns,
        key=shape.key,
        key_is_unique=shape.key_is_unique and not changed,
        conditions=shape.conditions,
        marks=shape.marks or (build.holds and bool(cases)),
    )
    return Draft(step, out, select(out_columns, f"({judged})"), prepare=prepare)


def _counting(step: str, shape: Shape, frame: str, asked: Sequence[tuple[int, Made]], on_invalid: str) -> Action:
    """Count the rows with a value that could not be made, with an example of each."""
    example = json_object(shape.columns, shape.key or list(shape.columns)[:3])
    parts = []
    for index, one in asked:
        assert one.failed is not None
        broken = f"FILTER (WHERE {STATUS} = {ALIVE} AND {one.failed(helper(index))})"
        parts.append(f"count(*) {broken}, arg_min({example}, {ORDINAL}) {broken}")
    arguments = {"node": step, "rules": [one.rule for _, one in asked], "on_invalid": on_invalid, "is_step": True}
    return Action("count_rules", f"SELECT {', '.join(parts)} FROM {frame}", arguments)
