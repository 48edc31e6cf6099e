"""Promises of columns as conditions of PostgreSQL's, where both mean the same to the last row.

Null, allowed values, limits of numbers and dates, lengths, plain patterns, uniqueness. What PostgreSQL might see
otherwise than DuckDB (order of texts, any character and word characters in patterns, casts, moments) has no words here.
They are written apart from the compiled predicates, so that each is a second opinion on the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from data_workbench.connectors.powers import CanCount
from data_workbench.records.column_kinds import column_kind
from data_workbench.records.names import literal, quoted
from data_workbench.records.patterns import is_plain

if TYPE_CHECKING:
    import pyarrow as pa

    from data_workbench.quality.contract import ColumnContract, Scalar

_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")
_EXACT: Final = 2**53
"""Numbers below are the same in every type."""


@dataclass(frozen=True)
class Broken:
    """When a row breaks a promise.

    Args:
        name: as told to people, `min amount`.
        columns: what is looked at.
        condition: SQL in which `CanCount.TABLE` stands for the rows; None if PostgreSQL has no equal words.
    """

    name: str
    columns: tuple[str, ...]
    condition: str | None


def broken_promises(
    columns: Mapping[str, ColumnContract], unique: Sequence[Sequence[str]], schema: pa.Schema
) -> Iterator[Broken]:
    """Every promise of a contract over rows with these columns, references left out."""
    for name, promise in columns.items():
        field = schema.field(name) if name in schema.names else None
        for rule, condition in _conditions(promise, field):
            yield Broken(f"{rule} {name}", (name,), condition)
    single = [[name] for name, promise in columns.items() if promise.unique]
    for group in [*unique, *(one for one in single if one not in list(map(list, unique)))]:
        has_words = all(name in schema.names and column_kind(schema.field(name)) for name in group)
        yield Broken(f"unique {', '.join(group)}", tuple(group), _twice(group) if has_words else None)


def _twice(group: Sequence[str]) -> str:
    """By a window in a subquery of the rows, whose name whoever asks puts in."""
    listed = ", ".join(map(quoted, group))
    complete = " AND ".join(f"{quoted(name)} IS NOT NULL" for name in group)
    return f"{complete} AND ({listed}) IN (SELECT {listed} FROM {CanCount.TABLE} GROUP BY {listed} HAVING count(*) > 1)"


def _conditions(promise: ColumnContract, field: pa.Field | None) -> Iterator[tuple[str, str | None]]:
    if field is None or column_kind(field) is None:
        for rule in ("required", "type", "values", "pattern", "min", "max", "min_length", "max_length"):
            if getattr(promise, rule) not in (None, False):
                yield rule, None
        return
    column = quoted(field.name)
    if promise.required:
        yield "required", f"{column} IS NULL"
    for rule, holds in _holds(promise, field, column):
        yield rule, None if holds is None else f"{column} IS NOT NULL AND NOT coalesce({holds}, FALSE)"


def _holds(promise: ColumnContract, field: pa.Field, column: str) -> Iterator[tuple[str, str | None]]:
    is_text = column_kind(field) == "text"
    if promise.type is not None:
        yield "type", None
    if promise.values is not None:
        listed = [_literal(value, field) if not is_text else literal(str(value)) for value in promise.values]
        yield "values", None if None in listed else f"{column} IN ({', '.join(map(str, listed))})"
    if promise.pattern is not None:
        same = is_text and is_plain(promise.pattern)
        yield "pattern", f'{column} COLLATE "C" ~ {literal(promise.pattern)}' if same else None
    for rule, sign in (("min", ">="), ("max", "<=")):
        if (limit := getattr(promise, rule)) is not None:
            told = _literal(limit, field)
            yield rule, None if told is None else f"{column} {sign} {told}"
    for rule, sign in (("min_length", ">="), ("max_length", "<=")):
        if (limit := getattr(promise, rule)) is not None:
            yield rule, f"length({column}) {sign} {limit:d}" if is_text else None


def _literal(value: Scalar, field: pa.Field) -> str | None:
    kind = column_kind(field)
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _EXACT
    if kind in ("integer", "decimal", "double") and is_number:
        return f"({value!r})"
    if kind == "boolean" and isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if kind == "date" and isinstance(value, str) and _DAY.fullmatch(value):
        return f"DATE {literal(value)}"
    return None
