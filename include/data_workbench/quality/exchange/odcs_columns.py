"""A property of the Open Data Contract Standard as what a column of ours promises."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from data_workbench.quality.exchange.odcs_out import ENGINE, OPTIONS
from data_workbench.quality.exchange.odcs_rules import is_mild
from data_workbench.records.names import literal, quoted

_TYPES: Final = {
    "string": "text",
    "date": "date",
    "timestamp": "timestamp",
    "time": "time",
    "number": "double",
    "integer": "bigint",
    "boolean": "boolean",
}
_EXCLUSIVE: Final = {"exclusiveMinimum": ("min", ">", 1), "exclusiveMaximum": ("max", "<", -1)}
"""Limits that are no values themselves: the limit of ours, the operator, and how far the next whole number is."""


class Column:
    """What a property promises.

    Args:
        found: in our words.
        checks: what columns of ours have no words for.
        left_out: what is not promised.
    """

    def __init__(self, name: str, given: Mapping[str, Any], *, is_ours: bool) -> None:
        self.name, self.given = name, given
        self.checks: list[dict[str, Any]] = []
        self.left_out: list[str] = []
        self.found: dict[str, Any] = {key: given[key] for key in ("classification", "description") if given.get(key)}
        self.found |= {key: True for key in ("required", "unique") if given.get(key)}
        if given.get("primaryKey"):
            self.found["required"] = True
        kind = _TYPES.get(given.get("logicalType", ""))
        options = dict(given.get("logicalTypeOptions") or {})
        if is_ours and "physicalType" in given:
            self.found["type"] = given["physicalType"]
        elif not is_ours and kind:
            self.found["type"] = kind
        self.found |= {OPTIONS[name]: options.pop(name) for name in OPTIONS if name in options}
        for option in _EXCLUSIVE:
            if option in options:
                self._exclude(option, options.pop(option), is_whole=kind == "bigint")
        notation = options.pop("format", None)
        if notation == "uuid":
            self.found["type"] = "uuid"
        elif notation is not None and kind == "text":
            self.left_out.append(f".logicalTypeOptions: format {notation}")  # of others it says how they are written
        self.left_out += [f".logicalTypeOptions: {option}" for option in options]
        if given.get("properties") or given.get("items"):
            self.left_out.append(": what is nested is not promised")

    def take(self, rule: Mapping[str, Any]) -> bool:
        """Take a rule that is exact and has words of ours; whether it was."""
        arguments = rule.get("arguments") or {}
        is_exact = rule.get("mustBe") == 0 and not is_mild(rule)
        match rule.get("metric") if is_exact else None:
            case "nullValues" | "missingValues" if not arguments:
                self.found["required"] = True
            case "duplicateValues" if not arguments:
                self.found["unique"] = True
            case "invalidValues" if arguments and set(arguments) <= {"validValues", "pattern"}:
                taken = {"values": _values(arguments["validValues"])} if "validValues" in arguments else {}
                taken |= {"pattern": arguments["pattern"]} if "pattern" in arguments else {}
                if not all(taken.values()) or set(taken) & set(self.found):
                    return False  # a second list is a second check
                self.found |= taken
            case _:
                own = own_check(rule)
                if own is None or "references" not in own:
                    return False
                self.found["references"] = own["references"]
        return True

    def _exclude(self, option: str, limit: Any, *, is_whole: bool) -> None:
        key, operator, step = _EXCLUSIVE[option]
        if is_whole and isinstance(limit, int) and key not in self.found:
            self.found[key] = limit + step
            return
        written = literal(limit) if isinstance(limit, str) else repr(limit)
        condition = f"{quoted(self.name)} {operator} {written}"
        self.checks.append({"name": f"{self.name} {operator} {limit}", "condition": condition})


def own_check(rule: Mapping[str, Any]) -> dict[str, Any] | None:
    """A rule that was a check of ours before it went out."""
    if rule.get("engine") != ENGINE:
        return None
    given = rule["implementation"]
    found: dict[str, Any] = json.loads(given) if isinstance(given, str) else dict(given)
    return found


def rule_name(rule: Mapping[str, Any]) -> str:
    """How what is left out calls a rule."""
    kind = rule.get("metric") or rule.get("engine") or rule.get("type") or "library"
    return f"{rule.get('name') or rule.get('id') or ''} ({kind})".strip()


def _values(listed: list[Any]) -> list[Any]:
    """Without null, which no list of ours forbids."""
    return [one for one in listed if one is not None]
