"""Columns as Neo4j properties and back: one form per logical type, and each reads back equal.

    column                                   property
    boolean, integers, floats                BOOLEAN, INTEGER, FLOAT (NaN and infinities kept)
    unsigned above 2^63-1                    STRING of digits
    string, uuid, json, numeric, inet, …     STRING, as Arrow carries it (records.types)
    decimal                                  STRING of exact digits
    bytes                                    byte array
    date, timestamp, time                    DATE, LOCAL DATETIME, LOCAL TIME
    timestamp with time zone                 ZONED DATETIME in UTC: the instant is kept, the zone's name is not
    a year outside 1..9999, 24:00:00         STRING in ISO 8601 with a signed year (drivers end there)
    infinity, -infinity                      STRING `infinity`, `-infinity`
    duration, interval                       DURATION
    list of one of the above                 LIST of its form
    list holding null, bytes or mixed forms  STRING of JSON (a property list can hold none of these)
    nested list, struct, map                 STRING of JSON (graph_documents)
    null                                     no property
    string noted as point, duration, …       that type: what graph_types made readable goes back as it was

Conversion runs per column; only values that have no plain form are visited one by one. A property of another type
than its column's (somebody edited it) reads as null, which a comparison tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as kinds

from data_workbench.mapping import graph_documents as documents
from data_workbench.mapping import graph_temporal as temporal
from data_workbench.mapping.arrow_forms import is_list, plain, plain_type, restore
from data_workbench.mapping.graph_types import NATIVE_FORMS, parse_native
from data_workbench.records.types import native_type

_LARGEST_INTEGER = 2**63 - 1

__all__ = ["from_graph", "is_document", "rows_of", "to_graph"]


def is_document(kind: pa.DataType) -> bool:
    """Whether all values of a type become JSON text."""
    kind = plain_type(kind)
    if is_list(kind):
        inner = plain_type(kind.value_type)
        return kinds.is_nested(inner) or kinds.is_binary(inner) or kinds.is_fixed_size_binary(inner)
    return kinds.is_nested(kind)


def rows_of(table: pa.Table, fields: Sequence[pa.Field] | None = None) -> list[dict[str, Any]]:
    """A table's rows as property maps a driver takes; a null has its key with None."""
    chosen = list(table.schema if fields is None else fields)
    columns = [to_graph(table.column(item.name), item) for item in chosen]
    names = [item.name for item in chosen]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def to_graph(column: pa.ChunkedArray | pa.Array, field: pa.Field) -> list[Any]:
    """A column's values as the driver takes them."""
    if isinstance(column, pa.ChunkedArray):
        chunks = column.chunks or [pa.array([], column.type)]
        column = pa.concat_arrays(chunks) if len(chunks) > 1 else chunks[0]
    native = _text_form(field)
    if native is not None:
        return [parse_native(value, native) for value in column.to_pylist()]
    return _values(plain(column))


def _text_form(field: pa.Field) -> str | None:
    """What the texts of a column stand for; other stores name types alike whose columns are no text."""
    native, kind = native_type(field), plain_type(field.type)
    if native is None or native.removesuffix("[]") not in NATIVE_FORMS:
        return None
    inner = plain_type(kind.value_type) if is_list(kind) else kind
    return native if kinds.is_string(inner) and is_list(kind) == native.endswith("[]") else None


def _values(column: pa.Array) -> list[Any]:
    kind = column.type
    if is_document(kind):
        return list(documents.to_documents(column))
    if is_list(kind):
        return _lists(column)
    if kinds.is_temporal(kind):
        return temporal.to_graph(column)
    if kinds.is_uint64(kind):
        return [str(value) if value is not None and value > _LARGEST_INTEGER else value for value in column.to_pylist()]
    if kinds.is_decimal(kind):
        return documents.to_json(column)
    return column.to_pylist()


def _lists(column: pa.Array) -> list[Any]:
    """Native lists; those that hold a null or two forms become JSON."""
    values = plain(column.values)
    flat = _values(values)
    offsets, valid = column.offsets.to_pylist(), column.is_valid().to_pylist()
    cells: list[Any] = [flat[offsets[i] : offsets[i + 1]] if valid[i] else None for i in range(len(column))]
    if values.null_count == 0 and not _may_mix(values):
        return cells
    for i, cell in enumerate(cells):
        if cell and (None in cell or len(set(map(type, cell))) > 1):
            cells[i] = documents.to_documents(column.slice(i, 1))[0]
    return cells


def _may_mix(values: pa.Array) -> bool:
    """Whether this type has two forms: integers beyond the signed range, moments beyond the driver's."""
    kind = values.type
    if kinds.is_uint64(kind):
        return bool(pc.any(pc.greater(values, pa.scalar(_LARGEST_INTEGER, kind))).as_py())
    return kinds.is_temporal(kind)


def from_graph(values: Sequence[Any], field: pa.Field) -> pa.Array:
    """Property values as a column of the field's type."""
    kind = plain_type(field.type)
    native = _text_form(field)
    if native is not None:
        from data_workbench.mapping.graph_types import format_native

        return restore(pa.array([format_native(value, native) for value in values], type=kind), field.type)
    return restore(_column(values, kind), field.type)


def _column(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    if is_document(kind):
        return documents.from_documents(list(values), kind)
    if is_list(kind):
        return _list_column(values, kind)
    if kinds.is_temporal(kind):
        return temporal.from_graph(values, kind)
    if kinds.is_decimal(kind):
        return _decimals(values, kind)
    return _scalars(values, kind)


def _decimals(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    texts = [value if isinstance(value, str) else None for value in values]
    try:
        return pa.array(texts, type=pa.string()).cast(kind)
    except pa.ArrowInvalid:
        return pa.concat_arrays([_one_decimal(text, kind) for text in texts])


def _one_decimal(text: str | None, kind: pa.DataType) -> pa.Array:
    try:
        return pa.array([text], type=pa.string()).cast(kind)
    except pa.ArrowInvalid:
        return pa.nulls(1, kind)


def _scalars(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """The whole column at once; value by value when one does not fit."""
    fits = _fitting(kind)
    if kinds.is_uint64(kind):
        values = [int(value) if isinstance(value, str) and value.isdecimal() else value for value in values]
    sound = [value if value is None or isinstance(value, fits) else None for value in values]
    if not kinds.is_boolean(kind):
        sound = [None if value is True or value is False else value for value in sound]
    try:
        return pa.array(sound, type=kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return pa.concat_arrays([_one(value, kind) for value in sound])


def _one(value: Any, kind: pa.DataType) -> pa.Array:
    try:
        return pa.array([value], type=kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return pa.nulls(1, kind)


def _fitting(kind: pa.DataType) -> tuple[type, ...]:
    if kinds.is_boolean(kind):
        return (bool,)
    if kinds.is_integer(kind):
        return (int,)
    if kinds.is_floating(kind):
        return (int, float)
    if kinds.is_binary(kind) or kinds.is_fixed_size_binary(kind):
        return (bytes, bytearray)
    return (str,) if kinds.is_string(kind) else ()


def _list_column(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Native lists and JSON texts, put together again in order."""
    native = [list(value) if isinstance(value, (list, tuple)) else None for value in values]
    flat = _column([item for cell in native if cell for item in cell], plain_type(kind.value_type))
    lists = documents.lists_of(native, flat, kind)
    if not any(isinstance(value, str) for value in values):
        return lists
    texts = documents.from_documents(list(values), kind).cast(lists.type)
    places = [i + len(lists) if isinstance(value, str) else i for i, value in enumerate(values)]
    return pa.concat_arrays([lists, texts]).take(pa.array(places, type=pa.int64()))
