"""The step that decides columns by rules: the first whose condition holds, by priority, decides all of them."""

from __future__ import annotations

from collections.abc import Mapping

from data_workbench.errors import TransformError
from data_workbench.records.names import literal
from data_workbench.transforms.computing import Made, cannot_be, make_columns, with_values
from data_workbench.transforms.drafts import Column, Compilation, Draft, Shape
from data_workbench.transforms.spec import Step
from data_workbench.transforms.spec_values import RuleSet
from data_workbench.transforms.verbs import distinct_names

_NUMBERS = ("INT", "DOUBLE", "FLOAT", "DECIMAL", '"NULL"')


def apply_rule_set(build: Compilation, step: Step, shape: Shape, source: str) -> Draft:
    rule = step.rules
    assert rule is not None
    if rule.set_ is None:
        raise TransformError(f"{step.name}: rules: the file {rule.file!r} has not been read")
    rules = rule.set_
    distinct_names(step.name, dict.fromkeys([*shape.columns, *rules.columns, *([rule.rule] if rule.rule else [])]))
    conditions, looked_at = _conditions(build, step.name, rules, shape, source)
    made = [_decided(build, step.name, rules, name, conditions, looked_at, shape, source) for name in rules.columns]
    if rule.rule:
        whens = " ".join(f"WHEN {sql} THEN {literal(name)}" for name, sql in conditions.items())
        column = Column("VARCHAR", None, shape.origins_of(sorted(looked_at), "CONDITIONAL", "rules"))
        made.append(_made(rule.rule, f"CASE {whens} END", column, looked_at))
    return make_columns(build, step.name, shape, source, made)


def _conditions(
    build: Compilation, step: str, rules: RuleSet, shape: Shape, source: str
) -> tuple[dict[str, str], set[str]]:
    """SQL of each rule's condition as it is tried, and the columns they look at."""
    found: dict[str, str] = {}
    looked_at: set[str] = set()
    for rule in rules.ordered:
        what = f"rule {rule.name}: when"
        checked, sql, kind = build.expression(rule.when, shape=shape, source=source, step=step, what=what)
        if kind != "BOOLEAN":
            raise TransformError(f"{step}: {what} gives {kind.lower()}, not true or false")
        found[rule.name] = f"({sql})"
        looked_at |= checked.columns
    return found, looked_at


def _decided(
    build: Compilation,
    step: str,
    rules: RuleSet,
    name: str,
    conditions: Mapping[str, str],
    looked_at: set[str],
    shape: Shape,
    source: str,
) -> Made:
    """One column: the value of the rule that holds, or the default."""
    texts = {rule.name: rule.then.get(name, rules.default.get(name, "NULL")) for rule in rules.ordered}
    used: set[str] = set()
    kinds: dict[str, str] = {}
    whens = []
    default = rules.default.get(name, "NULL")
    for rule, text in [*texts.items(), ("default", default)]:
        what = f"rule {rule}: {name}" if rule in texts else f"default {name}"
        sql = "NULL"
        if text.strip().upper() != "NULL":
            checked, sql, kind = build.expression(text, shape=shape, source=source, step=step, what=what)
            used |= checked.columns
            kinds.setdefault(kind, what)
        whens.append(f"WHEN {conditions[rule]} THEN {sql}" if rule in texts else f"ELSE {sql}")
    _require_one_kind(step, kinds)
    sql = f"CASE {' '.join(whens)} END"
    kind = next(iter(build.types_of(f"SELECT {sql} AS v FROM {source}", step=step, what=name).values()))
    origins = (
        *shape.origins_of(sorted(used), "TRANSFORMATION", f"rules: {name}"),
        *shape.origins_of(sorted(looked_at - used), "CONDITIONAL", f"rules: {name}"),
    )
    return _made(name, sql, Column("VARCHAR" if kind == '"NULL"' else kind, None, origins), looked_at | used)


def _require_one_kind(step: str, kinds: Mapping[str, str]) -> None:
    """DuckDB would cast a text to the other values' number, and set aside every row where it is none."""
    if len(kinds) > 1 and not all(kind.lstrip("U").startswith(_NUMBERS) or "INT" in kind for kind in kinds):
        told = ", ".join(f"{what} is {kind.lower()}" for kind, what in kinds.items())
        raise TransformError(f"{step}: the values of a column are of different types: {told}", hint="cast them alike")


def _made(name: str, sql: str, column: Column, used: set[str]) -> Made:
    reason = literal(f"the rules for {name} cannot be computed") + with_values(sorted(used))
    rule = f"rules {name}"
    return Made(name, sql, column, rule=rule, failed=lambda value: cannot_be(value, sql), reason=reason)
