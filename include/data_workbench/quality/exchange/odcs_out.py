"""A contract as a document of the Open Data Contract Standard 3.1.

What the standard has words for is written in them; the rest of ours stands in its `custom` checks and properties under
the engine `workbench`, so that a contract that went out comes in again as it was.
https://bitol-io.github.io/open-data-contract-standard/
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from data_workbench.quality.exchange.odcs_words import validate
from data_workbench.quality.standalone.model import StandaloneContract

VERSION: Final = "v3.1.0"
ENGINE: Final = "workbench"
OPTIONS: Final = {
    "pattern": "pattern",
    "minLength": "min_length",
    "maxLength": "max_length",
    "minimum": "min",
    "maximum": "max",
}
"""Options of a logical type, and what they are in ours."""
_ALONE: Final = ("options", "where", "derive", "severity", "service_level", "profile", "soda")
"""Keys of ours that the standard has no words for."""


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
    options = {theirs: promise[ours] for theirs, ours in OPTIONS.items() if ours in promise}
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
