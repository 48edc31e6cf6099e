"""Values given when a run is triggered: checked against the pipeline's params, typed, never pasted anywhere."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from data_workbench.connectors.connections import is_secret_name
from data_workbench.errors import UsageError
from data_workbench.language.spec import Param

MAX_TEXT = 10_000
_BOOLEANS = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}

SQL_TYPES: Mapping[str, str] = {
    "text": "VARCHAR",
    "integer": "BIGINT",
    "number": "DOUBLE",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamp": "TIMESTAMP WITH TIME ZONE",
    "uuid": "VARCHAR",
}
"""DuckDB's type of each param type; a UUID is its canonical lower-case text, as columns of that type are."""


def read_params(declared: Mapping[str, Param], given: Mapping[str, Any]) -> dict[str, Any]:
    """All declared params with their typed values; None where none was given.

    Args:
        given: from `--param`, a DAG run's conf or a form; text or JSON scalars.

    Raises:
        UsageError: unknown name, missing required value, wrong type, value not allowed.
    """
    unknown = sorted(set(given) - set(declared))
    if unknown:
        known = ", ".join(sorted(declared)) or "none"
        raise UsageError(f"unknown param {unknown[0]!r}", hint=f"this pipeline's params: {known}")
    values: dict[str, Any] = {}
    for name, param in declared.items():
        raw = given.get(name)
        if raw is None:
            raw = param.default
        if raw is None:
            if param.required:
                raise UsageError(f"param {name!r} ({param.type}) is required", hint=f"give --param {name}=…")
            values[name] = None
            continue
        value = _typed(name, param.type, raw)
        if param.values is not None and value not in param.values:
            raise UsageError(f"param {name!r} is {raw!r}", hint=f"allowed: {', '.join(map(str, param.values))}")
        values[name] = value
    return values


def _typed(name: str, kind: str, raw: Any) -> Any:
    wanted = {"timestamp": "an ISO 8601 date and time", "date": "an ISO 8601 date", "uuid": "a UUID"}.get(kind, kind)
    if isinstance(raw, str) and len(raw) > MAX_TEXT:
        raise UsageError(f"param {name!r} has {len(raw)} characters", hint=f"at most {MAX_TEXT} are taken")
    if not isinstance(raw, str | int | float | bool):
        raise UsageError(f"param {name!r} is a {type(raw).__name__}", hint=f"give {wanted}")
    try:
        return _convert(kind, raw)
    except (ValueError, OverflowError, KeyError):
        raise UsageError(f"param {name!r} is {str(raw)[:100]!r}, not {wanted}", hint=f"give {wanted}") from None


def _convert(kind: str, raw: str | int | float | bool) -> Any:
    match kind:
        case "text":
            text = str(raw)
            if "\x00" in text:
                raise ValueError("NUL")
            return text
        case "integer":
            if isinstance(raw, bool) or (isinstance(raw, float) and not raw.is_integer()):
                raise ValueError(raw)
            number = int(raw)
            if not -(2**63) <= number < 2**63:
                raise OverflowError(raw)
            return number
        case "number":
            if isinstance(raw, bool):
                raise ValueError(raw)
            return float(raw)
        case "boolean":
            return raw if isinstance(raw, bool) else _BOOLEANS[str(raw).lower()]
        case "date":
            return date.fromisoformat(str(raw))
        case "timestamp":
            moment = datetime.fromisoformat(str(raw))
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        case _:
            return str(uuid.UUID(str(raw)))


def secret_params(declared: Mapping[str, Param]) -> list[str]:
    """Params declared secret, or named as secrets are: their values are kept out of the audit trail."""
    return [name for name, param in declared.items() if param.secret or is_secret_name(name)]


def to_json(values: Mapping[str, Any]) -> dict[str, Any]:
    """Typed values as JSON; `read_params` reads them again."""
    return {name: value.isoformat() if isinstance(value, date) else value for name, value in values.items()}


def restore(types: Mapping[str, str], values: Mapping[str, Any]) -> dict[str, Any]:
    """Typed values from what `to_json` wrote, for params of these types."""
    return {name: None if values.get(name) is None else _convert(kind, values[name]) for name, kind in types.items()}
