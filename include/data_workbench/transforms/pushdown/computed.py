"""Verbs that make columns out of others of the row, as the expressions that make them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from sqlglot import exp

from data_workbench.records.names import literal, quoted
from data_workbench.records.type_names import canonical_type
from data_workbench.transforms.dialect import read_duckdb
from data_workbench.transforms.mapped import default_sql, kind_of_default
from data_workbench.transforms.spec import Step
from data_workbench.transforms.spec_values import Mapped
from data_workbench.transforms.values import digest_sql, mask_sql

Check = Callable[[str, str], exp.Expr]
"""An expression of a person's own, and what it is for, to its tree."""
KindOf = Callable[[exp.Expr], str]
"""The type DuckDB gives an expression."""


def computed_columns(step: Step, check: Check, kind_of: KindOf) -> dict[str, exp.Expr]:
    """The columns a step makes; a plain column is a copy."""
    return _VERBS[step.verb](step, check, kind_of)


def _derive(step: Step, check: Check, _: KindOf) -> dict[str, exp.Expr]:
    return {name: check(text, f"derive {name}") for name, text in (step.derive or {}).items()}


def _cast(step: Step, _: Check, __: KindOf) -> dict[str, exp.Expr]:
    return {name: _as_type(_parsed(quoted(name)), rule.to) for name, rule in step.casts.items()}


def _map(step: Step, check: Check, kind_of: KindOf) -> dict[str, exp.Expr]:
    return {line.target: _mapped(line, check, kind_of) for line in step.map or ()}


def _mapped(line: Mapped, check: Check, kind_of: KindOf) -> exp.Expr:
    if line.from_ is None and line.expression is None:
        kind = canonical_type(line.type) if line.type is not None else kind_of_default(line.default)
        return _parsed(default_sql(line, kind))
    text = line.expression if line.from_ is None else quoted(line.from_)
    tree = check(text or "NULL", f"map {line.target}")
    if line.type is not None:
        tree = _as_type(tree, line.type)
    if line.default is None:
        return tree
    kind = kind_of(tree)
    given = literal(str(line.default)) if kind == "VARCHAR" else default_sql(line, kind)
    return exp.Coalesce(this=tree, expressions=[_parsed(given)])


def _rules(step: Step, check: Check, _: KindOf) -> dict[str, exp.Expr]:
    assert step.rules is not None
    found = step.rules.set_
    assert found is not None, "a pipeline is loaded with the rules of its files"
    when = {one.name: check(one.when, f"rule {one.name}: when") for one in found.ordered}
    made: dict[str, exp.Expr] = {}
    for name in found.columns:
        default = found.default.get(name, "NULL")
        values = {one.name: check(one.then.get(name, default), f"rule {one.name}: {name}") for one in found.ordered}
        made[name] = _decided(when, values).else_(check(default, f"default {name}"))
    if step.rules.rule is not None:
        made[step.rules.rule] = _decided(when, {name: exp.Literal.string(name) for name in when})
    return made


def _decided(when: Mapping[str, exp.Expr], values: Mapping[str, exp.Expr]) -> exp.Case:
    case = exp.Case()
    for name, condition in when.items():
        case = case.when(condition.copy(), values[name])
    return case


def _hash(step: Step, _: Check, __: KindOf) -> dict[str, exp.Expr]:
    assert step.hash is not None
    return {step.hash.into: _parsed(digest_sql(step.hash))}


def _mask(step: Step, _: Check, __: KindOf) -> dict[str, exp.Expr]:
    rule = step.mask
    assert rule is not None
    return {name: _parsed(mask_sql(rule, name)) for name in rule.columns}


def _as_type(tree: exp.Expr, kind: str) -> exp.Expr:
    return exp.TryCast(this=tree, to=exp.DataType.build(canonical_type(kind), dialect="duckdb"))


def _parsed(sql: str) -> exp.Expr:
    return read_duckdb(sql)


_VERBS: Final[Mapping[str, Callable[[Step, Check, KindOf], dict[str, exp.Expr]]]] = {
    "derive": _derive,
    "cast": _cast,
    "map": _map,
    "rules": _rules,
    "hash": _hash,
    "mask": _mask,
}
COMPUTED: Final = tuple(_VERBS)
"""The verbs."""
