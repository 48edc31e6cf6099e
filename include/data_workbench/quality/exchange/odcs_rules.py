"""Quality rules of the Open Data Contract Standard as checks in Soda's words.

The standard's rules hold a number against limits, as Soda's do: metrics of its library, a query, or the rules of Soda
that it passes on as they are. https://bitol-io.github.io/open-data-contract-standard/latest/data-quality/
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import sqlglot
import yaml
from sqlglot import exp

from data_workbench.quality.soda_block import KINDS
from data_workbench.records.names import quoted

_OPERATORS: Final = {
    "mustBe": "must_be",
    "mustNotBe": "must_not_be",
    "mustBeGreaterThan": "must_be_greater_than",
    "mustBeGreaterOrEqualTo": "must_be_greater_than_or_equal",
    "mustBeLessThan": "must_be_less_than",
    "mustBeLessOrEqualTo": "must_be_less_than_or_equal",
}
_METRICS: Final = {
    "nullValues": "missing",
    "missingValues": "missing",
    "invalidValues": "invalid",
    "duplicateValues": "duplicate",
    "rowCount": "row_count",
}
_MILD: Final = frozenset({"warning", "warn", "info", "information"})
_GIVEN: Final = "given"
_PLACEHOLDER: Final = re.compile(r"\$?\{(object|property|table|column|model|schema|field)\}")
_OLDER: Final = re.compile(r"(duplicate|missing|invalid)_(count|percent)")
"""Rules of Soda 3, as the standard's own examples have them."""


def soda_check(rule: Mapping[str, Any], *, names: tuple[str, ...], column: str | None) -> dict[str, Any] | None:
    """A rule as a check of Soda's; None where Soda has none such.

    Args:
        names: of the rule's table, as a query may call it.
        column: whose rule it is; None for one of the table.
    """
    found = _check(rule, names, column)
    if found is None:
        return None
    kind = next(iter(found))
    title = rule.get("name") or rule.get("id")
    return {kind: {**({"name": str(title)} if title else {}), **found[kind]}}


def _check(rule: Mapping[str, Any], names: tuple[str, ...], column: str | None) -> dict[str, Any] | None:
    if rule.get("engine") == "soda":
        return _sodas_own(rule)
    limits = _threshold(rule)
    if limits is None:
        return None
    if rule.get("type") == "sql" or "query" in rule:
        query = _query(str(rule.get("query") or ""), names, column)
        return {"metric": {"query": query, "threshold": limits}} if query else None
    kind = _METRICS.get(rule.get("metric") or "")
    settings = _settings(kind, rule.get("arguments") or {}) if kind else None
    if kind is None or settings is None:
        return None
    if kind != "row_count":
        limits = {"metric": "percent" if rule.get("unit") == "percent" else "count", **limits}
    return {kind: {**settings, "threshold": limits}}


def _threshold(rule: Mapping[str, Any]) -> dict[str, Any] | None:
    found: dict[str, Any] = {ours: rule[theirs] for theirs, ours in _OPERATORS.items() if theirs in rule}
    for operator in ("mustBeBetween", "mustNotBeBetween"):
        if operator in rule:
            low, high = rule[operator]
            if operator == "mustNotBeBetween":
                found["must_be_not_between"] = {"less_than": low, "greater_than": high}
            elif low == high:
                found["must_be"] = low
            else:
                found["must_be_between"] = {"greater_than_or_equal": low, "less_than_or_equal": high}
    numbers = [one for value in found.values() for one in (value.values() if isinstance(value, dict) else (value,))]
    if len(found) != 1 or not all(isinstance(one, int | float) and not isinstance(one, bool) for one in numbers):
        return None
    return found | ({"level": "warn"} if is_mild(rule) else {})


def is_mild(rule: Mapping[str, Any]) -> bool:
    """Whether a rule that is broken is only a warning."""
    return str(rule.get("severity", "")).lower() in _MILD


def _settings(kind: str, arguments: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the standard gives a metric beside its limits; None where it is something that Soda cannot be told."""
    left = dict(arguments)
    found: dict[str, Any] = {}
    if kind == "missing" and "missingValues" in left:
        values = [one for one in left.pop("missingValues") if one is not None]  # null is missing to Soda anyway
        found |= {"missing_values": values} if values else {}
    if kind == "invalid":
        if "validValues" in left:
            found["valid_values"] = [one for one in left.pop("validValues") if one is not None]
        if "pattern" in left:
            found["valid_format"] = {"regex": left.pop("pattern"), "name": "pattern"}
        if not found:
            return None
    if kind == "duplicate" and "properties" in left:
        found["columns"] = left.pop("properties")
    return None if left else found


def _query(text: str, names: tuple[str, ...], column: str | None) -> str | None:
    """The query over the rows given; None where it speaks of other tables, or is none that DuckDB reads."""

    def filled(match: re.Match[str]) -> str:
        return _GIVEN if match[1] in ("object", "table", "model", "schema") else quoted(column or "")

    try:
        tree = sqlglot.parse_one(_PLACEHOLDER.sub(filled, text), read="duckdb")
    except sqlglot.errors.SqlglotError:
        return None
    if not isinstance(tree, exp.Query):
        return None
    within = {one.alias_or_name for one in tree.find_all(exp.CTE)}
    known = {name.lower() for name in (*names, _GIVEN)}
    for table in list(tree.find_all(exp.Table)):
        if table.name in within:
            continue
        if table.name.lower() not in known:
            return None
        name = table.alias_or_name
        table.set("db", None)
        table.set("catalog", None)
        table.set("this", exp.to_identifier(_GIVEN))
        table.set("alias", exp.TableAlias(this=exp.to_identifier(name)))
    return tree.sql(dialect="duckdb")


def _sodas_own(rule: Mapping[str, Any]) -> dict[str, Any] | None:
    given = rule.get("implementation")
    try:
        found = yaml.safe_load(given) if isinstance(given, str) else given
    except yaml.YAMLError:
        return None
    if not isinstance(found, Mapping):
        return None
    if any(kind in found for kind in KINDS):
        kind = next(kind for kind in KINDS if kind in found)
        return {kind: dict(found[kind] or {})} if len(found) == 1 else None
    older = _OLDER.fullmatch(str(found.get("type", "")))
    limits = {name: value for name, value in found.items() if name.startswith("must_")}
    if older is None or not limits or set(found) - set(limits) - {"type", "columns"}:
        return None
    columns = {"columns": found["columns"]} if "columns" in found else {}
    return {older[1]: {**columns, "threshold": {"metric": older[2], **limits}}}
