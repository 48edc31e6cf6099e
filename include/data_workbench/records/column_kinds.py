"""As what a column of PostgreSQL compares and computes like DuckDB's: what all start from who write SQL for both.

A kind says only that the two mean the same by a value and its order. What may be asked of it is each writer's own,
shorter or longer list: `where` of sources (`connectors/postgres/where.py`), steps (`transforms/pushdown`), promises
(`quality/in_postgres.py`).
"""

from __future__ import annotations

import re
from typing import Final, Literal

import pyarrow as pa

from data_workbench.records.types import labels_of, native_type

Kind = Literal["integer", "decimal", "double", "text", "texted", "boolean", "date", "timestamp", "timestamptz"]
"""`texted` is compared by its text: uuid, enumerated types."""

MOST_DIGITS: Final = 38
"""Of a decimal in DuckDB."""
DECIMAL: Final = re.compile(r"(?:numeric|DECIMAL)\((\d+),\s*(-?\d+)\)")
KINDS: Final[dict[str, Kind]] = {
    **dict.fromkeys(("int2", "int4", "int8"), "integer"),
    "float8": "double",
    "text": "text",
    "varchar": "text",
    "bool": "boolean",
    "date": "date",
    "timestamp": "timestamp",
    "timestamptz": "timestamptz",
}
"""By PostgreSQL's own names. A float4 is none: beside a number with a point DuckDB compares it as float4, PostgreSQL as
float8, so 0.1 is at most 0.1 in one of them only."""


def base_type(item: pa.Field) -> str:
    """PostgreSQL's own name of a column's type, without its length; empty if it came from elsewhere."""
    return (native_type(item) or "").partition("(")[0].strip()


def column_kind(item: pa.Field) -> Kind | None:
    """The kind of a column as it stands in a table of PostgreSQL; None if values may only be passed on."""
    if pa.types.is_decimal(item.type) and DECIMAL.fullmatch(native_type(item) or ""):
        return "decimal" if item.type.precision <= MOST_DIGITS else None
    if base_type(item) in KINDS:
        return KINDS[base_type(item)]
    return "texted" if base_type(item) == "uuid" or labels_of(item) is not None else None
