"""Columns in which stores without types hold several: each value as what it is, whatever stands in other rows.

A property of a label, or a key of payloads, that is a number here and a text there is read as JSON, in which every
text has quotes and every number is a text. One wrong value would change what all others are; for checks they are plain
again. Only when it is asked for its type a value is looked at as it is stored.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Final, Literal

import pyarrow as pa

from data_workbench.errors import SchemaConflict
from data_workbench.quality.standalone.comparing import NUMBERS
from data_workbench.quality.standalone.finders import Finder, of_rows
from data_workbench.records.names import quoted
from data_workbench.records.type_names import canonical_type
from data_workbench.records.types import native_type, with_native

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from data_workbench.connectors.base import Stream
    from data_workbench.quality.contract import ColumnContract

STORED: Final = "_wb_stored_"
"""Before the name of the column that has the values as they are stored."""
TYPELESS: Final = frozenset({"label", "relationship type", "collection", "alias"})
"""Kinds of streams that know of no column which nothing has."""


def mixed_in(connection: DuckDBPyConnection, table: str, described: Stream, columns: Collection[str]) -> list[str]:
    """The columns of a table that hold plain values of several types."""
    if described.kind not in TYPELESS:
        return []
    found = (item.name for item in described.schema if item.name in columns and _is_json(item))
    return [name for name in found if _is_plain(connection, table, quoted(name))]


def _is_json(item: pa.Field) -> bool:
    return native_type(item) == "json" and pa.types.is_string(item.type)


def _is_plain(connection: DuckDBPyConnection, table: str, column: str) -> bool:
    kinds = f"SELECT DISTINCT json_type({column}) FROM {table} WHERE {column} IS NOT NULL"
    found = {kind for (kind,) in connection.execute(kinds).fetchall()}
    return bool(found) and not found & {"OBJECT", "ARRAY"}


def is_stored(name: str) -> bool:
    """Whether a column is one that stands beside."""
    return name.startswith(STORED)


def plainly(names: Collection[str], *, stored: bool = True) -> str:
    """What follows `SELECT *` where these columns are plain, and stand beside as they are stored."""
    listed = ", ".join(f"json_extract_string({quoted(name)}, '$') AS {quoted(name)}" for name in names)
    beside = "".join(f", {quoted(name)} AS {quoted(STORED + name)}" for name in names if stored)
    return f" REPLACE ({listed}){beside}" if names else ""


def field_of(name: str, promise: ColumnContract | None) -> pa.Field:
    """The column for what is promised of it: limits and values that are numbers are kept as numbers."""
    given = [] if promise is None else [promise.min, promise.max, *(promise.values or [])]
    limits = [one for one in given if one is not None]
    is_number = limits and all(isinstance(one, int | float) and not isinstance(one, bool) for one in limits)
    return with_native(pa.field(name, pa.string()), "numeric" if is_number else None)


def types_promised(
    columns: Mapping[str, ColumnContract], names: Collection[str], level: Literal["fail", "warn"]
) -> Iterator[Finder]:
    """The finders of values that are not stored as the type that is promised."""
    for name, promise in columns.items():
        if promise.type is not None and name in names:
            try:
                kind = canonical_type(promise.type)
            except ValueError as error:
                raise SchemaConflict(f"type of {name!r}: {error}") from None
            fits = _fits(quoted(name), f"json_type({quoted(STORED + name)})", kind)
            yield of_rows(f"type {name}", f"{quoted(name)} IS NOT NULL AND NOT ({fits})", (name,), level)


def _fits(value: str, stored: str, wanted: str) -> str:
    if wanted in ("VARCHAR", "BOOLEAN"):
        return f"{stored} = '{wanted}'"
    # Decimals may be texts, which keep every digit; other numbers are numbers in these stores, too.
    can_be = f"TRY_CAST({value} AS {wanted}) IS NOT NULL"
    return f"{can_be} AND {stored} NOT IN ('VARCHAR', 'BOOLEAN')" if wanted in NUMBERS else can_be
