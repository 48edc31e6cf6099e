"""Both sides in one form: the columns asked for, in their types, JSON documents by their value.

Stores write a JSON document in their own way (`jsonb` sorts keys and drops spaces), so the text says nothing.
"""

from __future__ import annotations

import json
from decimal import Decimal, localcontext

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
        return _ENCODE(_DECODE(text))
    except (ValueError, RecursionError):
        return text


def _integer(text: str) -> dict[str, str]:
    """As `_number`, without a Decimal: most numbers are whole."""
    digits = text.lstrip("-")
    kept = digits.rstrip("0")
    if not kept or len(digits) > 1000:
        return _number(text)
    mantissa = f"{kept[0]}.{kept[1:]}" if len(kept) > 1 else kept
    return {"\x00number": f"{text[: len(text) - len(digits)]}{mantissa}e+{len(digits) - 1}"}


def _number(text: str) -> dict[str, str]:
    """A number as its value: 1, 1.0 and 1e0 are one."""
    with localcontext() as context:
        context.prec = max(len(text), 28)
        value = Decimal(text).normalize()
    plain = format(value, "e") if value else "0"
    return {"\x00number": plain}


# Numbers keep all their digits: a float would call 1.00000000000000001 and 1 equal. Made once: making a decoder and an
# encoder for each document takes as long as using them.
_DECODE = json.JSONDecoder(parse_float=_number, parse_int=_integer, parse_constant=str).decode
_ENCODE = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode
