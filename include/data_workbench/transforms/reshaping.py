"""Steps after which rows are other rows: join, aggregate, unnest. Each makes a temp table, in a fixed order.

Tombstones and retractions pass a join with their own columns and pass an unnest once per element they carry. They are
no rows of a group: an aggregate counts a tombstone as filtered.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlglot import exp

from data_workbench.errors import SchemaConflict, TransformError
from data_workbench.records.marks import ORDINAL
from data_workbench.records.names import quoted
from data_workbench.transforms.drafts import Column, Compilation, Draft, Shape
from data_workbench.transforms.expressions import Checked
from data_workbench.transforms.plan import ALIVE, EXTRA, FOLDED, GONE, REJECTED, RETRACTS, STATUS, Action
from data_workbench.transforms.spec import Step
from data_workbench.transforms.text import REJECTED_TYPE, frame_name, listing, literal, with_variables
from data_workbench.transforms.verbs import as_type, distinct_names, known


def _framed(columns: Iterable[str], table: str, status: str = STATUS) -> str:
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
    added = [] if rule.how == "anti" else [name for name in right.columns if name not in set(rule.on.values())]
    clash = {name.lower() for name in shape.columns} & {name.lower() for name in added}
    if clash:
        raise SchemaConflict(
            f"{step.name}: both sides of the join have {', '.join(sorted(clash))}",
            hint=f"rename or select in a step before, e.g. on {right_name}",
        )
    gone = build.drop(step.name, "filtered", f"join {rule.how}")
    is_unique = right.key_is_unique and bool(right.key) and set(right.key) <= set(rule.on.values())
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
            *shape.origins_of(rule.on, "CONDITIONAL", "join"),
            *right.origins_of(rule.on.values(), "CONDITIONAL", "join"),
        ),
        marks=shape.marks or (retract and rule.how != "left"),
    )
    prepare = [Action("sql", f"CREATE OR REPLACE TEMP TABLE {table} AS {sql}")]
    if not keeps_key:
        prepare = _ordered(table, quoted(f"joined_{step.name}"), sql)
    return Draft(step.name, out, _framed(columns, table), prepare=prepare, table=table)


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
    code = gone + RETRACTS if retract else gone
    lost = {"inner": "r.hit IS NULL", "anti": "r.hit", "left": "FALSE"}[rule.how]
    status = f"CASE WHEN l.{STATUS} = {ALIVE} AND {lost} THEN {code} ELSE l.{STATUS} END AS {STATUS}"
    taken = "".join(f", r.a{index} AS {quoted(name)}" for index, name in enumerate(added))
    joined = f"{source} l LEFT JOIN {side} r ON {on}"
    if distinct or is_unique:
        return f"SELECT {listing(shape.columns, 'l')}{taken}, {status}, FALSE AS {EXTRA} FROM {joined}"
    extra = f"coalesce(r.place > 1, FALSE) AS {EXTRA}, l.{ORDINAL} AS _wb_left, r.place AS _wb_place"
    return f"SELECT {listing(shape.columns, 'l')}{taken}, {status}, {extra} FROM {joined}"


# Aggregates whose value depends on the order of rows, and those that do for floating-point input.
_ORDERED = frozenset({
    "any_value", "arbitrary", "array_agg", "first", "group_concat", "histogram", "json_group_array",
    "json_group_object", "last", "list", "listagg", "string_agg", "arg_max", "arg_max_null", "arg_min",
    "arg_min_null", "argmax", "argmin", "max_by", "min_by", "mode", "approx_top_k",
})  # fmt: skip


def aggregate_rows(build: Compilation, step: Step, shape: Shape, source: str) -> Draft:
    """One row per group, in the order in which groups first appear. No rows give no groups, even with `by: []`."""
    rule = step.aggregate
    assert rule is not None
    known(step.name, rule.by, shape, "aggregate by")
    distinct_names(step.name, [*rule.by, *rule.take])
    columns = {name: shape.columns[name] for name in rule.by}
    values = []
    for name, text in rule.take.items():
        what = f"aggregate {name}"
        checked, sql, kind = build.expression(
            text, shape=shape, source=source, step=step.name, what=what, allow_aggregates=True
        )
        loose = checked.bare_columns - set(rule.by)
        if not checked.is_aggregate or loose:
            seen = f"uses {', '.join(sorted(loose))} outside an aggregate" if loose else "is not an aggregate"
            raise TransformError(f"{step.name}: {what} {seen}", hint="write for example max(column)")
        values.append(f"{_in_order(checked, sql, shape)} AS {quoted(name)}")
        columns[name] = Column(kind, None, shape.origins_of(sorted(checked.columns), "AGGREGATION", text))
    gone = build.drop(step.name, "filtered", "aggregate")
    table = quoted(f"rows_{step.name}")
    group = f"GROUP BY {listing(rule.by)} " if rule.by else ""
    parts = [*map(quoted, rule.by), *values, f"count(*) AS {FOLDED}", f"min({ORDINAL}) AS _wb_first"]
    sql = (
        f"CREATE OR REPLACE TEMP TABLE {table} AS SELECT {', '.join(parts)} FROM {source} WHERE {STATUS} = {ALIVE} "
        f"{group}HAVING count(*) > 0 ORDER BY _wb_first"
    )
    conditions = (*shape.conditions, *shape.origins_of(rule.by, "CONDITIONAL", "aggregate by"))
    out = Shape(columns, tuple(rule.by), True, conditions, marks=False)
    count = f"SELECT {gone}, count(*) FROM {source} WHERE {STATUS} = -1"
    draft = Draft(step.name, out, _framed(columns, table, str(ALIVE)), prepare=[Action("sql", sql)], table=table)
    if shape.marks:
        draft.prepare.append(Action("count", count))
    return draft


def _in_order(checked: Checked, sql: str, shape: Shape) -> str:
    """The aggregate, told to take rows in their order where the order matters."""
    is_float = any(shape.columns[name].type in ("DOUBLE", "FLOAT") for name in checked.columns)
    tree = checked.tree.copy()
    for node in list(tree.find_all(exp.Func)):
        name = (node.name if isinstance(node, exp.Anonymous) else node.sql_name()).lower()
        text = node.sql(dialect="duckdb", comments=False)
        called = text.partition("(")[0].lower()
        matters = called in _ORDERED or name in _ORDERED or (is_float and isinstance(node, exp.AggFunc))
        if not matters or "ORDER BY" in text.upper() or node.find(exp.Star) or called in ("count", "min", "max"):
            continue
        node.replace(exp.Var(this=f"{text[:-1]} ORDER BY {ORDINAL})"))  # text that goes in as it is
    text = with_variables(tree)
    return f"CAST({text} AS BIGINT)" if sql.startswith("CAST(") and not text.startswith("CAST(") else text


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
    return Draft(step.name, out, _framed(columns, table), prepare=[Action("sql", sql)], table=table)


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
