"""Contracts in the Open Data Contract Standard 3.1, out and in.

What the standard has words for is written in them; the rest of ours stands in its `custom` checks and properties under
the engine `workbench`, so that a contract that went out comes in again as it was. Of others' contracts all is taken
that we can hold, and what is left out is told. https://bitol-io.github.io/open-data-contract-standard/
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from data_workbench.errors import SchemaConflict
from data_workbench.quality.standalone.model import StandaloneContract

VERSION: Final = "v3.1.0"
ENGINE: Final = "workbench"
_TYPES: Final = {
    "string": "text",
    "date": "date",
    "timestamp": "timestamp",
    "time": "time",
    "number": "double",
    "integer": "bigint",
    "boolean": "boolean",
}
_TAKEN: Final = ("pattern", "minLength", "maxLength", "minimum", "maximum")
_OURS: Final = {
    "pattern": "pattern",
    "minLength": "min_length",
    "maxLength": "max_length",
    "minimum": "min",
    "maximum": "max",
}
_UNITS: Final = {"s": 1, "second": 1, "m": 60, "minute": 60, "h": 3600, "hour": 3600, "d": 86400, "day": 86400}
_ALONE: Final = ("where", "derive", "severity", "service_level", "profile")
"""Keys of ours that the standard has no words for."""


# ------------------------------------------------------------------------------------------------------------- out


def exported(contract: StandaloneContract) -> dict[str, Any]:
    """A contract as a document of the standard; it is valid by the standard's own schema."""
    given = contract.model_dump(mode="json", exclude_defaults=True, by_alias=True)
    entry: dict[str, Any] = {"name": contract.stream, "physicalName": contract.stream, "logicalType": "object"}
    entry["properties"] = [_property(name, one) for name, one in given.get("columns", {}).items()]
    entry["quality"] = list(_table_quality(given))
    document: dict[str, Any] = {
        "apiVersion": VERSION,
        "kind": "DataContract",
        "id": contract.contract,
        "name": contract.contract,
        "version": "1.0.0",
        "status": "active",
        "servers": [{"server": contract.connection, "type": "custom"}],
        "schema": [{name: value for name, value in entry.items() if value != []}],
    }
    if contract.description:
        document["description"] = {"purpose": contract.description}
    if contract.owner:
        document["team"] = {"name": contract.owner}
    if contract.freshness is not None:
        seconds = contract.freshness.within.total_seconds()
        element = f"{contract.stream}.{contract.freshness.column}"
        document["slaProperties"] = [{"property": "latency", "value": seconds, "unit": "s", "element": element}]
    own = {name: given[name] for name in _ALONE if name in given}
    if contract.service_level is not None:
        seconds = contract.service_level.over.total_seconds()
        own["service_level"] = {"passed": contract.service_level.passed, "over": f"{seconds:.0f}s"}
    if own:
        document["customProperties"] = [{"property": ENGINE, "value": json.dumps(own, sort_keys=True)}]
    validate(document)
    return document


def _property(name: str, promise: Mapping[str, Any]) -> dict[str, Any]:
    """A column. Limits need a type to stand at; a type of ours that is none of the standard's is its physical one."""
    found: dict[str, Any] = {"name": name}
    found |= {key: promise[key] for key in ("required", "unique", "classification", "description") if key in promise}
    options = {theirs: promise[ours] for theirs, ours in _OURS.items() if ours in promise}
    if "type" in promise:
        found["physicalType"] = promise["type"]
    if options:
        found["logicalType"] = _logical(options)
        found["logicalTypeOptions"] = options
    quality: list[dict[str, Any]] = []
    if "values" in promise:
        listed = {"validValues": promise["values"]}
        quality.append({"type": "library", "metric": "invalidValues", "arguments": listed, "mustBe": 0})
    if "references" in promise:
        implementation = json.dumps({"references": promise["references"]}, sort_keys=True)
        quality.append({"type": "custom", "engine": ENGINE, "implementation": implementation})
    return found | ({"quality": quality} if quality else {})


def _logical(options: Mapping[str, Any]) -> str:
    limits = [options[name] for name in ("minimum", "maximum") if name in options]
    if not limits:
        return "string"
    return "timestamp" if any(isinstance(one, str) for one in limits) else "number"


def _table_quality(given: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for group in given.get("unique", []):
        properties = {"properties": group}
        yield {"type": "library", "metric": "duplicateValues", "arguments": properties, "mustBe": 0}
    if rows := given.get("rows"):
        low, high = rows.get("min"), rows.get("max")
        if low is not None and high is not None and low != high:
            yield {"type": "library", "metric": "rowCount", "mustBeBetween": [low, high]}
        elif low == high:
            yield {"type": "library", "metric": "rowCount", "mustBe": low}
        else:
            operator = "mustBeGreaterOrEqualTo" if low is not None else "mustBeLessOrEqualTo"
            yield {"type": "library", "metric": "rowCount", operator: low if low is not None else high}
    for check in given.get("checks", []):
        yield {"type": "custom", "engine": ENGINE, "implementation": json.dumps(check, sort_keys=True)}


def validate(document: Any) -> None:
    """Hold a document against the standard's JSON Schema.

    Raises:
        SchemaConflict: it is not valid; the message names the place.
    """
    from importlib.resources import files

    from jsonschema import Draft201909Validator
    from jsonschema.exceptions import best_match

    schema = json.loads((files("open_data_contract_standard") / "schema.json").read_text(encoding="utf-8"))
    error = best_match(Draft201909Validator(schema).iter_errors(document))
    if error is not None:
        place = ".".join(map(str, error.absolute_path)) or "the top"
        raise SchemaConflict(
            f"no contract of the Open Data Contract Standard 3.1: at {place}: {error.message[:300]}",
            hint="see its JSON Schema, or what the tool that wrote it says",
        )


# -------------------------------------------------------------------------------------------------------------- in


@dataclass
class Imported:
    """A contract for each object of the document, as a file would have it, and what could not be taken."""

    contracts: list[dict[str, Any]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


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
        found.contracts.append(_checked(contract))
    return found


def _checked(contract: Mapping[str, Any]) -> dict[str, Any]:
    """The contract as a file would have it: without defaults, durations as people write them."""
    from pydantic import ValidationError

    try:
        model = StandaloneContract.model_validate(contract)
    except ValidationError as error:
        [first, *_] = error.errors(include_url=False)
        place = ".".join(map(str, first["loc"]))
        raise SchemaConflict(
            f"the contract of {contract['stream']!r} cannot be ours: at {place}: {first['msg']}",
            hint="take what is wrong out of the document",
        ) from None
    durations = {name: contract[name] for name in ("freshness", "service_level") if name in contract}
    return {"version": 1, **model.model_dump(mode="json", exclude_defaults=True, by_alias=True), **durations}


class _Reading:
    """One object of a document."""

    def __init__(self, document: Mapping[str, Any], entry: Mapping[str, Any], left_out: list[str]) -> None:
        self._document, self._entry, self._left_out = document, entry, left_out
        self._name = str(entry.get("physicalName") or entry["name"])
        self._made: dict[str, Any] = {}

    def read(self, connection: str, is_one_of_many: bool) -> dict[str, Any]:
        title = str(self._document.get("name") or self._document["id"])
        title = f"{title}_{self._entry['name']}" if is_one_of_many else title
        made = self._made
        made |= {"version": 1, "contract": _as_name(title), "connection": connection, "stream": self._name}
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
        found |= {_OURS[name]: options.pop(name) for name in _TAKEN if name in options}
        if options.pop("format", None) == "uuid":
            found["type"] = "uuid"
        self._left(f"{one['name']}.logicalTypeOptions", options)
        for rule in one.get("quality") or []:
            self._column_rule(str(one["name"]), found, rule)
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
                else:
                    self._left_out.append(f"{self._name}.{name}: quality {_named(rule)}")

    def _table_rule(self, rule: Mapping[str, Any]) -> None:
        arguments = rule.get("arguments") or {}
        if rule.get("metric") == "duplicateValues" and rule.get("mustBe") == 0 and arguments.get("properties"):
            self._made.setdefault("unique", []).append(arguments["properties"])
        elif rule.get("metric") == "rowCount" and (rows := _rows(rule)):
            self._made["rows"] = rows
        elif own := _own(rule):
            self._made.setdefault("checks", []).append(own)
        else:
            self._left_out.append(f"{self._name}: quality {_named(rule)}")

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


def _as_name(text: str) -> str:
    name = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:60]
    return name if name[:1].isalpha() else f"of_{name}"
