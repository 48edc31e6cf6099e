"""The step that makes versions of a history of states: a slowly changing dimension of type 2.

It looks at all states each time, so a state that comes late falls into its place. A deletion closes the version that
stands; it is no version itself. A state that begins no version any more is taken back from merge destinations.
"""

from __future__ import annotations

from data_workbench.records.marks import ORDINAL
from data_workbench.records.names import literal, quoted
from data_workbench.transforms.drafts import Case, Column, Compilation, Draft, Shape, failure, verdict
from data_workbench.transforms.plan import ALIVE, REJECTED, STATUS, TOMBSTONE_ROW, Action
from data_workbench.transforms.spec import Step
from data_workbench.transforms.spec_tables import Versions
from data_workbench.transforms.text import HIDDEN, listing
from data_workbench.transforms.verbs import distinct_names, known


def make_versions(build: Compilation, step: Step, shape: Shape, source: str) -> Draft:
    rule = step.versions
    assert rule is not None
    known(step.name, [*rule.key, rule.at, *rule.track], shape, "versions")
    distinct_names(step.name, [*shape.columns, *rule.made])
    table = quoted(f"versions_{step.name}")
    gone = build.drop(step.name, "filtered", "deleted rows")
    untimed = build.drop(step.name, "quarantined", "versions")
    same = build.drop(step.name, "deduplicated", "versions")
    begin, end, current = (quoted(name) for name in rule.made)
    out = Shape(
        columns=_columns(shape, rule),
        key=(*rule.key, rule.from_),
        key_is_unique=True,
        conditions=(*shape.conditions, *shape.origins_of([*rule.key, rule.at, *rule.track], "CONDITIONAL", "versions")),
        marks=build.holds,
    )
    status = f"CASE WHEN {STATUS} = {TOMBSTONE_ROW} THEN {gone} ELSE {STATUS} END AS {STATUS}"
    frame = (
        f"(SELECT {listing(shape.columns)}, {quoted(rule.at)} AS {begin}, _wb_to AS {end}, "
        f"_wb_to IS NULL AS {current}, {ORDINAL}, {status}, {REJECTED}, _wb_live, _wb_kept FROM {table})"
    )
    names = ", ".join([*rule.key, rule.at])
    reason = failure("versions", literal(f"the key or the time is NULL ({names})"))
    cases: list[Case] = [("NOT _wb_live", untimed, f"[{reason}]"), ("NOT _wb_kept", same, None)]
    sql = verdict(out, frame, cases, retract=same if build.holds else 0, hold=build.holds, told=shape)
    return Draft(step.name, out, sql, prepare=[Action("sql", _table(table, source, shape, rule))])


def _columns(shape: Shape, rule: Versions) -> dict[str, Column]:
    time = shape.columns[rule.at].type
    end = (
        *shape.origins_of([rule.at], "TRANSFORMATION", "versions"),
        *shape.origins_of([*rule.key, *rule.track], "CONDITIONAL", "versions"),
    )
    begin = shape.columns[rule.at]
    return {
        **shape.columns,
        rule.from_: Column(begin.type, begin.landed, begin.origins),
        rule.to: Column(time, None, end),
        rule.current: Column("BOOLEAN", None, end),
    }


def _table(table: str, source: str, shape: Shape, rule: Versions) -> str:
    """All rows, with whether they begin a version and when it ends. Of states at one time the last read counts."""
    at, keys = quoted(rule.at), listing(rule.key)
    present = " AND ".join(f"{quoted(name)} IS NOT NULL" for name in [*rule.key, rule.at])
    state = ", ".join(f"{literal(name)}: {quoted(name)}" for name in rule.track)
    live = f"{STATUS} IN ({ALIVE}, {TOMBSTONE_ROW}) AND {present} AS _wb_live"
    rows = f"SELECT {listing(shape.columns)}, {', '.join(HIDDEN)}, {live} FROM {source}"
    last = f"_wb_live AND row_number() OVER (PARTITION BY _wb_live, {keys}, {at} ORDER BY {ORDINAL} DESC) = 1"
    timed = (
        f"SELECT *, {last} AS _wb_last, CASE WHEN {STATUS} = {ALIVE} THEN {{{state}}} END AS _wb_state FROM ({rows})"
    )
    before = f"lag(_wb_state) OVER (PARTITION BY _wb_last, {keys} ORDER BY {at})"
    begins = f"_wb_last AND ({STATUS} = {TOMBSTONE_ROW} OR _wb_state IS DISTINCT FROM {before})"
    kept = f"SELECT *, {begins} AS _wb_kept FROM ({timed})"
    end = f"CASE WHEN _wb_kept THEN lead({at}) OVER (PARTITION BY _wb_kept, {keys} ORDER BY {at}) END"
    names = f"{listing(shape.columns)}, {', '.join(HIDDEN)}, _wb_live, _wb_kept"
    return f"CREATE OR REPLACE TEMP TABLE {table} AS SELECT {names}, {end} AS _wb_to FROM ({kept}) ORDER BY {ORDINAL}"
