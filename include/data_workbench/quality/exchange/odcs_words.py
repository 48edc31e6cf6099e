"""A document of the Open Data Contract Standard as we read it: what does not matter is told, older words are today's.

Tools write documents that the standard's own schema refuses at places that say nothing of the data (a server without
its account, a key of theirs). Such a place is left out; a mistake in what we read refuses the document.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

from data_workbench.errors import SchemaConflict

_READ: Final = frozenset({"apiVersion", "kind", "id", "name", "schema", "slaProperties", "customProperties"})
_UNKNOWN_KEY: Final = frozenset({"unevaluatedProperties", "additionalProperties"})
_RULES: Final = {
    "duplicateCount": "duplicateValues",
    "uniqueCheck": "duplicateValues",
    "nullCheck": "nullValues",
    "nullCount": "nullValues",
    "validValues": "invalidValues",
    "countCheck": "rowCount",
    **{name: name for name in ("nullValues", "missingValues", "invalidValues", "duplicateValues", "rowCount")},
}
"""Rules of versions 3.0, which call a metric a rule."""


def validate(document: Any) -> None:
    """Hold a document against the standard's JSON Schema.

    Raises:
        SchemaConflict: it is not valid; the message names the place.
    """
    _refuse(_validator().iter_errors(document))


def read(document: Any) -> tuple[dict[str, Any], list[str]]:
    """The document in words of version 3.1, and what of it is not valid but does not matter to us.

    Raises:
        SchemaConflict: what we read of it is not valid; the message names the place.
    """
    if not isinstance(document, Mapping):
        validate(document)
    found = copy.deepcopy(dict(document))
    unknown: list[str] = []
    for rules in _rules(found):
        for rule in rules:
            _modernize(rule)
        unknown += [f"quality: there is no rule {rule['rule']!r}" for rule in rules if _is_older(rule)]
        rules[:] = [rule for rule in rules if not _is_older(rule)]
    errors = list(_validator().iter_errors(found))
    _refuse(error for error in errors if not _is_harmless(error))
    # Of an unknown key the schema says so twice where it names it in two ways.
    said = (_said(error, 200).replace("Unevaluated properties", "Additional properties") for error in errors)
    return found, [*dict.fromkeys((*unknown, *said))]


def _is_harmless(error: Any) -> bool:
    section = next(iter(error.absolute_path), None)
    return error.validator in _UNKNOWN_KEY if section is None or section in _READ else True


def _refuse(errors: Any) -> None:
    found = list(errors)
    if found:
        raise SchemaConflict(
            f"no contract of the Open Data Contract Standard 3.1: at {_said(found, 300)}",
            hint="see its JSON Schema, or what the tool that wrote it says",
        )


def _said(errors: Any, most: int) -> str:
    """The place and the message of the error that says most."""
    from jsonschema.exceptions import best_match

    error = best_match(errors if isinstance(errors, list) else [errors])
    place = ".".join(map(str, error.absolute_path)) or "the top"
    return f"{place}: {error.message[:most]}"


@cache
def _validator() -> Any:
    from importlib.resources import files

    from jsonschema import Draft201909Validator

    text = (files("open_data_contract_standard") / "schema.json").read_text(encoding="utf-8")
    return Draft201909Validator(json.loads(text))


def _rules(document: Mapping[str, Any]) -> Iterator[list[Any]]:
    """The quality rules of objects and their properties, as far as they are such."""
    objects = document.get("schema")
    for entry in objects if isinstance(objects, list) else ():
        properties = entry.get("properties") if isinstance(entry, dict) else None
        for holder in (entry, *(properties if isinstance(properties, list) else ())):
            rules = holder.get("quality") if isinstance(holder, dict) else None
            if isinstance(rules, list):
                yield rules


def _is_older(rule: Any) -> bool:
    return isinstance(rule, dict) and "rule" in rule and "metric" not in rule


def _modernize(rule: Any) -> None:
    metric = _RULES.get(str(rule["rule"])) if _is_older(rule) else None
    if metric is None:
        return
    del rule["rule"]
    rule["metric"] = metric
    if "validValues" in rule:
        rule["arguments"] = {"validValues": rule.pop("validValues")}
    if metric != "rowCount" and not any(name.startswith("must") for name in rule):
        rule["mustBe"] = 0
