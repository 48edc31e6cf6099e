"""Names of column types that a source's `options: {types: {column: name}}` may give, as Arrow fields."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pyarrow as pa

from data_workbench.errors import UsageError
from data_workbench.records.types import with_native

_SIMPLE: Mapping[str, pa.DataType] = {
    "text": pa.string(),
    "string": pa.string(),
    "varchar": pa.string(),
    "boolean": pa.bool_(),
    "bool": pa.bool_(),
    "smallint": pa.int16(),
    "int": pa.int32(),
    "integer": pa.int64(),
    "bigint": pa.int64(),
    "real": pa.float32(),
    "number": pa.float64(),
    "float": pa.float64(),
    "double": pa.float64(),
    "double precision": pa.float64(),
    "date": pa.date32(),
    "time": pa.time64("us"),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", "UTC"),
}
_NATIVE = ("uuid", "json", "jsonb", "numeric")


def field_of(column: str, name: str) -> pa.Field:
    """The Arrow field of a type named in `types`.

    Raises:
        UsageError: no such type.
    """
    kind = " ".join(name.lower().split())
    if kind in _SIMPLE:
        return pa.field(column, _SIMPLE[kind])
    if kind in _NATIVE:
        return with_native(pa.field(column, pa.string()), kind)
    exact = re.fullmatch(r"(?:decimal|numeric)\s*\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)", kind)
    if exact and 1 <= int(exact[1]) <= 76 and int(exact[2] or 0) <= int(exact[1]):
        precision, scale = int(exact[1]), int(exact[2] or 0)
        arrow = pa.decimal128(precision, scale) if precision <= 38 else pa.decimal256(precision, scale)
        return with_native(pa.field(column, arrow), f"numeric({precision},{scale})")
    raise UsageError(
        f"types: column {column!r} has the unknown type {name!r}",
        hint=f"use one of {', '.join([*_SIMPLE, *_NATIVE])}, decimal(p,s)",
    )
