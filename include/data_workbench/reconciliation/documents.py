"""Both sides in one form: the columns asked for, in their types, JSON documents by their value.

Stores write a JSON document in their own way (`jsonb` sorts keys and drops spaces), so the text says nothing.
"""

from __future__ import annotations

import json
from decimal import MAX_EMAX, MIN_EMIN, Decimal, localcontext
from typing import Any

import msgspec
import pyarrow as pa

from data_workbench.records.types import native_type

DOCUMENTS = ("json", "jsonb")


def comparable(schema: pa.Schema) -> pa.Schema:
    """What `conform` makes of a schema, as DuckDB takes it: decimals of more than 38 digits as text, no half floats."""
    return pa.schema([item.with_type(_comparable(item.type)) for item in schema])


def as_comparable(table: pa.Table) -> pa.Table:
    """The columns of a table as `comparable` says."""
    return table.cast(comparable(table.schema))


def _comparable(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_decimal256(kind):
        return pa.string()
    if pa.types.is_float16(kind):
        return pa.float32()
    if pa.types.is_list(kind):
        return pa.list_(_comparable(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([part.with_type(_comparable(part.type)) for part in kind])
    return kind


def conform(batch: pa.RecordBatch | pa.Table, schema: pa.Schema, mark: str, default: object) -> pa.Table:
    """The columns of `schema` and `mark`, cast and `comparable`; a mark that is absent everywhere has its default."""
    table = pa.Table.from_batches([batch]) if isinstance(batch, pa.RecordBatch) else batch
    columns = [_conformed(table.column(item.name), item) for item in schema]
    kind = pa.string() if isinstance(default, str) else pa.bool_()
    marks = table.column(mark) if mark in table.column_names else pa.array([default] * table.num_rows, kind)
    return pa.table([*columns, marks], names=[*schema.names, mark])


def _conformed(column: pa.ChunkedArray, item: pa.Field) -> pa.ChunkedArray | pa.Array:
    # First to the type asked for, so that both sides have one scale.
    column = column.cast(item.type).cast(_comparable(item.type))
    native = (native_type(item) or "").lower()
    if native in DOCUMENTS:
        return pa.array([canonical(text) for text in column.to_pylist()], item.type)
    if native.removesuffix("[]") in DOCUMENTS and pa.types.is_list(item.type):
        values = [None if texts is None else [canonical(text) for text in texts] for texts in column.to_pylist()]
        return pa.array(values, item.type)
    return column


def canonical(text: str | None) -> str | None:
    """One text for all ways to write a document; what is no document stays as it is."""
    if text is None:
        return None
    try:
        return _written(_value(text))
    except (ValueError, RecursionError):
        return text


def _value(text: str) -> Any:
    """The document's value; msgspec refuses what the json module takes (lone surrogates, very long numbers)."""
    try:
        return _DECODE(text)
    except (ValueError, RecursionError):
        return _DECODE_ANY(text)


def _written(value: Any) -> str:
    try:
        return _ENCODE(value).decode()
    except (ValueError, RecursionError):
        return _ENCODE_ANY(value)


def _number(text: str) -> int | dict[str, str]:
    """A number as its value: 1, 1.0 and 1e0 are one. A float would call 1.00000000000000001 and 1 equal."""
    with localcontext() as context:
        context.prec, context.Emax, context.Emin = max(len(text), 28), MAX_EMAX, MIN_EMIN
        value = Decimal(text).normalize()
    if not value:
        return 0
    _, digits, exponent = value.as_tuple()
    if isinstance(exponent, int) and exponent >= 0 and len(digits) + exponent <= _LONGEST:
        return int(value)
    return {"\x00number": format(value, "e")}


def _integer(text: str) -> int | dict[str, str]:
    return int(text) if len(text.lstrip("-")) <= _LONGEST else _number(text)


_LONGEST = 4300
"""Digits of an integer that Python reads; msgspec leaves longer ones to `_integer`."""
_DECODE = msgspec.json.Decoder(float_hook=_number).decode
_ENCODE = msgspec.json.Encoder(order="sorted").encode
_DECODE_ANY = json.JSONDecoder(parse_float=_number, parse_int=_integer, parse_constant=str).decode
_ENCODE_ANY = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode
