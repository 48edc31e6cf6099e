"""Contracts of ours from a document of the Open Data Contract Standard 3.1.

All is taken that we can hold, and what is left out is told: columns and exact promises in our words, other numbers, SQL
and Soda's own checks as a block of Soda's (`odcs_rules`). https://bitol-io.github.io/open-data-contract-standard/
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from data_workbench.errors import SchemaConflict
from data_workbench.quality.exchange.odcs_out import ENGINE, OPTIONS, validate
from data_workbench.quality.exchange.odcs_rules import soda_check
from data_workbench.quality.exchange.taken import Block, Imported, as_name, checked

_TYPES: Final = {
    "string": "text",
    "date": "date",
    "timestamp": "timestamp",
    "time": "time",
    "number": "double",
    "integer": "bigint",
    "boolean": "boolean",
}
_UNITS: Final = {"s": 1, "second": 1, "m": 60, "minute": 60, "h": 3600, "hour": 3600, "d": 86400, "day": 86400}


def imported(document: Any, *, connection: str | None = None) -> Imported:
    """Contracts of ours from a document of the standard.

    Args:
        connection: the connection of the datasets; the name of the document's first server if left out.

    Raises:
        SchemaConflict: it is not valid, or names no server and no connection is given.
    """
    validate(document)
    servers = document.get("servers") or [{}]
    where = connection or servers[0].get("server")
    if where is None:
        raise SchemaConflict("the contract names no server", hint="say which connection it is: --connection ID")
    found = Imported()
    objects = document.get("schema") or []
    if not objects:
        found.left_out.append("schema: there is none, so nothing is promised")
    for entry in objects:
        contract = _Reading(document, entry, found.left_out).read(str(where), len(objects) > 1)
        found.contracts.append(checked(contract))
    return found


class _Reading:
    """One object of a document."""

    def __init__(self, document: Mapping[str, Any], entry: Mapping[str, Any], left_out: list[str]) -> None:
        self._document, self._entry, self._left_out = document, entry, left_out
        self._name = str(entry.get("physicalName") or entry["name"])
        self._names = tuple({str(entry["name"]), self._name, self._name.rpartition(".")[2]})
        self._made: dict[str, Any] = {}
        self._block = Block()

    def read(self, connection: str, is_one_of_many: bool) -> dict[str, Any]:
        title = str(self._document.get("name") or self._document["id"])
        title = f"{title}_{self._entry['name']}" if is_one_of_many else title
        made = self._made
        made |= {"version": 1, "contract": as_name(title), "connection": connection, "stream": self._name}
        about = self._entry.get("description") or (self._document.get("description") or {}).get("purpose")
        team = self._document.get("team")
        owner = team.get("name") if isinstance(team, dict) else None
        made |= {key: value for key, value in (("description", about), ("owner", owner)) if value}
        columns: dict[str, Any] = {}
        for one in self._entry.get("properties") or []:
            columns[one.get("physicalName") or one["name"]] = self._column(one)
        if columns:
            made["columns"] = columns
        for rule in self._entry.get("quality") or []:
            self._table_rule(rule)
        self._levels()
        if block := self._block.document():
            made["soda"] = block
        for one in self._document.get("customProperties") or []:
            if one["property"] == ENGINE:
                made |= json.loads(one["value"])
        return made

    def _column(self, one: Mapping[str, Any]) -> dict[str, Any]:
        found = {key: one[key] for key in ("classification", "description") if one.get(key)}
        found |= {key: True for key in ("required", "unique") if one.get(key)}
        if one.get("primaryKey"):
            found |= {"required": True, "unique": True}
        kind = _TYPES.get(one.get("logicalType", ""))
        options = dict(one.get("logicalTypeOptions") or {})
        if self._is_ours() and "physicalType" in one:
            found["type"] = one["physicalType"]
        elif not self._is_ours() and kind and options.get("format") != "uuid":
            found["type"] = kind
        found |= {OPTIONS[name]: options.pop(name) for name in OPTIONS if name in options}
        if options.pop("format", None) == "uuid":
            found["type"] = "uuid"
        self._left(f"{one['name']}.logicalTypeOptions", options)
        for rule in one.get("quality") or []:
            self._column_rule(str(one.get("physicalName") or one["name"]), found, rule)
        if one.get("properties") or one.get("items"):
            self._left_out.append(f"{self._name}.{one['name']}: what is nested is not promised")
        return found

    def _is_ours(self) -> bool:
        return any(one.get("type") == "custom" for one in self._document.get("servers") or [])

    def _column_rule(self, name: str, found: dict[str, Any], rule: Mapping[str, Any]) -> None:
        arguments = rule.get("arguments") or {}
        match rule.get("metric") if rule.get("mustBe") == 0 else None:
            case "nullValues" | "missingValues" if not arguments:
                found["required"] = True
            case "duplicateValues":
                found["unique"] = True
            case "invalidValues" if set(arguments) <= {"validValues", "pattern"} and arguments:
                found |= {"values": arguments["validValues"]} if "validValues" in arguments else {}
                found |= {"pattern": arguments["pattern"]} if "pattern" in arguments else {}
            case _:
                own = _own(rule)
                if own and "references" in own:
                    found["references"] = own["references"]
                elif reason := self._block.add(soda_check(rule, names=self._names, column=name), name):
                    self._left_out.append(f"{self._name}.{name}: quality {_named(rule)}: {reason}")

    def _table_rule(self, rule: Mapping[str, Any]) -> None:
        arguments = rule.get("arguments") or {}
        if rule.get("metric") == "duplicateValues" and rule.get("mustBe") == 0 and arguments.get("properties"):
            self._made.setdefault("unique", []).append(arguments["properties"])
        elif rule.get("metric") == "rowCount" and (rows := _rows(rule)):
            self._made["rows"] = rows
        elif own := _own(rule):
            self._made.setdefault("checks", []).append(own)
        elif reason := self._block.add(soda_check(rule, names=self._names, column=None)):
            self._left_out.append(f"{self._name}: quality {_named(rule)}: {reason}")

    def _levels(self) -> None:
        for one in self._document.get("slaProperties") or []:
            element = str(one.get("element") or "")
            unit = re.sub(r"s$", "", str(one.get("unit") or "")) or "s"
            table, _, column = element.rpartition(".")
            is_fresh = one["property"] in ("latency", "freshness") and column and unit in _UNITS
            if is_fresh and table in ("", self._name, self._entry["name"]):
                seconds = timedelta(seconds=float(one["value"]) * _UNITS[unit]).total_seconds()
                self._made["freshness"] = {"column": column, "within": f"{seconds:.0f}s"}
            else:
                self._left_out.append(f"slaProperties: {one['property']}")

    def _left(self, where: str, options: Mapping[str, Any]) -> None:
        self._left_out += [f"{self._name}.{where}: {name}" for name in options]


def _rows(rule: Mapping[str, Any]) -> dict[str, int] | None:
    if "mustBeBetween" in rule:
        return {"min": int(rule["mustBeBetween"][0]), "max": int(rule["mustBeBetween"][1])}
    known = {"mustBeGreaterOrEqualTo": ("min", 0), "mustBeGreaterThan": ("min", 1), "mustBeLessOrEqualTo": ("max", 0)}
    known["mustBeLessThan"] = ("max", -1)
    for operator, (key, more) in known.items():
        if operator in rule:
            return {key: int(rule[operator]) + more}
    return {"min": int(rule["mustBe"]), "max": int(rule["mustBe"])} if "mustBe" in rule else None


def _own(rule: Mapping[str, Any]) -> dict[str, Any] | None:
    if rule.get("engine") != ENGINE:
        return None
    given = rule["implementation"]
    found: dict[str, Any] = json.loads(given) if isinstance(given, str) else dict(given)
    return found


def _named(rule: Mapping[str, Any]) -> str:
    kind = rule.get("metric") or rule.get("engine") or rule.get("type") or "library"
    return f"{rule.get('name') or rule.get('id') or ''} ({kind})".strip()
