"""Promises of columns counted by PostgreSQL itself, where both mean the same to the last row.

Only a contract that promises nothing else is counted there, in one pass: null, allowed values, limits of numbers and
dates, lengths, plain patterns, uniqueness, the number of rows. What PostgreSQL might see otherwise than DuckDB (order
of texts, any character and word characters in patterns, casts, moments) has no words here: then the rows are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from data_workbench.connectors.powers import CanCount
from data_workbench.quality.standalone.finders import Finder
from data_workbench.quality.standalone.masking import SHOWN
from data_workbench.records.names import literal, quoted
from data_workbench.records.types import native_type

if TYPE_CHECKING:
    from data_workbench.connectors.base import Source, Stream
    from data_workbench.quality.contract import ColumnContract, Scalar
    from data_workbench.quality.standalone.model import StandaloneContract

_WHOLE: Final = frozenset({"int2", "int4", "int8", "smallint", "integer", "bigint"})
_FLOATS: Final = frozenset({"float4", "float8", "real", "double precision"})
_TEXTS: Final = frozenset({"text", "varchar", "character varying"})
_OTHERS: Final = frozenset({"bool", "boolean", "uuid", "date", "timestamptz", "timestamp"})
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")
_ONE: Final = r"(?:[A-Za-z0-9 _:/@#-]|\\[.-]|\[(?:[A-Za-z0-9]-[A-Za-z0-9]|[A-Za-z0-9_ ])+\])"
_PLAIN: Final = re.compile(rf"\^?(?:{_ONE}(?:[+*?]|\{{\d{{1,2}}(?:,\d{{1,2}})?\}})?)+\$?")
"""Patterns of characters and plain classes: the same language in RE2 and in PostgreSQL."""


@dataclass(frozen=True)
class Pushed:
    """What the store counted.

    Args:
        counts: failing rows of each finder.
        sample: the first failing rows of a finder.
    """

    rows: int
    counts: tuple[tuple[Finder, int], ...]
    source: CanCount
    described: Stream

    def sample(self, finder: Finder, limit: int) -> list[dict[str, Any]]:
        """The first rows that break a check: their key, what it looks at, and others."""
        schema = self.described.schema
        plain = [field.name for field in schema if not pa.types.is_nested(field.type)]
        shown = dict.fromkeys([*self.described.key, *finder.columns, *plain])
        columns = [name for name in shown if name in plain][:SHOWN]
        return self.source.failing(self.described.name, finder.query, columns, limit)


def pushed(contract: StandaloneContract, source: Source) -> Pushed | None:
    """The counts of a contract's promises; None where they are not all the same in the store. Raises WorkbenchError."""
    one = contract
    if not isinstance(source, CanCount) or one.checks or one.soda or one.derive or one.where or one.freshness:
        return None
    if any(promise.references is not None for promise in one.columns.values()):
        return None
    described = source.describe(one.stream, one.options or None)
    finders = _finders(one, described.schema)
    if finders is None:
        return None
    rows, counts = source.count(described.name, [finder.query for finder in finders])
    return Pushed(rows, tuple(zip(finders, counts, strict=True)), source, described)


def _finders(contract: StandaloneContract, schema: pa.Schema) -> list[Finder] | None:
    """Conditions under which a row breaks a promise; None if one of them has no words here."""
    found = []
    for name, promise in contract.columns.items():
        if name not in schema.names:
            return None
        conditions = _conditions(promise, schema.field(name))
        if conditions is None:
            return None
        found += [Finder(f"{rule} {name}", broken, (name,), contract.severity) for rule, broken in conditions]
    single = [[name] for name, promise in contract.columns.items() if promise.unique]
    for group in [*contract.unique, *(one for one in single if one not in contract.unique)]:
        if not all(name in schema.names and _is_comparable(schema.field(name)) for name in group):
            return None
        title = f"unique {', '.join(group)}"
        found.append(Finder(title, _twice(group), tuple(group), contract.severity))
    return found


def _twice(group: list[str]) -> str:
    """By a window in a subquery of the table, whose name the source puts in."""
    listed = ", ".join(map(quoted, group))
    complete = " AND ".join(f"{quoted(name)} IS NOT NULL" for name in group)
    return f"{complete} AND ({listed}) IN (SELECT {listed} FROM {CanCount.TABLE} GROUP BY {listed} HAVING count(*) > 1)"


def _is_comparable(field: pa.Field) -> bool:
    return _native(field) in _WHOLE | _FLOATS | _TEXTS | _OTHERS


def _native(field: pa.Field) -> str:
    """The store's type without its length; of `char(n)`, which pads, nothing is known here."""
    return (native_type(field) or "").partition("(")[0].strip()


def _conditions(promise: ColumnContract, field: pa.Field) -> list[tuple[str, str]] | None:
    if not _is_comparable(field) and not pa.types.is_decimal(field.type):
        return None
    column, found = quoted(field.name), []
    if promise.required:
        found.append(("required", f"{column} IS NULL"))
    for rule, holds in _holds(promise, field, column):
        if holds is None:
            return None
        found.append((rule, f"{column} IS NOT NULL AND NOT coalesce({holds}, FALSE)"))
    return found


def _holds(promise: ColumnContract, field: pa.Field, column: str) -> Iterator[tuple[str, str | None]]:
    is_text = _native(field) in _TEXTS
    if promise.type is not None:
        yield "type", None
    if promise.values is not None:
        listed = [_literal(value, field) if not is_text else literal(str(value)) for value in promise.values]
        yield "values", None if None in listed else f"{column} IN ({', '.join(map(str, listed))})"
    if promise.pattern is not None:
        same = is_text and _PLAIN.fullmatch(promise.pattern)
        yield "pattern", f'{column} COLLATE "C" ~ {literal(promise.pattern)}' if same else None
    for rule, sign in (("min", ">="), ("max", "<=")):
        if (limit := getattr(promise, rule)) is not None:
            told = _literal(limit, field)
            yield rule, None if told is None else f"{column} {sign} {told}"
    for rule, sign in (("min_length", ">="), ("max_length", "<=")):
        if (limit := getattr(promise, rule)) is not None:
            yield rule, f"length({column}) {sign} {limit:d}" if is_text else None


def _literal(value: Scalar, field: pa.Field) -> str | None:
    native = _native(field)
    is_number = native in _WHOLE | _FLOATS or pa.types.is_decimal(field.type)
    if is_number and isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _EXACT:
        return f"({value!r})"
    if native in ("bool", "boolean") and isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if native == "date" and isinstance(value, str) and _DAY.fullmatch(value):
        return f"DATE {literal(value)}"
    return None


_EXACT: Final = 2**53
"""Numbers below are the same in every type."""


def told(finder: Finder, relation: str) -> str:
    """The finder for people."""
    return f"SELECT * FROM {relation} WHERE {finder.query.replace(CanCount.TABLE, relation)}"
