"""Steps after which rows are other rows: join and unnest. Each makes a temp table, in a fixed order.

Tombstones and retractions pass a join with their own columns and pass an unnest once per element they carry.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from data_workbench.errors import SchemaConflict
from data_workbench.records.marks import ORDINAL
from data_workbench.records.names import literal, quoted
from data_workbench.transforms.drafts import Column, Compilation, Draft, Shape
from data_workbench.transforms.plan import ALIVE, EXTRA, GONE, REJECTED, RETRACTS, STATUS, Action
from data_workbench.transforms.spec import Step
from data_workbench.transforms.text import REJECTED_TYPE, frame_name, listing
from data_workbench.transforms.verbs import as_type, distinct_names, known


def framed(columns: Iterable[str], table: str, status: str = STATUS) -> str:
    """The frame over a step's table: its rows' places are the ordinals."""
    return (
        f"SELECT {listing(columns)}, rowid AS {ORDINAL}, {status} AS {STATUS}, "
        f"CAST(NULL AS {REJECTED_TYPE}) AS {REJECTED} FROM {table}"
    )


def join_rows(
    build: Compilation, step: Step, shape: Shape, source: str, *, right: Shape, right_name: str, retract: bool
) -> Draft:
    rule = step.join
    assert rule is not None
    known(step.name, rule.on, shape, "join on")
    known(step.name, rule.on.values(), right, f"join with {right_name} on")
    nearest = rule.as_of or {}
    known(step.name, nearest, shape, "join as_of")
    known(step.name, nearest.values(), right, f"join with {right_name} as_of")
    added = [] if rule.how == "anti" else [name for name in right.columns if name not in set(rule.on.values())]
    clash = {name.lower() for name in shape.columns} & {name.lower() for name in added}
    if clash:
        raise SchemaConflict(
            f"{step.name}: both sides of the join have {', '.join(sorted(clash))}",
            hint=f"rename or select in a step before, e.g. on {right_name}",
        )
    gone = build.drop(step.name, "filtered", f"join {rule.how}")
    is_unique = bool(nearest) or (right.key_is_unique and bool(right.key) and set(right.key) <= set(rule.on.values()))
    columns = {**shape.columns, **{name: right.columns[name] for name in added}}
    table = quoted(f"rows_{step.name}")
    sql = _joined(step, shape, source, right, right_name, added, gone=gone, retract=retract, is_unique=is_unique)
    keeps_key = is_unique or rule.how == "anti"
    out = Shape(
        columns=columns,
        key=shape.key if keeps_key else (),
        key_is_unique=shape.key_is_unique and keeps_key,
        conditions=(
            *shape.conditions,
            *shape.origins_of([*rule.on, *nearest], "CONDITIONAL", "join"),
            *right.origins_of([*rule.on.values(), *nearest.values()], "CONDITIONAL", "join"),
        ),
        marks=shape.marks or (retract and rule.how != "left"),
    )
    prepare = [Action("sql", f"CREATE OR REPLACE TEMP TABLE {table} AS {sql}")]
    if not keeps_key or nearest:
        prepare = _ordered(table, quoted(f"joined_{step.name}"), sql)
    if not is_unique and rule.how != "anti":
        prepare.insert(0, _guard(step, source, shape, right, right_name))
    return Draft(step.name, out, framed(columns, table), prepare=prepare, table=table)


def _guard(step: Step, source: str, shape: Shape, right: Shape, right_name: str) -> Action:
    """How many rows a join makes at most, and if that is too many, how many it makes."""
    rule = step.join
    assert rule is not None
    names = ", ".join(f"k{index}" for index in range(len(rule.on)))
    there = ", ".join(
        f"{as_type(quoted(name), right.columns[name].type, shape.columns[here].type)} AS k{index}"
        for index, (here, name) in enumerate(rule.on.items())
    )
    here = ", ".join(f"{quoted(name)} AS k{index}" for index, name in enumerate(rule.on))
    live = f"WHERE {STATUS} = {ALIVE}"
    many = f"SELECT {names}, count(*) AS n FROM (SELECT {there} FROM {frame_name(right_name)} {live}) GROUP BY {names}"
    ours = f"SELECT {names}, count(*) AS n FROM (SELECT {here} FROM {source} {live}) GROUP BY {names}"
    most = f"SELECT (SELECT count(*) FROM {source} {live}) * (SELECT coalesce(max(n), 0) FROM ({many}))"
    exact = f"SELECT coalesce(sum(l.n * r.n), 0) FROM ({ours}) l JOIN ({many}) r USING ({names})"
    return Action("guard", most, {"exact": exact, "what": f"the join with {right_name!r}"})


def _ordered(table: str, unordered: str, sql: str) -> list[Action]:
    """A join first, its order afterwards: at once, both would want all of the memory."""
    return [
        Action("sql", f"CREATE OR REPLACE TEMP TABLE {unordered} AS {sql}"),
        Action("sql", f"CREATE OR REPLACE TEMP TABLE {table} AS FROM {unordered} ORDER BY _wb_left, _wb_place"),
        Action("sql", f"DROP TABLE {unordered}"),
    ]


def _joined(
    step: Step,
    shape: Shape,
    source: str,
    right: Shape,
    right_name: str,
    added: Sequence[str],
    *,
    gone: int,
    retract: bool,
    is_unique: bool,
) -> str:
    rule = step.join
    assert rule is not None
    keys = [
        f"{as_type(quoted(there), right.columns[there].type, shape.columns[here].type)} AS k{index}"
        for index, (here, there) in enumerate(rule.on.items())
    ]
    others = [f"{quoted(name)} AS a{index}" for index, name in enumerate(added)]
    distinct = "DISTINCT " if rule.how == "anti" else ""
    # Of the rows that match, which one this is: beyond the first they are added rows.
    matches = f"row_number() OVER (PARTITION BY {listing(rule.on.values())} ORDER BY {ORDINAL}) AS place"
    place = [] if distinct or is_unique else [matches]
    side = (
        f"(SELECT {distinct}{', '.join([*keys, *others, *place, 'TRUE AS hit'])} FROM {frame_name(right_name)} "
        f"WHERE {STATUS} = {ALIVE})"
    )
    on = " AND ".join(
        [f"l.{STATUS} = {ALIVE}", *(f"l.{quoted(here)} = r.k{index}" for index, here in enumerate(rule.on))]
    )
    if rule.as_of:
        side, on = _nearest(step, shape, right, right_name, [*keys, *others])
    code = gone + RETRACTS if retract else gone
    lost = {"inner": "r.hit IS NULL", "anti": "r.hit", "left": "FALSE"}[rule.how]
    status = f"CASE WHEN l.{STATUS} = {ALIVE} AND {lost} THEN {code} ELSE l.{STATUS} END AS {STATUS}"
    taken = "".join(f", r.a{index} AS {quoted(name)}" for index, name in enumerate(added))
    joined = f"{source} l {'ASOF ' if rule.as_of else ''}LEFT JOIN {side} r ON {on}"
    if rule.as_of:
        extra = f"FALSE AS {EXTRA}, l.{ORDINAL} AS _wb_left, 0 AS _wb_place"
        return f"SELECT {listing(shape.columns, 'l')}{taken}, {status}, {extra} FROM {joined}"
    if distinct or is_unique:
        return f"SELECT {listing(shape.columns, 'l')}{taken}, {status}, FALSE AS {EXTRA} FROM {joined}"
    extra = f"coalesce(r.place > 1, FALSE) AS {EXTRA}, l.{ORDINAL} AS _wb_left, r.place AS _wb_place"
    return f"SELECT {listing(shape.columns, 'l')}{taken}, {status}, {extra} FROM {joined}"


def _nearest(step: Step, shape: Shape, right: Shape, right_name: str, columns: Sequence[str]) -> tuple[str, str]:
    """The side and condition of an as-of join: of rows equal in keys and time there, the first."""
    rule = step.join
    assert rule is not None
    assert rule.as_of is not None
    ((here, there),) = rule.as_of.items()
    time = as_type(quoted(there), right.columns[there].type, shape.columns[here].type)
    of = f"{listing(rule.on.values())}, {quoted(there)}"
    first = f"row_number() OVER (PARTITION BY {of} ORDER BY {ORDINAL})"
    # An as-of join takes equalities and one inequality: that a row lives is said as the first of them.
    side = (
        f"(SELECT * EXCLUDE (place) FROM (SELECT {', '.join(columns)}, {time} AS t, {ALIVE} AS live, TRUE AS hit, "
        f"{first} AS place FROM {frame_name(right_name)} WHERE {STATUS} = {ALIVE}) WHERE place = 1)"
    )
    sign = ">=" if rule.nearest == "before" else "<="
    equal = [f"l.{STATUS} = r.live", *(f"l.{quoted(name)} = r.k{index}" for index, name in enumerate(rule.on))]
    return side, " AND ".join([*equal, f"l.{quoted(here)} {sign} r.t"])


def unnest_rows(build: Compilation, step: Step, shape: Shape, source: str, *, retract: bool) -> Draft:
    """One row per element; the list's column gives way to `into`. An empty or NULL list is filtered out."""
    rule = step.unnest
    assert rule is not None
    known(step.name, [rule.column], shape, "unnest")
    kept = [name for name in shape.columns if name != rule.column]
    distinct_names(step.name, [*kept, *rule.into])
    elements, fields = _elements(build, step, shape, source)
    origins = shape.origins_of([rule.column], "TRANSFORMATION", f"element of {rule.column}")
    columns: dict[str, Column] = {}
    for name, column in shape.columns.items():
        if name == rule.column:
            columns.update({new: Column(kind, None, origins) for new, (_, kind) in fields.items()})
        else:
            columns[name] = column
    gone = build.drop(step.name, "filtered", "unnest")
    code = gone + RETRACTS if retract else gone
    empty = (
        f"CASE WHEN len(_wb_list) > 0 THEN {STATUS} WHEN {STATUS} = {ALIVE} THEN {code} "
        f"WHEN {STATUS} = -1 THEN {gone} WHEN {STATUS} < 0 THEN {GONE} ELSE {STATUS} END"
    )
    with_list = f"(SELECT *, {elements} AS _wb_list FROM {source})"
    rows = (
        f"(SELECT {listing([*kept])}{',' if kept else ''} {empty} AS {STATUS}, "
        f"unnest(CASE WHEN len(_wb_list) > 0 THEN _wb_list ELSE [NULL] END) AS _wb_item, "
        f"unnest(range(greatest(coalesce(len(_wb_list), 0), 1))) AS _wb_index FROM {with_list})"
    )
    given = [f"{fields[name][0]} AS {quoted(name)}" if name in fields else quoted(name) for name in columns]
    table = quoted(f"rows_{step.name}")
    parts = [*given, STATUS, f"_wb_index > 0 AS {EXTRA}"]
    sql = f"CREATE OR REPLACE TEMP TABLE {table} AS SELECT {', '.join(parts)} FROM {rows}"
    out = Shape(columns, (), False, (*shape.conditions, *origins), shape.marks or retract)
    return Draft(step.name, out, framed(columns, table), prepare=[Action("sql", sql)], table=table)


def _elements(build: Compilation, step: Step, shape: Shape, source: str) -> tuple[str, dict[str, tuple[str, str]]]:
    """SQL of the list, and per new column SQL over element `v` and its type. A JSON array is read as a list."""
    rule = step.unnest
    assert rule is not None
    column, kind = quoted(rule.column), shape.columns[rule.column].type
    if kind in ("VARCHAR", "JSON"):
        elements = f"TRY_CAST({column} AS JSON[])"
        if len(rule.into) == 1:
            return elements, {rule.into[0]: ("_wb_item ->> '$'", "VARCHAR")}
        return elements, {name: (f"_wb_item ->> {literal(f'$.{quoted(name)}')}", "VARCHAR") for name in rule.into}
    if not kind.endswith("]"):
        raise SchemaConflict(
            f"{step.name}: unnest {rule.column}: it is {kind.lower()}, not a list", hint="name a list or JSON column"
        )
    inner = build.types_of(f"SELECT unnest({column}) AS v FROM {source}", step=step.name, what=rule.column)["v"]
    if not inner.startswith("STRUCT("):
        if len(rule.into) != 1:
            raise SchemaConflict(f"{step.name}: unnest {rule.column}: elements are {inner.lower()}, one column's worth")
        return column, {rule.into[0]: ("_wb_item", inner)}
    fields = build.types_of(
        f"SELECT unnest(v) FROM (SELECT unnest({column}) AS v FROM {source})", step=step.name, what=rule.column
    )
    for name in rule.into:
        if name not in fields:
            raise SchemaConflict(
                f"{step.name}: unnest {rule.column}: elements have no field {name!r}",
                hint=f"fields are {', '.join(fields)}",
            )
    return column, {name: (f"struct_extract(_wb_item, {literal(name)})", fields[name]) for name in rule.into}
