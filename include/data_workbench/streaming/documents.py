"""Messages as rows: what the broker says of each, and the fields of its JSON, objects within it by dots."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

MARK: Final = "_kafka_"
"""Begins the names of what the broker says."""
_DEPTH: Final = 4
"""Objects within objects that become columns; what is deeper is JSON text."""
_FIELDS: Final = 300
"""Columns at most: an object whose keys are values would make one of each."""
_WHOLE: Final = 2**63


@dataclass(frozen=True)
class Seen:
    """One message; `time` in milliseconds since 1970, None where the broker tells none."""

    partition: int
    offset: int
    time: int | None
    key: bytes | None
    value: bytes | None


def rows_of_messages(messages: Sequence[Seen]) -> pa.Table:
    """A row for each message. `_kafka_format` says what its value is: json, text, bytes, or null for a tombstone."""
    read = [_read(one.value) for one in messages]
    columns: dict[str, pa.Array] = {
        f"{MARK}partition": pa.array([one.partition for one in messages], pa.int32()),
        f"{MARK}offset": pa.array([one.offset for one in messages], pa.int64()),
        f"{MARK}time": pa.array([one.time for one in messages], pa.timestamp("ms", tz="UTC")),
        f"{MARK}key": pa.array([_text(one.key) for one in messages], pa.string()),
        f"{MARK}bytes": pa.array([None if one.value is None else len(one.value) for one in messages], pa.int64()),
        f"{MARK}format": pa.array([told for told, _ in read], pa.string()),
    }
    fields: dict[str, None] = {}
    for _, document in read:
        fields |= dict.fromkeys(document)
    for name in [one for one in fields if one not in columns][:_FIELDS]:
        columns[name] = _column([document.get(name) for _, document in read])
    return pa.table(columns)


def _read(value: bytes | None) -> tuple[str, dict[str, Any]]:
    """What a value is, and its fields; of JSON that is no object the one field is `value`."""
    if value is None:
        return "null", {}
    try:
        document = json.loads(value)
    except (ValueError, RecursionError):
        return ("bytes" if _text(value) != value.decode("utf-8", "replace") else "text"), {}
    found: dict[str, Any] = {}
    _flatten(document if isinstance(document, dict) else {"value": document}, "", found, _DEPTH)
    return "json", found


def _flatten(document: Mapping[str, Any], before: str, found: dict[str, Any], depth: int) -> None:
    for name, value in document.items():
        if isinstance(value, dict) and value and depth > 1:
            _flatten(value, f"{before}{name}.", found, depth - 1)
        else:
            found[f"{before}{name}"] = value


def _column(values: list[Any]) -> pa.Array:
    """Values in the narrowest type that holds all of them: of several types, as JSON text."""
    kinds = {type(one) for one in values if one is not None}
    for wanted, made in _TYPES:
        if kinds <= wanted and (made is not _integers or all(one is None or abs(one) < _WHOLE for one in values)):
            return made(values)
    return _texts(values)


def _integers(values: list[Any]) -> pa.Array:
    return pa.array(values, pa.int64())


def _floats(values: list[Any]) -> pa.Array:
    return pa.array([None if one is None else float(one) for one in values], pa.float64())


def _numbers(values: list[Any]) -> pa.Array:
    """Whole ones among others; one that a double cannot hold makes all of them text."""
    return _floats(values) if all(one is None or float(one) == one for one in values) else _texts(values)


def _texts(values: list[Any]) -> pa.Array:
    return pa.array([one if one is None or isinstance(one, str) else _json(one) for one in values], pa.string())


_TYPES: Final[Sequence[tuple[frozenset[type], Callable[[list[Any]], pa.Array]]]] = (
    (frozenset({str}), _texts),
    (frozenset({bool}), lambda values: pa.array(values, pa.bool_())),
    (frozenset({int}), _integers),
    (frozenset({float}), _floats),
    (frozenset({int, float}), _numbers),
)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _text(value: bytes | None) -> str | None:
    """UTF-8 as it is, anything else in hexadecimal digits."""
    if value is None:
        return None
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.hex()
