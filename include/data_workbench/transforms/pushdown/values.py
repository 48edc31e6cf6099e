"""What a column of PostgreSQL is to an expression, and which type a value of DuckDB's has there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from data_workbench.records.column_kinds import DECIMAL, KINDS, Kind, column_kind
from data_workbench.records.pushed import NotPushed
from data_workbench.records.types import native_type

INTEGERS: Final = {"int2": "SMALLINT", "int4": "INTEGER", "int8": "BIGINT"}
NUMBERS: Final = ("integer", "decimal", "double")
MOMENTS: Final = ("date", "timestamp", "timestamptz")
EXACT_AS_DOUBLE: Final = 15
"""Digits of a decimal that both databases give the same double for."""
_FROM_DUCKDB: Final = {
    **{theirs: ours for ours, theirs in INTEGERS.items()},
    "HUGEINT": "numeric",
    "DOUBLE": "float8",
    "VARCHAR": "text",
    "BOOLEAN": "bool",
    "DATE": "date",
    "TIMESTAMP": "timestamp",
    "TIMESTAMP WITH TIME ZONE": "timestamptz",
}
_TO_DUCKDB: Final = {
    "double": "DOUBLE",
    "text": "VARCHAR",
    "texted": "VARCHAR",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
    "timestamptz": "TIMESTAMPTZ",
}


@dataclass(frozen=True)
class Value:
    """A value in PostgreSQL: its type's own name, and how it may be looked at (None: only passed on)."""

    native: str
    kind: Kind | None

    @property
    def digits(self) -> int:
        """Of a decimal."""
        found = DECIMAL.fullmatch(self.native)
        return int(found[1]) if found else 0

    @property
    def scale(self) -> int:
        """Of a decimal."""
        found = DECIMAL.fullmatch(self.native)
        return int(found[2]) if found else 0

    @property
    def duckdb(self) -> str:
        """The type that DuckDB gives such a column."""
        if self.kind == "integer":
            return INTEGERS.get(self.native, "HUGEINT")
        if self.kind == "decimal":
            return self.native.replace("numeric", "DECIMAL")
        return _TO_DUCKDB.get(self.kind or "text", "VARCHAR")


def of_column(item: pa.Field) -> Value:
    """A column as it stands in a table of PostgreSQL."""
    return Value(native_type(item) or "", column_kind(item))


def of_duckdb(kind: str) -> Value:
    """What a computed value of a type of DuckDB's is in PostgreSQL.

    Raises:
        NotPushed: there is no such type.
    """
    decimal = DECIMAL.fullmatch(kind)
    if decimal:
        return Value(f"numeric({decimal[1]},{decimal[2]})", "decimal")
    native = _FROM_DUCKDB.get(kind)
    if native is None:
        raise NotPushed(f"{kind.lower()} has no equal type in PostgreSQL")
    return Value(native, "integer" if native == "numeric" else KINDS[native])
