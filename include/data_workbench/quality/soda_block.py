"""Checks in Soda's own words, as a contract of a dataset may hold them: every kind that Soda's language has.

They are held against Soda's own JSON Schema when the file is read, and run by Soda itself (`soda.verify_block`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from pydantic import Field, model_validator

from data_workbench.records.definitions import Expression, Mistake, Model
from data_workbench.records.names import literal, quoted

_SCHEMA: Final = "contracts/soda_data_contract_json_schema_1_0_0.json"
_ELSEWHERE: Final = "valid_reference_data"
_EXPRESSION: Final = "column_expression"
_STORED: Final = "store_failed_rows"
_LENGTHS: Final = {"avg_length": "avgLength", "min_length": "minLength", "max_length": "maxLength"}
KINDS: Final = (
    "missing",
    "invalid",
    "duplicate",
    "aggregate",
    "metric",
    "failed_rows",
    "row_count",
    "freshness",
    "schema",
)


class SodaBlock(Model):
    """Checks as Soda writes them."""

    filter: Expression | None = Field(None, description="Only rows for which this SQL holds")
    columns: list[dict[str, Any]] = Field(
        default_factory=list, description="Soda's `columns`: each with `name`, perhaps `data_type`, and its `checks`"
    )
    checks: list[dict[str, Any]] = Field(
        default_factory=list, description="Soda's `checks` of the dataset: `schema`, `row_count`, `failed_rows`, …"
    )

    @model_validator(mode="after")
    def _is_sodas(self) -> SodaBlock:
        for place, check in self._placed():
            _refuse(place, check)
        problem = next(iter(_validator().iter_errors(_as_schema_knows(self.document("a/b/c")))), None)
        if problem is not None:
            said = [part for part in problem.absolute_path if not isinstance(part, int)]
            at = ".".join(map(str, problem.absolute_path)) if said else ""
            # Of a check that fits none of the kinds the schema says so of each; the nearest says what is wrong.
            nearest = _nearest(problem)
            raise Mistake(f"Soda does not take this: {nearest[:300]}", at=at, hint="see Soda's contract language")
        return self

    def document(self, dataset: str) -> dict[str, Any]:
        """The contract for Soda, with a number at each check that leads back to it."""
        number = iter(range(10**9))
        columns = [
            {**one, "checks": [_numbered(check, next(number)) for check in one["checks"]]} if one.get("checks") else one
            for one in self.columns
        ]
        checks = [_numbered(check, next(number)) for check in self.checks]
        # Soda wants a column at least, and no empty list of checks.
        found: dict[str, Any] = {"dataset": dataset, "columns": columns or [{"name": "present"}]}
        return found | ({"checks": checks} if checks else {}) | ({"filter": self.filter} if self.filter else {})

    def titles(self) -> list[tuple[str, str]]:
        """Name and kind of each check, in the order of `document`'s numbers."""
        found: list[tuple[str, str]] = []
        for column, check in self._checks():
            kind, settings = _kind(check)
            title = str((settings or {}).get("name") or f"soda {kind} {column}".strip())
            again = sum(name == title or name.startswith(f"{title} (") for name, _ in found)
            found.append((f"{title} ({again + 1})" if again else title, kind))
        return found

    def broken_rows(self, number: int, given: str) -> str | None:
        """A query for the rows that break a check; None where there are none, or only Soda knows."""
        column, check = list(self._checks())[number]
        kind, settings = _kind(check)
        settings = {**next((one for one in self.columns if column and one["name"] == column), {}), **(settings or {})}
        value = settings.get(_EXPRESSION)
        condition = _condition(kind, f"({value})" if value else quoted(column) if column else "", settings)
        if condition is None:
            return None
        parts = [f"({one})" for one in (self.filter, settings.get("filter"), condition) if one]
        return f"SELECT * FROM {given} g WHERE {' AND '.join(parts)}"

    def speaks_of(self, number: int, columns: Collection[str]) -> bool:
        """Whether a check is about one of these columns, be it in an expression."""
        column, check = list(self._checks())[number]
        text = json.dumps(check, default=str)
        return column in columns or any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) for name in columns)

    def _checks(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for one in self.columns:
            for check in one.get("checks") or []:
                yield str(one["name"]), check
        for check in self.checks:
            yield "", check

    def _placed(self) -> Iterator[tuple[str, object]]:
        yield from ((f"columns.{position}", one) for position, one in enumerate(self.columns))
        yield from ((f"checks.{position}", one) for position, one in enumerate(self.checks))


def _refuse(place: str, check: object) -> None:
    """What would lead out of the rows: variables, be it of the environment, and other datasets."""
    text = json.dumps(check, default=str)
    if "${" in text:
        raise Mistake("`${…}` would be filled in by Soda, be it from the environment", at=place, hint="write the value")
    if f'"{_ELSEWHERE}"' in text:
        hint = "promise `references`, which reaches every store"
        raise Mistake(f"{_ELSEWHERE} needs rows of another dataset", at=place, hint=hint)


def _as_schema_knows(document: dict[str, Any]) -> dict[str, Any]:
    """The document without what Soda reads, too, though its own schema does not know it."""

    def known(check: Mapping[str, Any]) -> dict[str, Any]:
        kind, settings = _kind(check)
        plain = {name: value for name, value in (settings or {}).items() if name not in (_EXPRESSION, _STORED)}
        if kind == "aggregate" and plain.get("function") in _LENGTHS:
            plain["function"] = _LENGTHS[plain["function"]]
        return {**check, kind: plain if isinstance(settings, Mapping) else settings}

    columns = [
        {name: value for name, value in one.items() if name != _EXPRESSION}
        | ({"checks": [known(check) for check in one["checks"]]} if one.get("checks") else {})
        for one in document["columns"]
    ]
    checks = {"checks": [known(check) for check in document["checks"]]} if "checks" in document else {}
    return document | {"columns": columns} | checks


def _nearest(problem: Any) -> str:
    while problem.context:
        problem = min(problem.context, key=lambda one: (-len(one.absolute_path), len(one.message)))
    return str(problem.message)


def _kind(check: Mapping[str, Any]) -> tuple[str, dict[str, Any] | None]:
    found = next((name for name in check if name in KINDS), next(iter(check)))
    return found, check[found]


def _numbered(check: Mapping[str, Any], number: int) -> dict[str, Any]:
    kind, settings = _kind(check)
    plain = {name: value for name, value in (settings or {}).items() if name != "name"}
    return {**check, kind: {**plain, "qualifier": str(number)}}


def _condition(kind: str, column: str, settings: Mapping[str, Any]) -> str | None:
    match kind:
        case "missing":
            listed = settings.get("missing_values")
            also = f" OR {column} IN ({_listed(listed)})" if listed else ""
            return f"{column} IS NULL{also}"
        case "duplicate" if column:
            return f"{column} IN (SELECT {column} FROM given GROUP BY 1 HAVING count(*) > 1)"
        case "failed_rows" if "expression" in settings:
            return str(settings["expression"])
        case "invalid":
            return _invalid(column, settings)
    return None


def _invalid(column: str, settings: Mapping[str, Any]) -> str | None:
    length = f"length({column})"
    wrong = {
        "valid_values": lambda value: f"{column} NOT IN ({_listed(value)})",
        "invalid_values": lambda value: f"{column} IN ({_listed(value)})",
        "valid_min": lambda value: f"{column} < {_one(value)}",
        "valid_max": lambda value: f"{column} > {_one(value)}",
        "valid_length": lambda value: f"{length} <> {_one(value)}",
        "valid_min_length": lambda value: f"{length} < {_one(value)}",
        "valid_max_length": lambda value: f"{length} > {_one(value)}",
        "valid_format": lambda value: f"NOT regexp_matches({column}, {literal(value['regex'])})",
        "invalid_format": lambda value: f"regexp_matches({column}, {literal(value['regex'])})",
    }
    found = [wrong[name](value) for name, value in settings.items() if name in wrong]
    return f"{column} IS NOT NULL AND ({' OR '.join(found)})" if found else None


def _listed(values: list[Any]) -> str:
    return ", ".join(map(_one, values))


def _one(value: Any) -> str:
    return literal(value) if isinstance(value, str) else repr(value)


@cache
def _validator() -> Any:
    from importlib.util import find_spec

    from jsonschema import Draft202012Validator

    found = find_spec("soda_core")  # without importing it
    assert found is not None, "soda-core is installed with the workbench"
    text = (Path(str(found.origin)).parent / _SCHEMA).read_text(encoding="utf-8")
    return Draft202012Validator(json.loads(text))
