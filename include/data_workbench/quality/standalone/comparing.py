"""When a value here is the value there, though each store gave it a type of its own.

What has one type, or no other measure, is compared as text, so that a UUID meets its text. Numbers are equal whatever
their type and their trailing zeros; moments are equal in any zone, beside a text as ISO 8601 says them; bytes are equal
to their base64, which is how JSON holds them.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Final

from data_workbench.records.names import quoted

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

NUMBER: Final = "NUMBER"
"""A number that travels as text."""
MIXED: Final = "MIXED"
"""Plain values of several types, as texts."""
_WHOLE: Final = frozenset(
    {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT"}
)
_FLOATING: Final = frozenset({"FLOAT", "DOUBLE"})
NUMBERS: Final = _WHOLE | _FLOATING
"""DuckDB's types of numbers that have one size; decimals have many."""


def kinds_of(connection: DuckDBPyConnection, table: str, numbers: Collection[str]) -> dict[str, str]:
    """The type of each column, as DuckDB calls it."""
    found = connection.sql(f"FROM {table} LIMIT 0")
    return {
        name: NUMBER if name in numbers else str(kind) for name, kind in zip(found.columns, found.types, strict=True)
    }


def pair(here: tuple[str, str], there: tuple[str, str], kinds: tuple[str, str]) -> tuple[str, str]:
    """Two expressions that are equal where the values are.

    Args:
        here, there: the relation's alias and the column.
        kinds: of both, as `kinds_of` says them.
    """
    one, two = (f"{table}.{quoted(column)}" for table, column in (here, there))
    if MIXED in kinds and any(map(_is_number, kinds)):
        as_plain = _double_or_text if _FLOATING & set(kinds) else _exact_or_text
        return as_plain(one), as_plain(two)
    kinds = (_known(kinds[0]), _known(kinds[1]))
    if all(map(_is_number, kinds)) and not set(kinds) <= _WHOLE and (kinds[0] != kinds[1] or NUMBER in kinds):
        as_number = _double if _FLOATING & set(kinds) else _exact
        return as_number(one), as_number(two)
    if kinds[0] != kinds[1] and any(map(_is_moment, kinds)) and all(_is_moment(k) or k == "VARCHAR" for k in kinds):
        return _moment(one, kinds[0]), _moment(two, kinds[1])
    if set(kinds) == {"BLOB", "VARCHAR"}:
        return _base64(one, kinds[0]), _base64(two, kinds[1])
    return _text(one), _text(two)


def _known(kind: str) -> str:
    return "VARCHAR" if kind == MIXED else kind


def _is_number(kind: str) -> bool:
    return kind == NUMBER or kind in NUMBERS or kind.startswith("DECIMAL")


def _is_moment(kind: str) -> bool:
    return kind.startswith("TIMESTAMP") or kind == "DATE"


def _text(sql: str) -> str:
    return f"CAST({sql} AS VARCHAR)"


def _double(sql: str) -> str:
    """By its text: 0.1 of four bytes is meant as 0.1."""
    return f"CAST({_text(sql)} AS DOUBLE)"


def _double_or_text(sql: str) -> str:
    text = _text(sql)
    return f"coalesce(CAST(TRY_CAST({text} AS DOUBLE) AS VARCHAR), {text})"


def _exact_or_text(sql: str) -> str:
    """Every digit of what is written as a decimal: as doubles, long ids would meet their neighbours.

    What is written otherwise (1e+16) becomes a decimal where that is the same number.
    """
    text = _text(sql)
    number = f"TRY_CAST({text} AS DOUBLE)"
    decimals = (f"TRY_CAST({text} AS {kind})" for kind in ("DECIMAL(38, 18)", "HUGEINT"))
    written = " ".join(f"WHEN CAST({one} AS DOUBLE) = {number} THEN {_exact(one)}" for one in decimals)
    is_plain = f"regexp_full_match({text}, '-?(0|[1-9][0-9]*)(\\.[0-9]+)?')"
    return f"CASE WHEN {is_plain} THEN {_exact(sql)} {written} ELSE {_double_or_text(sql)} END"


def _exact(sql: str) -> str:
    """Without zeros behind the point that say nothing."""
    return f"regexp_replace({_text(sql)}, '\\.0*$|(\\.[0-9]*[1-9])0+$', '\\1')"


def _moment(sql: str, kind: str) -> str:
    """A text that says no moment stays what it is, and equals none."""
    moment = f"CAST(TRY_CAST({sql} AS TIMESTAMPTZ) AS VARCHAR)"
    return f"coalesce({moment}, {sql})" if kind == "VARCHAR" else moment


def _base64(sql: str, kind: str) -> str:
    return f"base64({sql})" if kind == "BLOB" else sql
