"""PostgreSQL's types as Arrow's, and back. The type's own name (`native`) is the single source of truth.

    bool int2 int4 int8 float4 float8     bool, int16, int32, int64, float32, float64
    oid                                   int64
    numeric(p,s), 0 <= s <= p <= 76       decimal128 or decimal256
    any other numeric                     string, exact digits; NaN and Infinity too
    date timestamp timestamptz time       date32, timestamp[us], timestamp[us, UTC], time64[us]
    bytea                                 binary
    T[]                                   list of T; one dimension, lower bounds are not kept
    a domain                              its base type
    everything else                       string, PostgreSQL's text form

±infinity of dates and timestamps are the greatest and the least-but-one integer (int32 or int64), as DuckDB has it;
years before 1 and after 9999 are exact. 24:00:00 is 86,400,000,000 µs. What an Arrow type cannot hold (NaN in
numeric(p,s), a two-dimensional array) is a named error; the source option `as_text: [column]` reads the column as
PostgreSQL's text.
"""

from __future__ import annotations

import re

import pyarrow as pa

from data_workbench.records.types import native_type

_FIXED: dict[str, pa.DataType] = {
    "bool": pa.bool_(),
    "int2": pa.int16(),
    "int4": pa.int32(),
    "int8": pa.int64(),
    "oid": pa.int64(),
    "float4": pa.float32(),
    "float8": pa.float64(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", "UTC"),
    "time": pa.time64("us"),
    "bytea": pa.binary(),
}
# format_type spells the standard's names; these are PostgreSQL's own, which read better in messages and metadata.
_SHORT = (
    (re.compile(r"^timestamp(\(\d\))? without time zone"), r"timestamp\1"),
    (re.compile(r"^timestamp(\(\d\))? with time zone"), r"timestamptz\1"),
    (re.compile(r"^time(\(\d\))? without time zone"), r"time\1"),
    (re.compile(r"^time(\(\d\))? with time zone"), r"timetz\1"),
    (re.compile(r"^character varying"), "varchar"),
    (re.compile(r"^character(?=[\[(]|$)"), "char"),
    (re.compile(r"^bit varying"), "varbit"),
    (re.compile(r"^integer(?=\[|$)"), "int4"),
    (re.compile(r"^bigint(?=\[|$)"), "int8"),
    (re.compile(r"^smallint(?=\[|$)"), "int2"),
    (re.compile(r"^double precision(?=\[|$)"), "float8"),
    (re.compile(r"^real(?=\[|$)"), "float4"),
    (re.compile(r"^boolean(?=\[|$)"), "bool"),
)
_NUMERIC = re.compile(r"numeric\((\d+),(-?\d+)\)")
_BASE = re.compile(r"^(\w+)(?:\(\d\))?$")
_INTEGERS = {
    pa.int8(): "int2",
    pa.int16(): "int2",
    pa.uint8(): "int2",
    pa.int32(): "int4",
    pa.uint16(): "int4",
    pa.int64(): "int8",
    pa.uint32(): "int8",
    pa.uint64(): "numeric(20,0)",
}


def short_name(formatted: str) -> str:
    """PostgreSQL's own name for what `format_type` gives: `timestamptz(3)`, `varchar(20)`, `int4[]`."""
    for pattern, replacement in _SHORT:
        formatted = pattern.sub(replacement, formatted)
    return formatted


def arrow_type(native: str) -> pa.DataType:
    """The Arrow type a native type is read as."""
    if native.endswith("[]"):
        return pa.list_(arrow_type(native[:-2]))
    decimal = _NUMERIC.fullmatch(native)
    if decimal:
        precision, scale = int(decimal[1]), int(decimal[2])
        if 0 <= scale <= precision <= 76:
            return pa.decimal128(precision, scale) if precision <= 38 else pa.decimal256(precision, scale)
        return pa.string()
    base = _BASE.match(native)
    return _FIXED.get(base[1], pa.string()) if base else pa.string()


def column_type(field: pa.Field) -> str:
    """The type of a column made for this field: its native type where that holds what Arrow holds, else a base type.

    Whether the native type exists on the server is for the caller to ask.
    """
    native = native_type(field)
    if native is not None and arrow_type(native) == field.type:
        return native
    return base_type(field.type)


def base_type(kind: pa.DataType) -> str:
    """The PostgreSQL type, present on every server, that holds an Arrow type."""
    if pa.types.is_dictionary(kind):
        return base_type(kind.value_type)
    if kind in _INTEGERS:
        return _INTEGERS[kind]
    if pa.types.is_boolean(kind):
        return "bool"
    if pa.types.is_floating(kind):
        return "float8" if kind == pa.float64() else "float4"
    if pa.types.is_decimal(kind):
        return f"numeric({kind.precision},{kind.scale})" if 0 <= kind.scale <= kind.precision else "numeric"
    if pa.types.is_timestamp(kind):
        return "timestamptz" if kind.tz else "timestamp"
    if pa.types.is_date(kind):
        return "date"
    if pa.types.is_time(kind):
        return "time"
    if pa.types.is_duration(kind) or pa.types.is_interval(kind):
        return "interval"
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return "bytea"
    if is_list(kind):
        inner = kind.value_type
        while is_list(inner):
            inner = inner.value_type
        return "jsonb" if is_nested(inner) else f"{base_type(inner)}[]"
    return "jsonb" if is_nested(kind) else "text"


def is_list(kind: pa.DataType) -> bool:
    """Any of Arrow's list types."""
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def is_nested(kind: pa.DataType) -> bool:
    """A struct or a map, which become JSON."""
    return pa.types.is_struct(kind) or pa.types.is_map(kind)
