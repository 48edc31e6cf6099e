"""A node's rules as SQL: rows that break one leave for the quarantine, or are only counted.

`quarantine` drops them; `fail` and `warn` count them beforehand in a pass over the columns concerned, so that a failing
run has written nothing. A value that must be unique is compared among the rows that keep all other rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from data_workbench.records.marks import ORDINAL
from data_workbench.records.names import literal, quoted
from data_workbench.records.rules import NodeRules, ReferenceRule, RowRule
from data_workbench.transforms.drafts import Compilation, Draft, Shape, failure, json_object, named, shown, verdict
from data_workbench.transforms.plan import ALIVE, REJECTED, STATUS, Action
from data_workbench.transforms.sources import repeated
from data_workbench.transforms.text import HIDDEN, listing, side_name
from data_workbench.transforms.verbs import as_type, known


def apply_rules(build: Compilation, draft: Draft, rules: NodeRules) -> None:
    """Add the rules to a node's frame."""
    draft.passthrough = draft.may_pass = False
    if build.holds and rules.on_invalid == "quarantine":
        draft.shape = replace(draft.shape, marks=True)
    shape = draft.shape
    for names in [*(rule.columns for rule in rules.rules), *rules.unique, *([r.column] for r in rules.references)]:
        known(draft.name, names, shape, "contract")
    row_rules = [*rules.rules, *_referenced(build, draft, rules.references)]
    made = quoted(f"made_{draft.name}")
    _view(draft, made, draft.sql)
    _check(build, draft, made, row_rules)
    if rules.on_invalid == "quarantine":
        draft.sql = _split(build, draft, made, row_rules)
    else:
        columns = [*map(quoted, shape.columns), *HIDDEN]
        draft.sql = f"SELECT {', '.join(columns)} FROM {made}"
        draft.prepare.append(_counting(draft, made, row_rules, rules))
    for index, columns_ in enumerate(rules.unique):
        _unique(build, draft, columns_, index, rules)


def _view(draft: Draft, name: str, sql: str) -> None:
    draft.prepare.append(Action("sql", f"CREATE OR REPLACE TEMP VIEW {name} AS {sql}"))


def _check(build: Compilation, draft: Draft, made: str, rules: Sequence[RowRule]) -> None:
    """Bind each predicate on its own, so that a mistake is told with its rule."""
    for action in draft.prepare:
        build.run(action, step=draft.name)
    for rule in rules:
        with named(draft.name, f"rule {rule.name}"):
            build.engine.execute(f"DESCRIBE SELECT {rule.predicate} FROM {made}")


def _referenced(build: Compilation, draft: Draft, references: Sequence[ReferenceRule]) -> list[RowRule]:
    """Join the referenced values and turn each reference into a rule of the row."""
    rules = []
    hits, joins = [], []
    for index, reference in enumerate(references):
        types = build.types_of(f"SELECT * FROM {side_name(reference.side_input)}", step=draft.name)
        column, kind = next(iter(types.items()))
        here = draft.shape.columns[reference.column].type
        table = quoted(f"reference_{draft.name}_{index}")
        values = f"SELECT DISTINCT {as_type(quoted(column), kind, here)} AS v FROM {side_name(reference.side_input)}"
        draft.prepare.append(
            Action("sql", f"CREATE OR REPLACE TEMP TABLE {table} AS SELECT v FROM ({values}) WHERE v IS NOT NULL")
        )
        hits.append(f"r{index}.v IS NOT NULL AS _wb_hit{index}")
        joins.append(f"LEFT JOIN {table} r{index} ON f.{quoted(reference.column)} = r{index}.v")
        predicate = f"({quoted(reference.column)} IS NULL OR _wb_hit{index})"
        rules.append(RowRule(f"references {reference.column}", (reference.column,), predicate, reference.wanted))
    if references:
        names = [f"f.{quoted(name)}" for name in draft.shape.columns] + [f"f.{name}" for name in HIDDEN]
        draft.sql = f"SELECT {', '.join([*names, *hits])} FROM ({draft.sql}) f {' '.join(joins)}"
    return rules


def _split(build: Compilation, draft: Draft, made: str, row_rules: Sequence[RowRule]) -> str:
    shape = draft.shape
    if not row_rules:
        return f"SELECT {listing(shape.columns)}, {', '.join(HIDDEN)} FROM {made}"
    code = build.drop(draft.name, "quarantined", "contract")
    entries = ", ".join(
        f"CASE WHEN NOT {rule.predicate} THEN {failure(rule.name, _reason(rule))} END" for rule in row_rules
    )
    failures = f"list_filter([{entries}], lambda _f: _f IS NOT NULL)"
    bad = f"NOT ({' AND '.join(rule.predicate for rule in row_rules)})"
    judged = f"(SELECT *, CASE WHEN {STATUS} = {ALIVE} THEN {bad} ELSE FALSE END AS _wb_bad FROM {made})"
    return verdict(shape, judged, [("_wb_bad", code, failures)], hold=build.holds)


def _reason(rule: RowRule) -> str:
    name = rule.columns[0] if rule.columns else ""
    if not name:
        return literal(f"wanted {rule.wanted}")
    return f"{literal(f'{name}: ')} || {shown(quoted(name))} || {literal(f', wanted {rule.wanted}')}"


def _counting(draft: Draft, made: str, row_rules: Sequence[RowRule], rules: NodeRules) -> Action:
    """Count broken rules without dropping a row; one row of counts and example keys, per rule."""
    key = _example(draft.shape)
    parts = []
    for rule in row_rules:
        broken = f"FILTER (WHERE {STATUS} = {ALIVE} AND NOT {rule.predicate})"
        parts.append(f"count(*) {broken}, arg_min({key}, {ORDINAL}) {broken}")
    arguments = _telling(draft.name, [rule.name for rule in row_rules], rules)
    return Action("count_rules", f"SELECT {', '.join(parts) or '0, NULL'} FROM {made}", arguments)


def _telling(node: str, names: Sequence[str], rules: NodeRules) -> dict[str, Any]:
    return {"node": node, "rules": list(names), "on_invalid": rules.on_invalid}


def _example(shape: Shape) -> str:
    return json_object(shape.columns, shape.key or list(shape.columns)[:3])


def _unique(build: Compilation, draft: Draft, columns: tuple[str, ...], index: int, rules: NodeRules) -> None:
    """Of rows equal on `columns` the first in key order stays; then rows the destination knows under other keys."""
    shape = draft.shape
    frame = quoted(f"unique_{draft.name}_{index}")
    table = quoted(f"again_{draft.name}_{index}")
    _view(draft, frame, draft.sql)
    order = f"{listing(shape.key)}, {ORDINAL}" if shape.key else ORDINAL
    again = repeated(frame, columns, order, "_wb_loser", live=f"= {ALIVE}")
    draft.prepare.append(
        Action("sql", f"CREATE OR REPLACE TEMP TABLE {table} AS SELECT _wb_loser, FALSE AS _wb_taken FROM ({again})")
    )
    if shape.key:
        draft.prepare.append(_asking(draft, frame, table, columns))
    name = f"unique {', '.join(columns)}"
    if rules.on_invalid != "quarantine":
        key = f"(SELECT {_example(shape)} FROM {frame} WHERE {ORDINAL} = (SELECT min(_wb_loser) FROM {table}))"
        sql = f"SELECT count(*), {key} FROM {table}"
        draft.prepare.append(Action("count_rules", sql, _telling(draft.name, [name], rules)))
        return
    code = build.drop(draft.name, "quarantined", name)
    values = " || ', ' || ".join(f"{literal(f'{column} = ')} || {shown(quoted(column))}" for column in columns)
    there, here = literal(" stands under another key in the destination"), literal(" is there more than once")
    other = f"CASE WHEN _wb_taken THEN {there} ELSE {here} END"
    joined = (
        f"(SELECT {listing(shape.columns, 'f')}, f.{ORDINAL}, f.{STATUS}, f.{REJECTED}, l._wb_loser, l._wb_taken "
        f"FROM {frame} f LEFT JOIN {table} l ON f.{ORDINAL} = l._wb_loser)"
    )
    failures = f"[{failure(name, f'{values} || {other}')}]"
    draft.sql = verdict(shape, joined, [("_wb_loser IS NOT NULL", code, failures)], hold=build.holds)


def _asking(draft: Draft, frame: str, table: str, columns: tuple[str, ...]) -> Action:
    """What is asked of the destination: rows of other keys that hold these values."""
    key = draft.shape.key
    present = " AND ".join(f"{quoted(column)} IS NOT NULL" for column in columns)
    names = listing(dict.fromkeys([*key, *columns]))
    sql = (
        f"SELECT {names}, {ORDINAL} FROM {frame} WHERE {STATUS} = {ALIVE} AND {present} "
        f"AND {ORDINAL} NOT IN (SELECT _wb_loser FROM {table})"
    )
    arguments = {"node": draft.name, "columns": list(columns), "key": list(key), "table": table, "frame": frame}
    return Action("find_unique", sql, arguments)
