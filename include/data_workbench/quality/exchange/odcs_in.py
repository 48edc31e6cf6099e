"""Contracts of ours from a document of the Open Data Contract Standard 3.1.

All is taken that we can hold, and what is left out is told: columns and exact promises in our words (`odcs_columns`),
other numbers, SQL and Soda's own checks as a block of Soda's (`odcs_rules`).
https://bitol-io.github.io/open-data-contract-standard/
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from data_workbench.errors import SchemaConflict
from data_workbench.quality.exchange import odcs_words
from data_workbench.quality.exchange.odcs_columns import Column, own_check, rule_name
from data_workbench.quality.exchange.odcs_out import ENGINE
from data_workbench.quality.exchange.odcs_rules import is_mild, soda_check
from data_workbench.quality.exchange.taken import LONGEST, Block, Imported, as_name, checked

_UNITS: Final = {"s": 1, "second": 1, "m": 60, "minute": 60, "h": 3600, "hour": 3600, "d": 86400, "day": 86400}


def imported(document: Any, *, connection: str | None = None) -> Imported:
    """Contracts of ours from a document of the standard.

    Args:
        connection: the connection of the datasets; the name of the document's first server if left out.

    Raises:
        SchemaConflict: what we read of it is not valid, or it names no server and no connection is given.
    """
    document, unread = odcs_words.read(document)
    servers = _mappings(document.get("servers"))
    where = connection or (servers[0].get("server") if servers else None)
    if where is None:
        raise SchemaConflict("the contract names no server", hint="say which connection it is: --connection ID")
    found = Imported(left_out=unread)
    objects = document.get("schema") or []
    if not objects:
        found.left_out.append("schema: there is none, so nothing is promised")
    told: set[int] = set()
    names: list[str] = []
    for entry in objects:
        reading = _Reading(document, entry, found.left_out)
        contract = reading.read(str(where), len(objects) > 1)
        told |= reading.levels
        contract["contract"] = _another(contract["contract"], names)
        names.append(contract["contract"])
        found.contracts.append(checked(contract))
    levels = document.get("slaProperties") or []
    found.left_out += [f"slaProperties: {one['property']}" for place, one in enumerate(levels) if place not in told]
    return found


def _another(name: str, taken: list[str]) -> str:
    """The name, or one beside it where an object before has it."""
    return next(one for number in range(1, len(taken) + 2) if (one := _numbered(name, number)) not in taken)


def _numbered(name: str, number: int) -> str:
    suffix = f"_{number}" if number > 1 else ""
    return name[: LONGEST - len(suffix)] + suffix


class _Reading:
    """One object of a document.

    Args:
        levels: the service levels that are promised of it, by their place.
    """

    def __init__(self, document: Mapping[str, Any], entry: Mapping[str, Any], left_out: list[str]) -> None:
        self._document, self._entry, self._left_out = document, entry, left_out
        self._name = _physical(entry)
        self._names = tuple({str(entry["name"]), self._name, self._name.rpartition(".")[2]})
        self._columns = {str(one["name"]): _physical(one) for one in entry.get("properties") or []}
        self._made: dict[str, Any] = {}
        self._block = Block()
        self.levels: set[int] = set()

    def read(self, connection: str, is_one_of_many: bool) -> dict[str, Any]:
        made = self._made
        made |= {"version": 1, "contract": self._title(is_one_of_many), "connection": connection, "stream": self._name}
        whole = self._document.get("description")
        about = self._entry.get("description") or (whole.get("purpose") if isinstance(whole, Mapping) else whole)
        made |= {key: value for key, value in (("description", about), ("owner", self._owner())) if value}
        columns = [self._column(one) for one in self._entry.get("properties") or []]
        if columns:
            made["columns"] = {one.name: one.found for one in columns}
        self._keys()
        for column in (*columns, None):
            self._relationships(column)
        for rule in self._entry.get("quality") or []:
            self._rule(rule)
        self._levels()
        if block := self._block.document():
            made["soda"] = block
        for one in _mappings(self._document.get("customProperties")):
            if one.get("property") == ENGINE:
                made |= json.loads(one["value"])
        return made

    def _title(self, is_one_of_many: bool) -> str:
        given = str(self._document.get("name") or self._document["id"])
        if self._document.get("name") is None and _is_uuid(given):
            return as_name(str(self._entry["name"]))
        return as_name(f"{given}_{self._entry['name']}" if is_one_of_many else given)

    def _owner(self) -> str | None:
        """The team, or who of it is the owner now."""
        team = self._document.get("team")
        if isinstance(team, Mapping) and team.get("name"):
            return str(team["name"])
        members = _mappings(team.get("members") if isinstance(team, Mapping) else team)
        owners = [one for one in members if str(one.get("role", "")).lower() == "owner" and not one.get("dateOut")]
        return str(owners[0].get("username") or owners[0].get("name")) if owners else None

    def _column(self, one: Mapping[str, Any]) -> Column:
        is_ours = any(server.get("type") == "custom" for server in _mappings(self._document.get("servers")))
        column = Column(_physical(one), one, is_ours=is_ours)
        for rule in one.get("quality") or []:
            if not column.take(rule):
                self._other_rule(rule, column.name)
        self._made.setdefault("checks", []).extend(column.checks)
        if not self._made["checks"]:
            del self._made["checks"]
        self._left_out += [f"{self._name}.{one['name']}{said}" for said in column.left_out]
        return column

    def _keys(self) -> None:
        """A key of several columns is unique as a whole."""
        keyed = [one for one in self._entry.get("properties") or [] if one.get("primaryKey")]
        names = [_physical(one) for one in sorted(keyed, key=lambda one: int(one.get("primaryKeyPosition") or 0))]
        if len(names) == 1:
            self._made["columns"][names[0]]["unique"] = True
        elif names:
            self._made.setdefault("unique", []).append(names)

    def _relationships(self, column: Column | None) -> None:
        """Foreign keys, of a column or of several, to objects of the same document."""
        of = column.given if column else self._entry
        for one in of.get("relationships") or []:
            there = [one["to"]] if isinstance(one["to"], str) else list(one["to"])
            here = [column.name] if column else [self._place(place)[1] for place in _listed(one.get("from"))]
            found = [self._place(place) for place in there]
            of_what = f"{self._name}.{column.given['name']}" if column else self._name
            where = f"{of_what}: relationship to {', '.join(there)}"
            streams = {stream for stream, _ in found}
            if None in streams:
                self._left_out.append(f"{where}: the document has no such object")
            elif len(streams) > 1 or len(here) != len(found):
                self._left_out.append(f"{where}: it does not go from columns to as many columns of one object")
            else:
                self._refer(column, here, str(found[0][0]), [name for _, name in found])

    def _refer(self, column: Column | None, here: list[str], stream: str, there: list[str]) -> None:
        other = {"connection": self._made["connection"], "stream": stream}
        if column is not None and "references" not in column.found:
            column.found["references"] = {**other, "column": there[0]}
        else:
            on = dict(zip(here, there, strict=True))
            self._made.setdefault("checks", []).append({"references": {**other, "on": on}})

    def _place(self, given: str) -> tuple[str | None, str]:
        """Stream and column of `object.property`, in physical names; no stream where the document has none such."""
        words = given.strip("/").replace("/properties/", ".").removeprefix("schema/")
        title, _, name = words.rpartition(".")
        for entry in self._document.get("schema") or []:
            if title in (entry["name"], entry.get("id"), _physical(entry)):
                properties = entry.get("properties") or []
                named = (_physical(one) for one in properties if name in (one["name"], one.get("id"), _physical(one)))
                return _physical(entry), next(named, name)
        return None, name

    def _rule(self, rule: Mapping[str, Any]) -> None:
        """A rule of the object."""
        arguments = rule.get("arguments") or {}
        if "properties" in arguments:
            named = [self._columns.get(str(one), str(one)) for one in arguments["properties"]]
            arguments = {**arguments, "properties": named}
            rule = {**rule, "arguments": arguments}
        is_exact = rule.get("mustBe") == 0 and not is_mild(rule)
        if rule.get("metric") == "duplicateValues" and is_exact and arguments.get("properties"):
            self._made.setdefault("unique", []).append(arguments["properties"])
        elif rule.get("metric") == "rowCount" and not is_mild(rule) and "rows" not in self._made and _rows(rule):
            self._made["rows"] = _rows(rule)
        elif own := own_check(rule):
            self._made.setdefault("checks", []).append(own)
        else:
            self._other_rule(rule, None)

    def _other_rule(self, rule: Mapping[str, Any], column: str | None) -> None:
        """A rule in Soda's words, or told."""
        check = soda_check(rule, names=self._names, column=column)
        if reason := self._block.add(check, column):
            place = f"{self._name}.{column}" if column else self._name
            self._left_out.append(f"{place}: quality {rule_name(rule)}: {reason}")

    def _levels(self) -> None:
        for place, one in enumerate(self._document.get("slaProperties") or []):
            unit = re.sub(r"s$", "", str(one.get("unit") or "")) or "s"
            if one["property"] not in ("latency", "freshness") or unit not in _UNITS or not _is_number(one["value"]):
                continue
            for element in re.split(r"\s*,\s*", str(one.get("element") or "")):
                table, _, column = element.rpartition(".")
                if column and table in ("", self._entry["name"], *self._names):
                    seconds = timedelta(seconds=float(one["value"]) * _UNITS[unit]).total_seconds()
                    moment = self._columns.get(column, column)
                    self._made["freshness"] = {"column": moment, "within": f"{seconds:.0f}s"}
                    self.levels.add(place)


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    """What is such of a list that nobody held to the standard."""
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _physical(one: Mapping[str, Any]) -> str:
    return str(one.get("physicalName") or one["name"])


def _listed(value: Any) -> Iterator[str]:
    yield from [value] if isinstance(value, str) else value or []


def _is_uuid(text: str) -> bool:
    try:
        return bool(UUID(text))
    except ValueError:
        return False


def _is_number(value: Any) -> bool:
    try:
        return float(value) >= 0
    except (TypeError, ValueError):
        return False


def _rows(rule: Mapping[str, Any]) -> dict[str, int] | None:
    if "mustBeBetween" in rule:
        return {"min": int(rule["mustBeBetween"][0]), "max": int(rule["mustBeBetween"][1])}
    known = {"mustBeGreaterOrEqualTo": ("min", 0), "mustBeGreaterThan": ("min", 1), "mustBeLessOrEqualTo": ("max", 0)}
    known["mustBeLessThan"] = ("max", -1)
    for operator, (key, more) in known.items():
        if operator in rule:
            return {key: int(rule[operator]) + more}
    return {"min": int(rule["mustBe"]), "max": int(rule["mustBe"])} if "mustBe" in rule else None
