"""One JSON form for every logical type, and back: payloads of points, lines of JSONL, nested values in CSV.

    type               JSON                                       note
    null               null                                       an absent key reads as null, too
    boolean, text      itself
    integer            number                                     above 2^63-1 a string (gRPC's integers have 64 bits)
    floating point     number                                     NaN, Infinity, -Infinity as strings: JSON has none
    decimal            string                                     exact digits with the scale of the column
    uuid               string                                     (it is text in Arrow)
    json, jsonb        string, the document as it was written     parsing would change numbers, order and spacing
    date               string, 2026-11-23                         infinity, -infinity as such, as in timestamps
    timestamp          string, RFC 3339; zoned ones in UTC, `Z`   2026-11-23T08:00:00.000000Z
    time               string, 08:00:00.000000
    duration           number, the count of the column's unit
    interval           [months, days, nanoseconds]
    binary             string, base64
    list               array
    struct             object
    map                array of [key, value]

`from_payload(to_payload(array), array.type)` equals `array`; NaN equals NaN here.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from data_workbench.errors import SchemaConflict
from data_workbench.mapping.text_values import ColumnValues, flat, from_text, is_binary, is_text, to_text

_INT64_MAX = 2**63 - 1


def text_hash(texts: Iterable[str | None]) -> list[str | None]:
    """What is kept beside a vector to see that its text changed: 128 bits of SHA-256, in hex."""
    return [None if text is None else hashlib.sha256(text.encode()).hexdigest()[:32] for text in texts]


def to_payload(values: ColumnValues) -> list[Any]:
    """The JSON form of each value."""
    array = flat(values)
    kind = array.type
    if pa.types.is_floating(kind):
        return [value if value is None or math.isfinite(value) else _name(value) for value in array.to_pylist()]
    if pa.types.is_uint64(kind):
        return [str(value) if value is not None and value > _INT64_MAX else value for value in array.to_pylist()]
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind) or is_text(kind) or pa.types.is_null(kind):
        return array.to_pylist()
    if pa.types.is_duration(kind):
        return array.cast(pa.int64()).to_pylist()
    if pa.types.is_timestamp(kind):
        return pc.replace_substring(to_text(array), " ", "T", max_replacements=1).to_pylist()
    if pa.types.is_interval(kind):
        return [None if value is None else list(value) for value in array.to_pylist()]
    if pa.types.is_map(kind):
        return _from_map(array)
    if pa.types.is_struct(kind):
        return _from_struct(array)
    if pa.types.is_nested(kind):
        return _from_list(array)
    return to_text(array).to_pylist()


def _name(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _from_list(array: pa.Array) -> list[Any]:
    kind = array.type
    if pa.types.is_fixed_size_list(kind):
        array = array.cast(pa.list_(kind.value_field))
    elements = to_payload(array.flatten())
    return _regroup(pc.list_value_length(array).to_pylist(), elements)


def _from_map(array: pa.Array) -> list[Any]:
    pairs = array.cast(pa.list_(pa.struct([("k", array.type.key_type), ("v", array.type.item_type)])))
    items = pairs.flatten()
    entries = [list(pair) for pair in zip(to_payload(items.field(0)), to_payload(items.field(1)), strict=True)]
    return _regroup(pc.list_value_length(pairs).to_pylist(), entries)


def _regroup(lengths: list[int | None], elements: list[Any]) -> list[Any]:
    groups: list[Any] = []
    start = 0
    for length in lengths:
        if length is None:
            groups.append(None)
        else:
            groups.append(elements[start : start + length])
            start += length
    return groups


def _from_struct(array: pa.Array) -> list[Any]:
    names = [array.type.field(index).name for index in range(array.type.num_fields)]
    columns = [to_payload(column) for column in array.flatten()]
    rows = zip(*columns, strict=True) if columns else iter([()] * len(array))
    present = pc.is_valid(array).to_pylist()
    return [dict(zip(names, row, strict=True)) if there else None for row, there in zip(rows, present, strict=True)]


def from_payload(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """The array of `kind` that these JSON values stand for; also takes what other writers left, where it fits.

    Raises:
        SchemaConflict: a value cannot be one of this type.
    """
    try:
        return _build(values, kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError, ValueError, TypeError, AttributeError, OverflowError) as error:
        raise SchemaConflict(f"a payload value does not read as {kind}: {str(error)[:200]}") from error


def _build(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(kind):
        return _build(values, kind.value_type).cast(kind)
    if pa.types.is_null(kind):
        return pa.nulls(len(values))
    if pa.types.is_floating(kind):
        return pa.array([None if value is None else float(value) for value in values], pa.float64()).cast(
            kind, safe=False
        )
    if pa.types.is_integer(kind):
        return pa.array([_integer(value) for value in values], kind)
    if pa.types.is_duration(kind):
        return pa.array(list(values), pa.int64()).cast(kind)
    if pa.types.is_boolean(kind):
        return pa.array(list(values), kind)
    if is_text(kind):
        return pa.array([value if value is None or isinstance(value, str) else str(value) for value in values], kind)
    if is_binary(kind):
        return pa.array([None if value is None else base64.b64decode(value, validate=True) for value in values], kind)
    if pa.types.is_interval(kind):
        return pa.array([None if value is None else tuple(value) for value in values], kind)
    if pa.types.is_map(kind):
        return _build_map(values, kind)
    if pa.types.is_struct(kind):
        return _build_struct(values, kind)
    if pa.types.is_nested(kind):
        return _build_list(values, kind)
    return from_text(pa.array([None if value is None else str(value) for value in values], pa.large_string()), kind)


def _integer(value: Any) -> int | None:
    if isinstance(value, float) and not value.is_integer():
        raise ValueError(f"{value} is not an integer")
    return None if value is None else int(value)


def _build_list(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    elements = _build([item for value in values if value is not None for item in value], kind.value_type)
    nested = _nest(values, elements)
    return nested.cast(kind) if nested.type != kind else nested


def _build_map(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    pairs = [pair for value in values if value is not None for pair in value]
    keys = _build([pair[0] for pair in pairs], kind.key_type)
    items = _build([pair[1] for pair in pairs], kind.item_type)
    offsets = pa.array(_offsets(values), pa.int32())
    mask = pa.array([value is None for value in values], pa.bool_())
    array = pa.MapArray.from_arrays(offsets.slice(0, len(values) + 1), keys, items, mask=mask)
    return array.cast(kind) if array.type != kind else array


def _build_struct(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    fields = [kind.field(index) for index in range(kind.num_fields)]
    columns = [_build([_member(value, item.name) for value in values], item.type) for item in fields]
    mask = pa.array([value is None for value in values], pa.bool_())
    if not fields:
        return pa.array([None if value is None else {} for value in values], kind)
    return pa.StructArray.from_arrays(columns, fields=fields, mask=mask)


def _member(value: Any, name: str) -> Any:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise TypeError(f"{type(value).__name__} is not an object")
    return value.get(name)


def _offsets(values: Sequence[Any]) -> list[int]:
    offsets, total = [0], 0
    for value in values:
        total += 0 if value is None else len(value)
        offsets.append(total)
    return offsets


def _nest(values: Sequence[Any], elements: pa.Array) -> pa.Array:
    mask = pa.array([value is None for value in values], pa.bool_())
    return pa.ListArray.from_arrays(pa.array(_offsets(values), pa.int32()), elements, mask=mask)
