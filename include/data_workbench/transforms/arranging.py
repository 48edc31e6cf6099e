"""Steps that put rows in another order, beside others, or upright: sort, union, unpivot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from data_workbench.errors import SchemaConflict
from data_workbench.records.marks import ORDINAL
from data_workbench.records.names import literal, quoted
from data_workbench.transforms.computing import make_columns
from data_workbench.transforms.drafts import Column, Compilation, Draft, Shape, verdict
from data_workbench.transforms.folds import Folds
from data_workbench.transforms.ordering import careful_item, order_item
from data_workbench.transforms.plan import ALIVE, EXTRA, REJECTED, RETRACTS, STATUS, Action
from data_workbench.transforms.reshaping import framed
from data_workbench.transforms.spec import Step
from data_workbench.transforms.text import listing, next_segment
from data_workbench.transforms.verbs import distinct_names, known


def sort_rows(build: Compilation, step: Step, shape: Shape, source: str) -> Draft:
    """Equal rows keep their order; NULLs come last unless the order says otherwise."""
    rule = step.sort
    assert rule is not None
    folds = Folds()
    items = [order_item(build, step.name, text, shape, source) for text in rule.by]
    careful = [careful_item(folds, item, "sort by") for item in items]
    made = make_columns(build, step.name, shape, source, folds.columns_made(build, step.name, shape, source))
    order = ", ".join([*(item.sql for item in careful), ORDINAL])
    table = quoted(f"sorted_{step.name}")
    place = f", row_number() OVER (PARTITION BY {STATUS} = {ALIVE} ORDER BY {order}) AS _wb_place" if rule.limit else ""
    columns = f"{listing(shape.columns)}, {STATUS}, {REJECTED}"
    rows = f"({made.sql})" if folds.arguments else source
    sorted_rows = f"CREATE OR REPLACE TEMP TABLE {table} AS SELECT {columns}{place} FROM {rows} ORDER BY {order}"
    used = [name for item in items for name in item.columns(shape)]
    conditions = shape.conditions
    frame = f"SELECT {listing(shape.columns)}, rowid AS {ORDINAL}, {STATUS}, {REJECTED} FROM {table}"
    marks = shape.marks or made.shape.marks
    if rule.limit:
        gone = build.drop(step.name, "filtered", "sort limit")
        placed = frame.replace("SELECT ", "SELECT _wb_place, ", 1)
        cases = [(f"_wb_place > {rule.limit}", gone, None)]
        frame = verdict(shape, f"({placed})", cases, retract=gone if build.holds else 0)
        conditions = (*conditions, *shape.origins_of(used, "CONDITIONAL", "sort"))
        marks = marks or build.holds
    out = replace(shape, conditions=conditions, marks=marks)
    parts = {"table": table, "columns": columns, "rows": rows, "order": order, "name": step.name}
    action = Action("sql", sorted_rows, {} if rule.limit else {"sort": parts})
    return Draft(step.name, out, frame, prepare=[*made.prepare, action])


def union_rows(build: Compilation, step: Step, shape: Shape, source: str, others: Mapping[str, Shape]) -> Draft:
    """Rows of the input first, then those of the others, as they are named."""
    rule = step.union
    assert rule is not None
    names = _union_columns(step.name, shape, others, fill=rule.missing != "refuse")
    sides = [(source, shape, False)]
    sides += [(next_segment(name, list(other.columns)), other, True) for name, other in others.items()]
    kinds = _union_types(build, step.name, names, sides)
    table = quoted(f"rows_{step.name}")
    selects = [_side(given, side, names, kinds, is_added) for given, side, is_added in sides]
    sql = f"CREATE OR REPLACE TEMP TABLE {table} AS {' UNION ALL '.join(selects)}"
    shapes = [side for _, side, _ in sides]
    same_key = all(one.key == shape.key for one in shapes)
    out = Shape(
        columns={name: _united(name, kinds[name], shapes) for name in names},
        key=shape.key if same_key else (),
        key_is_unique=False,
        conditions=tuple(origin for one in shapes for origin in one.conditions),
        marks=any(one.marks for one in shapes),
    )
    return Draft(step.name, out, framed(names, table), prepare=[Action("sql", sql)], table=table)


def _union_columns(step: str, shape: Shape, others: Mapping[str, Shape], *, fill: bool) -> list[str]:
    names = list(shape.columns)
    for other, side in others.items():
        lacking = [name for name in names if name not in side.columns]
        surplus = [name for name in side.columns if name not in names]
        if (lacking or surplus) and not fill:
            told = f"lacks {', '.join(lacking)}" if lacking else f"has {', '.join(surplus)} beside"
            raise SchemaConflict(
                f"{step}: union: {other!r} {told}", hint="select or rename in a step before, or write missing: null"
            )
        names += surplus
    distinct_names(step, names)
    return names


def _union_types(
    build: Compilation, step: str, names: Sequence[str], sides: Sequence[tuple[str, Shape, bool]]
) -> dict[str, str]:
    """One type for each column: DuckDB's common type of numbers; other types have to be the same."""
    kinds: dict[str, str] = {}
    for name in names:
        found = list(dict.fromkeys(side.columns[name].type for _, side, _ in sides if name in side.columns))
        kinds[name] = found[0]
        if len(found) > 1:
            kinds[name] = common_type(build, step, found, f"union: column {name!r}")
    return kinds


def common_type(build: Compilation, step: str, kinds: Sequence[str], what: str) -> str:
    """The type that holds values of several types of numbers.

    Raises:
        SchemaConflict: there are other types among them.
    """
    if not all(kind.startswith(("DECIMAL", "DOUBLE", "FLOAT")) or kind.endswith("INT") or kind == "INTEGER"
               for kind in kinds):  # fmt: skip
        told = " and ".join(kind.lower() for kind in kinds)
        raise SchemaConflict(f"{step}: {what} is {told}", hint="cast them to one type in a step before")
    values = ", ".join(f"CAST(NULL AS {kind})" for kind in kinds)
    return build.types_of(f"SELECT coalesce({values}) AS v", step=step)["v"]


def _side(given: str, side: Shape, names: Sequence[str], kinds: Mapping[str, str], is_added: bool) -> str:
    values = [
        f"CAST({quoted(name) if name in side.columns else 'NULL'} AS {kinds[name]}) AS {quoted(name)}"
        if name not in side.columns or side.columns[name].type != kinds[name]
        else quoted(name)
        for name in names
    ]
    return f"(SELECT {', '.join(values)}, {STATUS}, {is_added} AS {EXTRA} FROM {given} ORDER BY {ORDINAL})"


def _united(name: str, kind: str, shapes: Sequence[Shape]) -> Column:
    """A column of several sides: an unchanged copy only if all sides are copies of like fields."""
    found = [one.columns[name] for one in shapes if name in one.columns]
    fields = [one.landed for one in found]
    first = fields[0]
    alike = len(found) == len(shapes) and first is not None and all(
        one is not None and one.type == first.type and one.metadata == first.metadata for one in fields
    )  # fmt: skip
    origins = tuple(dict.fromkeys(origin for one in found for origin in one.origins))
    return Column(kind, first if alike else None, origins)


def unpivot_rows(build: Compilation, step: Step, shape: Shape, source: str) -> Draft:
    """One row for each column. A NULL that makes no row is told to merge destinations: it may have been a value."""
    rule = step.unpivot
    assert rule is not None
    known(step.name, rule.columns, shape, "unpivot")
    kept = [name for name in shape.columns if name not in set(rule.columns)]
    distinct_names(step.name, [*kept, rule.name, rule.value])
    found = list(dict.fromkeys(shape.columns[name].type for name in rule.columns))
    kind = found[0] if len(found) == 1 else common_type(build, step.name, found, "unpivot: the columns' type")
    cells = ", ".join(f"CAST({quoted(name)} AS {kind})" for name in rule.columns)
    names = ", ".join(map(literal, rule.columns))
    gone = build.drop(step.name, "filtered", "unpivot")
    code = gone + RETRACTS if build.holds else gone
    is_dropped = f"{STATUS} = {ALIVE} AND _wb_cell IS NULL" if rule.nulls == "drop" else "FALSE"
    rows = (
        f"(SELECT {', '.join([*map(quoted, kept), STATUS])}, unnest([{cells}]) AS _wb_cell, "
        f"unnest([{names}]) AS _wb_name, unnest(range({len(rule.columns)})) AS _wb_index FROM {source})"
    )
    table = quoted(f"rows_{step.name}")
    parts = [
        *map(quoted, kept),
        f"_wb_name AS {quoted(rule.name)}",
        f"_wb_cell AS {quoted(rule.value)}",
        f"CASE WHEN {is_dropped} THEN {code} ELSE {STATUS} END AS {STATUS}",
        f"_wb_index > 0 AS {EXTRA}",
    ]
    sql = f"CREATE OR REPLACE TEMP TABLE {table} AS SELECT {', '.join(parts)} FROM {rows}"
    has_key = bool(shape.key) and set(shape.key) <= set(kept)
    out = Shape(
        columns={
            **{name: shape.columns[name] for name in kept},
            rule.name: Column("VARCHAR", None, ()),
            rule.value: Column(kind, None, shape.origins_of(rule.columns, "TRANSFORMATION", "unpivot")),
        },
        key=(*shape.key, rule.name) if has_key else (),
        key_is_unique=shape.key_is_unique and has_key,
        conditions=shape.conditions,
        marks=shape.marks or (build.holds and rule.nulls == "drop"),
    )
    return Draft(step.name, out, framed(list(out.columns), table), prepare=[Action("sql", sql)], table=table)
