"""A pipeline's params in a request: `$name` stands for one whole value, bound with its type, never pasted.

`$$` at the beginning means a dollar sign. A param without a value leaves its key out of the request.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

_REFERENCE = re.compile(r"\$([a-z][a-z0-9_]{0,62})")

ABSENT = object()
"""Stands where a param has no value."""


def referred(value: Any) -> str | None:
    """The param a value refers to, if it is a reference."""
    found = _REFERENCE.fullmatch(value) if isinstance(value, str) else None
    return found[1] if found else None


def references(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Every param that a nested value refers to, with the place below it."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from references(inner, (*path, str(key)))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from references(inner, (*path, index))
    elif name := referred(value):
        yield path, name


def bound(value: Any, params: Mapping[str, Any]) -> Any:
    """A nested value with its references replaced; ABSENT if it is a reference to a param without a value."""
    if isinstance(value, Mapping):
        pairs = ((key, bound(inner, params)) for key, inner in value.items())
        return {key: inner for key, inner in pairs if inner is not ABSENT}
    if isinstance(value, list):
        return [inner for one in value if (inner := bound(one, params)) is not ABSENT]
    if name := referred(value):
        found = params.get(name)
        return ABSENT if found is None else found
    return value[1:] if isinstance(value, str) and value.startswith("$$") else value


def query_pairs(values: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Bound values as a query's pairs; a list gives one pair for each element."""
    pairs: list[tuple[str, str]] = []
    for name, value in values.items():
        if value is None:
            continue
        pairs += [(name, as_text(one)) for one in (value if isinstance(value, list | tuple) else [value])]
    return tuple(pairs)


def as_text(value: Any) -> str:
    """One value as it stands in a URL."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return moment_text(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def as_json(value: Any) -> Any:
    """Bound values as a JSON body holds them."""
    if isinstance(value, Mapping):
        return {str(key): as_json(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(inner) for inner in value]
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return as_text(value) if isinstance(value, date) else value


def moment_text(moment: datetime) -> str:
    """ISO 8601 in UTC, with microseconds only where there are some."""
    at = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    return at.isoformat().replace("+00:00", "Z")
