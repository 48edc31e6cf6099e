"""Steps that look at one row at a time: select, rename, derive, filter, cast, and deduplicate and lookup, which look at
one row and at a small table made beforehand.

Each function takes the frame its input offers (`source`, a FROM item) and gives the step's draft. An expression that
fails for a row does not stop the run: the row is quarantined. Tombstones go through with NULL where it fails.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import replace

from data_workbench.enrichment.spec import CONFIDENCE, NOTHING, PROVENANCE
from data_workbench.errors import SchemaConflict, TransformError
from data_workbench.records.marks import ORDINAL, PREFIX
from data_workbench.records.names import literal, quoted
from data_workbench.records.type_names import canonical_type
from data_workbench.records.types import with_native
from data_workbench.transforms.computing import Made, cannot_be, computed, helper, make_columns, with_values
from data_workbench.transforms.drafts import (
    Case,
    Column,
    Compilation,
    Draft,
    Shape,
    failure,
    refused,
    shown,
    verdict,
)
from data_workbench.transforms.expressions import check_order
from data_workbench.transforms.plan import ALIVE, STATUS, Action, Origin
from data_workbench.transforms.spec import Deduplicate, Lookup, Step
from data_workbench.transforms.spec_values import Cast, policy
from data_workbench.transforms.text import HIDDEN, listing, select, side_name, with_variables


def known(step: str, names: Iterable[str], shape: Shape, what: str) -> None:
    """Refuse columns that are not there, with near names."""
    for name in names:
        if name not in shape.columns:
            near = difflib.get_close_matches(name, list(shape.columns), n=3) or sorted(shape.columns)[:8]
            raise SchemaConflict(f"{step}: {what}: unknown column {name!r}", hint=f"columns are {', '.join(near)}")


def distinct_names(step: str, names: Iterable[str]) -> None:
    """Refuse column names the engine cannot tell apart, and those that belong to the workbench."""
    seen: dict[str, str] = {}
    for name in names:
        if name.lower().startswith(PREFIX):
            raise SchemaConflict(f"{step}: column {name!r} begins with {PREFIX!r}", hint="rename it at the source")
        other = seen.setdefault(name.lower(), name)
        if other is not name:
            raise SchemaConflict(
                f"{step}: columns {other!r} and {name!r} differ only in case, which SQL expressions cannot tell apart",
                hint="list the columns wanted, with one of the two",
            )


def select_columns(_: Compilation, step: Step, shape: Shape, source: str) -> Draft:
    names = step.select or []
    known(step.name, names, shape, "select")
    distinct_names(step.name, names)
    kept = set(names)
    has_key = bool(shape.key) and set(shape.key) <= kept
    out = Shape(
        columns={name: shape.columns[name] for name in names},
        key=shape.key if has_key else (),
        key_is_unique=shape.key_is_unique and has_key,
        conditions=shape.conditions,
        marks=shape.marks,
    )
    return Draft(step.name, out, select(map(quoted, names), source))


def rename_columns(_: Compilation, step: Step, shape: Shape, source: str) -> Draft:
    names = step.rename or {}
    known(step.name, names, shape, "rename")
    distinct_names(step.name, [names.get(name, name) for name in shape.columns])
    out = Shape(
        columns={names.get(name, name): column for name, column in shape.columns.items()},
        key=tuple(names.get(name, name) for name in shape.key),
        key_is_unique=shape.key_is_unique,
        conditions=shape.conditions,
        marks=shape.marks,
    )
    columns = [f"{quoted(name)} AS {quoted(names.get(name, name))}" for name in shape.columns]
    return Draft(step.name, out, select(columns, source))


def derive_columns(build: Compilation, step: Step, shape: Shape, source: str) -> Draft:
    distinct_names(step.name, dict.fromkeys([*shape.columns, *(step.derive or {})]))
    made = [
        expression_column(build, step.name, shape, source, name=name, text=text, what=f"derive {name}")
        for name, text in (step.derive or {}).items()
    ]
    draft = make_columns(build, step.name, shape, source, made)
    if set(shape.key) & set(step.derive or {}):
        draft.shape = replace(draft.shape, key=(), key_is_unique=False)
    return draft


def expression_column(
    build: Compilation, step: str, shape: Shape, source: str, *, name: str, text: str, what: str
) -> Made:
    """A column computed by an expression of the file."""
    checked, sql, kind = build.expression(text, shape=shape, source=source, step=step, what=what)
    used = sorted(checked.columns)
    return Made(
        name=name,
        sql=sql,
        column=Column(kind, None, shape.origins_of(used, "TRANSFORMATION", text)),
        rule=what,
        failed=lambda value: cannot_be(value, sql),
        reason=literal(f"{text} cannot be computed") + with_values(used),
    )


def filter_rows(build: Compilation, step: Step, shape: Shape, source: str) -> Draft:
    return filter_frame(build, step.name, shape, source, step.filter or "", what="filter")


def filter_frame(build: Compilation, step: str, shape: Shape, source: str, text: str, *, what: str) -> Draft:
    """The rows of a frame for which a condition holds."""
    retract = build.holds
    checked, sql, kind = build.expression(text, shape=shape, source=source, step=step, what=what)
    if kind != "BOOLEAN":
        raise TransformError(
            f"{step}: {what} gives {kind.lower()}, not true or false", hint="compare it with something"
        )
    failed = build.drop(step, "quarantined", what)
    gone = build.drop(step, "filtered", what)
    reason = literal(f"{text} cannot be computed") + with_values(sorted(checked.columns))
    cases: list[Case] = [
        ("NOT coalesce(_wb_v0, FALSE) AND " + cannot_be(helper(0), sql), failed, f"[{failure(what, reason)}]"),
        ("NOT coalesce(_wb_v0, FALSE)", gone, None),
    ]
    values = {what: sql}
    out = Shape(
        columns=shape.columns,
        key=shape.key,
        key_is_unique=shape.key_is_unique,
        conditions=(*shape.conditions, *shape.origins_of(sorted(checked.columns), "CONDITIONAL", text)),
        marks=shape.marks or retract,
    )
    frame = verdict(shape, computed(shape, values, source), cases, retract=gone if retract else 0, hold=build.holds)
    return Draft(step, out, frame)


def cast_columns(build: Compilation, step: Step, shape: Shape, source: str) -> Draft:
    wanted = step.casts
    known(step.name, wanted, shape, "cast")
    made = [_cast(build, step.name, shape, source, name, rule) for name, rule in wanted.items()]
    return make_columns(build, step.name, shape, source, made)


def _cast(build: Compilation, step: str, shape: Shape, source: str, name: str, rule: Cast) -> Made:
    import pyarrow as pa

    try:
        kind = canonical_type(rule.to)
    except ValueError as error:
        raise TransformError(f"{step}: cast {name}: {error}") from error
    column = quoted(name)
    build.types_of(f"SELECT CAST({column} AS {kind}) AS v FROM {source}", step=step, what=f"cast {name}")
    native = {"UUID": "uuid", "JSON": "json"}.get(kind)
    landed = with_native(pa.field(name, pa.string()), native) if native else None
    return Made(
        name=name,
        sql=f"TRY_CAST({column} AS {kind})",
        column=Column(kind, landed, shape.origins_of([name], "TRANSFORMATION", f"cast to {rule.to}")),
        rule=f"cast {name}",
        failed=lambda value: f"{value} IS NULL AND {column} IS NOT NULL",
        reason=f"{literal(f'{name}: ')} || {shown(column)} || {literal(f' is no {rule.to}')}",
        on_failure=policy(rule.on_failure),
    )


def deduplicate_rows(build: Compilation, step: Step, shape: Shape, source: str) -> Draft:
    rule = step.deduplicate
    assert rule is not None
    known(step.name, rule.by, shape, "deduplicate by")
    order = [*_ordering(build, step.name, rule, shape, source), ORDINAL]
    code = build.drop(step.name, "deduplicated", "deduplicate")
    table = quoted(f"losers_{step.name}")
    beaten = "lag" if rule.keep == "first" else "lead"
    window = f"PARTITION BY {listing(rule.by)} ORDER BY {', '.join(order)}"
    losers = (
        f"CREATE OR REPLACE TEMP TABLE {table} AS SELECT {ORDINAL} AS _wb_loser FROM (SELECT {ORDINAL}, "
        f"{beaten}(TRUE) OVER ({window}) AS beaten FROM {source} WHERE {STATUS} = {ALIVE}) WHERE beaten"
    )
    joined = f"(SELECT f.*, l._wb_loser FROM {source} f LEFT JOIN {table} l ON f.{ORDINAL} = l._wb_loser)"
    out = Shape(
        columns=shape.columns,
        key=shape.key,
        key_is_unique=shape.key_is_unique or (bool(shape.key) and set(rule.by) <= set(shape.key)),
        conditions=(*shape.conditions, *shape.origins_of(rule.by, "CONDITIONAL", "deduplicate")),
        marks=shape.marks,
    )
    sql = verdict(shape, joined, [("_wb_loser IS NOT NULL", code, None)])
    return Draft(step.name, out, sql, prepare=[Action("sql", losers)])


def _ordering(build: Compilation, step: str, rule: Deduplicate, shape: Shape, source: str) -> list[str]:
    texts = []
    for item in rule.order:
        with refused(step):
            checked = check_order(item, columns=set(shape.columns), params=build.params, what="order")
        text = with_variables(checked.tree)
        build.types_of(f"SELECT 1 AS v FROM {source} ORDER BY {text}", step=step, what="order")
        texts.append(text)
    return texts


def lookup_values(build: Compilation, step: Step, shape: Shape, source: str) -> Draft:
    """Left match by equality; of several matches the first as the side input was read. A NULL is not `missing`."""
    rule = step.lookup
    assert rule is not None
    known(step.name, rule.on, shape, "lookup on")
    distinct_names(step.name, dict.fromkeys([*shape.columns, *rule.columns]))
    table, prepare, fields = _looked_up(build, step, rule, shape)
    on = " AND ".join(f"f.{quoted(here)} = s.k{index}" for index, here in enumerate(rule.on))
    taken = {name: f"s.v{index}" for index, name in enumerate(rule.take)}
    columns = dict(shape.columns)
    for name, there in rule.take.items():
        columns[name] = fields[there]
        if rule.provenance:
            told = _provenance(taken[name], rule)
            taken |= {name + suffix: sql for suffix, (_, sql) in told.items()}
            decided = shape.origins_of(rule.on, "CONDITIONAL", "lookup")
            columns |= {name + suffix: Column(kind, None, decided) for suffix, (kind, _) in told.items()}
    names = [f"{taken[name]} AS {quoted(name)}" if name in taken else f"f.{quoted(name)}" for name in columns]
    hidden = [f"f.{name}" for name in HIDDEN]
    joined = f"SELECT {', '.join([*names, *hidden, 's.hit AS _wb_hit'])} FROM {source} f LEFT JOIN {table} s ON {on}"
    key_changed = bool(set(shape.key) & set(taken))
    looked_at = [Origin(f"lookup:{step.name}", there, "CONDITIONAL", "lookup") for there in rule.on.values()]
    out = Shape(
        columns,
        () if key_changed else shape.key,
        shape.key_is_unique and not key_changed,
        (*shape.conditions, *shape.origins_of(rule.on, "CONDITIONAL", "lookup"), *looked_at),
        shape.marks or (build.holds and rule.missing == "quarantine"),
    )
    if rule.missing != "quarantine":
        return Draft(step.name, out, select(map(quoted, columns), f"({joined})"), prepare=prepare)
    code = build.drop(step.name, "quarantined", "lookup")
    values = " || ', ' || ".join(f"{literal(f'{name} = ')} || {shown(quoted(name))}" for name in rule.on)
    reason = f"{literal(f'nothing in {rule.stream} for ')} || {values}"
    absent = " AND ".join(["_wb_hit IS NULL", *(f"{quoted(name)} IS NOT NULL" for name in rule.on)])
    sql = verdict(out, f"({joined})", [(absent, code, f"[{failure('lookup', reason)}]")], hold=build.holds)
    return Draft(step.name, out, sql, prepare=prepare)


def _provenance(value: str, rule: Lookup) -> dict[str, tuple[str, str]]:
    """What tells of a value that is looked up: by suffix the type and the SQL of a column."""
    asked = " AND ".join(f"f.{quoted(name)} IS NOT NULL" for name in rule.on)
    told = literal(f"{rule.connection}:{rule.stream}")
    return {
        PROVENANCE: ("VARCHAR", f"CASE WHEN {value} IS NOT NULL THEN {told} WHEN {asked} THEN {literal(NOTHING)} END"),
        CONFIDENCE: ("DOUBLE", f"CASE WHEN {value} IS NOT NULL THEN 1.0::DOUBLE END"),
    }


def _looked_up(
    build: Compilation, step: Step, rule: Lookup, shape: Shape
) -> tuple[str, list[Action], dict[str, Column]]:
    """The small table: one row per match key, the first read."""
    side = f"lookup:{step.name}"
    types = build.types_of(f"SELECT * FROM {side_name(side)}", step=step.name)
    for name in [*rule.on.values(), *rule.take.values()]:
        if name not in types:
            near = difflib.get_close_matches(name, list(types), n=3) or sorted(types)[:8]
            raise SchemaConflict(
                f"{step.name}: lookup: {rule.stream} has no column {name!r}", hint=f"columns are {', '.join(near)}"
            )
    keys = [
        f"{as_type(quoted(there), types[there], shape.columns[here].type)} AS k{index}"
        for index, (here, there) in enumerate(rule.on.items())
    ]
    values = [f"{quoted(there)} AS v{index}" for index, there in enumerate(rule.take.values())]
    names = ", ".join(f"k{index}" for index in range(len(keys)))
    taken = "".join(f", v{index}" for index in range(len(values)))
    table = quoted(f"lookup_{step.name}")
    present = " AND ".join(f"k{index} IS NOT NULL" for index in range(len(keys)))
    sql = (
        f"CREATE OR REPLACE TEMP TABLE {table} AS SELECT {names}{taken}, TRUE AS hit FROM ("
        f"SELECT *, row_number() OVER (PARTITION BY {names} ORDER BY {ORDINAL}) AS place FROM ("
        f"SELECT {', '.join(keys + values)}, {ORDINAL} FROM {side_name(side)}) WHERE {present}) WHERE place = 1"
    )
    landed = {item.name: item for item in build.sides[side]}
    return (
        table,
        [Action("sql", sql)],
        {
            name: Column(kind, landed[name], (Origin(side, name, "IDENTITY"),))
            for name, kind in types.items()
            if name in landed
        },
    )


_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")


def as_type(value: str, there: str, here: str) -> str:
    """A value of another stream as the type it is compared with; NULL, so no match, where it cannot be one."""
    is_number = there in _NUMBERS and here in _NUMBERS
    return value if there == here or is_number else f"TRY_CAST({value} AS {here})"
