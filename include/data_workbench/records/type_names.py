"""The type names a pipeline file may use, and the DuckDB type each one means.

`text, integer, bigint, number, decimal(10,2), boolean, date, time, timestamp, timestamptz, uuid, json, binary` and
DuckDB's own names; `[]` makes a list, `[3]` a fixed array, `struct(name type, …)` and `map(key, value)` nest.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping

NAMES: Mapping[str, str] = {
    "text": "VARCHAR",
    "string": "VARCHAR",
    "varchar": "VARCHAR",
    "char": "VARCHAR",
    "bpchar": "VARCHAR",
    "boolean": "BOOLEAN",
    "bool": "BOOLEAN",
    "tinyint": "TINYINT",
    "int1": "TINYINT",
    "smallint": "SMALLINT",
    "int2": "SMALLINT",
    "short": "SMALLINT",
    "integer": "INTEGER",
    "int": "INTEGER",
    "int4": "INTEGER",
    "bigint": "BIGINT",
    "int8": "BIGINT",
    "long": "BIGINT",
    "hugeint": "HUGEINT",
    "int128": "HUGEINT",
    "utinyint": "UTINYINT",
    "usmallint": "USMALLINT",
    "uinteger": "UINTEGER",
    "ubigint": "UBIGINT",
    "uhugeint": "UHUGEINT",
    "number": "DOUBLE",
    "double": "DOUBLE",
    "float8": "DOUBLE",
    "real": "FLOAT",
    "float": "FLOAT",
    "float4": "FLOAT",
    "decimal": "DECIMAL",
    "numeric": "DECIMAL",
    "date": "DATE",
    "time": "TIME",
    "timestamp": "TIMESTAMP",
    "datetime": "TIMESTAMP",
    "timestamp_s": "TIMESTAMP_S",
    "timestamp_ms": "TIMESTAMP_MS",
    "timestamp_ns": "TIMESTAMP_NS",
    "timestamptz": "TIMESTAMPTZ",
    "timestamp with time zone": "TIMESTAMPTZ",
    "interval": "INTERVAL",
    "uuid": "UUID",
    "json": "JSON",
    "binary": "BLOB",
    "blob": "BLOB",
    "bytea": "BLOB",
    "varbinary": "BLOB",
    "bit": "BIT",
    "bitstring": "BIT",
}

_MOST_DIGITS = 38  # DuckDB's widest decimal
_DEEPEST = 8
_WORD = re.compile(r"[a-z_][a-z0-9_ ]*")
_FIELD = re.compile(r'\s*("(?:[^"]|"")+"|[A-Za-z_]\w*)\s+(.+)', re.DOTALL)


def canonical_type(name: str) -> str:
    """The DuckDB type a type name means: `text[]` gives `VARCHAR[]`.

    Raises:
        ValueError: it is no type name; the message says which names are near, or what is missing.
    """
    return _parse(name.strip(), name, 0)


def _parse(text: str, whole: str, depth: int) -> str:
    if depth > _DEEPEST:
        raise ValueError(f"type {_short(whole)} is nested more than {_DEEPEST} deep")
    if match := re.fullmatch(r"(.+?)\s*\[(\d*)\]", text, re.DOTALL):
        return f"{_parse(match[1], whole, depth + 1)}[{match[2]}]"
    word, arguments = _split_call(text, whole)
    if word == "struct":
        return f"STRUCT({', '.join(_field(one, whole, depth) for one in arguments)})"
    if word == "map":
        if len(arguments) != 2:
            raise ValueError(f"type {_short(whole)}: map takes two types, as in map(text, integer)")
        return f"MAP({', '.join(_parse(one, whole, depth + 1) for one in arguments)})"
    base = NAMES.get(word)
    if base is None:
        raise ValueError(_unknown(word, whole))
    return _with_arguments(base, arguments, whole)


def _split_call(text: str, whole: str) -> tuple[str, list[str]]:
    head, opened, rest = text.partition("(")
    word = " ".join(head.lower().split())
    if not _WORD.fullmatch(word):
        raise ValueError(_unknown(word, whole))
    if not opened:
        return word, []
    if not rest.endswith(")"):
        raise ValueError(f"type {_short(whole)}: a bracket is not closed")
    return word, _split_commas(rest[:-1], whole)


def _split_commas(text: str, whole: str) -> list[str]:
    parts, level, begin = [], 0, 0
    for position, letter in enumerate(text):
        level += (letter == "(") - (letter == ")")
        if level < 0:
            raise ValueError(f"type {_short(whole)}: brackets do not match")
        if letter == "," and level == 0:
            parts.append(text[begin:position].strip())
            begin = position + 1
    return [*parts, text[begin:].strip()]


def _field(text: str, whole: str, depth: int) -> str:
    match = _FIELD.fullmatch(text)
    if not match:
        raise ValueError(f"type {_short(whole)}: a struct's field is written as name and type, here {text!r}")
    name = match[1][1:-1].replace('""', '"') if match[1].startswith('"') else match[1]
    quoted = name.replace('"', '""')
    return f'"{quoted}" {_parse(match[2].strip(), whole, depth + 1)}'


def _with_arguments(base: str, arguments: list[str], whole: str) -> str:
    if base == "DECIMAL":
        return _decimal(arguments, whole)
    if arguments and base != "VARCHAR":
        raise ValueError(f"type {_short(whole)}: {base.lower()} takes nothing in brackets")
    if arguments and not (len(arguments) == 1 and arguments[0].isdigit()):
        raise ValueError(f"type {_short(whole)}: a length is one whole number, as in varchar(20)")
    return base  # DuckDB keeps no length; a contract's max_length does


def _decimal(arguments: list[str], whole: str) -> str:
    if not arguments:
        raise ValueError(f"type {_short(whole)} needs digits and decimal places, as in decimal(18,4)")
    if len(arguments) > 2 or not all(one.isdigit() for one in arguments):
        raise ValueError(f"type {_short(whole)}: write decimal(digits, places), as in decimal(18,4)")
    digits, places = int(arguments[0]), int(arguments[1]) if len(arguments) == 2 else 0
    if not 1 <= digits <= _MOST_DIGITS or places > digits:
        raise ValueError(f"type {_short(whole)}: 1 to {_MOST_DIGITS} digits, and no more places than digits")
    return f"DECIMAL({digits},{places})"


def _unknown(word: str, whole: str) -> str:
    near = difflib.get_close_matches(word, [*NAMES, "struct", "map"], n=2)
    tail = f"; did you mean {' or '.join(near)}?" if near else "; known are for example text, integer, number, date"
    return f"unknown type {_short(whole)}{tail}"


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "…")
