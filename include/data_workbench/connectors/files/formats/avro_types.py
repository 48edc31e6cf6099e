"""Avro's types as Arrow's, and back.

Avro                                     Arrow
boolean, int, long, float, double        bool, int32, int64, float, double
bytes, fixed; string, enum               binary; text
array, map, record                       list, map, struct
decimal (bytes, fixed), to 76 digits     decimal, exact
date; time-millis, -micros               date; time
timestamp-millis, -micros, -nanos        timestamp in UTC
local-timestamp-…                        timestamp without zone
uuid                                     text known as uuid
union with null                          nullable
other unions, types within themselves    text: JSON of the value

Arrow that Avro lacks                    Avro
smaller integers; 64 bits unsigned       int, long; decimal(20, 0)
intervals                                text, as in text_values.py
duration                                 long
names with other characters              changed; the name itself stands in the property `wb:name`
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc

from data_workbench.errors import SchemaConflict, Unsupported
from data_workbench.mapping.text_values import flat, from_text, is_binary, is_text, to_text
from data_workbench.records.types import native_type, with_native

_PLAIN = {
    "null": pa.string(),
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "bytes": pa.binary(),
    "string": pa.string(),
}
_MOMENTS = {
    "date": pa.date32(),
    "time-millis": pa.time32("ms"),
    "time-micros": pa.time64("us"),
    "timestamp-millis": pa.timestamp("ms", "UTC"),
    "timestamp-micros": pa.timestamp("us", "UTC"),
    "timestamp-nanos": pa.timestamp("ns", "UTC"),
    "local-timestamp-millis": pa.timestamp("ms"),
    "local-timestamp-micros": pa.timestamp("us"),
    "local-timestamp-nanos": pa.timestamp("ns"),
}
_WIDE = Context(prec=100)
Convert = Callable[[Any], Any]


@dataclass(frozen=True)
class Column:
    """A field of the records: its key in them, its Arrow field, and what makes Arrow's values of the raw ones."""

    key: str
    field: pa.Field
    convert: Convert | None

    def array(self, values: Sequence[Any], wanted: pa.DataType) -> pa.Array:
        """The column in the type wanted.

        Raises:
            SchemaConflict: the values do not have it.
        """
        convert = self.convert
        made = pa.array(
            values if convert is None else [None if v is None else convert(v) for v in values], self.field.type
        )
        if made.type.equals(wanted):
            return made
        if is_text(made.type) or pa.types.is_decimal(made.type):
            return from_text(to_text(made), wanted)
        return made.cast(wanted)


def columns_of(schema: Any, name: str) -> list[Column]:
    """The columns of a container's schema.

    Raises:
        SchemaConflict: its values are no records.
    """
    if not isinstance(schema, dict) or schema.get("type") not in ("record", "error"):
        raise SchemaConflict(f"{name}: its values are no records", hint="write records")
    names: dict[str, Any] = {}
    _collect(schema, names, "")
    columns = []
    for item in schema["fields"]:
        kind, convert = _arrow(item["type"], names, (_full(schema, ""),))
        shown = pa.field(item.get("wb:name", item["name"]), kind)
        plain = next((one for one in _branches(item["type"]) if one != "null"), None)
        if isinstance(plain, dict) and plain.get("logicalType") == "uuid":
            shown = with_native(shown, "uuid")
        columns.append(Column(item["name"], shown, convert))
    return columns


def _branches(schema: Any) -> list[Any]:
    return schema if isinstance(schema, list) else [schema]


def _full(schema: dict[str, Any], space: str) -> str:
    name = str(schema.get("name", ""))
    inside = schema.get("namespace", space)
    return name if "." in name or not inside else f"{inside}.{name}"


def _collect(schema: Any, names: dict[str, Any], space: str) -> None:
    """Note named types, by full and by short name."""
    for one in _branches(schema):
        if not isinstance(one, dict):
            continue
        if "name" in one and one.get("type") in ("record", "error", "enum", "fixed"):
            full = _full(one, space)
            names[full] = names[full.rpartition(".")[2]] = one
            space = full.rpartition(".")[0]
        for item in one.get("fields", ()):
            _collect(item["type"], names, space)
        for inner in ("items", "values", "type"):
            if isinstance(one.get(inner), dict | list):
                _collect(one[inner], names, space)


def _arrow(schema: Any, names: dict[str, Any], outer: tuple[str, ...]) -> tuple[pa.DataType, Convert | None]:
    branches = [one for one in _branches(schema) if one != "null"]
    if not branches:
        return pa.string(), None
    if len(branches) > 1:
        return pa.string(), _as_json
    one = branches[0]
    if isinstance(one, str):
        if one in _PLAIN:
            return _PLAIN[one], None
        if one in outer or one not in names:
            return pa.string(), _as_json
        one = names[one]
    kind = one["type"]
    if isinstance(kind, dict | list):
        return _arrow(kind, names, outer)
    return _logical(one) or _nested(one, kind, names, outer)


def _logical(one: dict[str, Any]) -> tuple[pa.DataType, Convert | None] | None:
    logical, kind = one.get("logicalType"), one["type"]
    if logical == "decimal" and kind in ("bytes", "fixed"):
        precision, scale = int(one.get("precision", 0)), int(one.get("scale", 0))
        if not 0 < precision <= 76 or not 0 <= scale <= precision:
            return None
        make = pa.decimal128 if precision <= 38 else pa.decimal256
        return make(precision, scale), lambda raw: Decimal(int.from_bytes(raw, "big", signed=True)).scaleb(
            -scale, _WIDE
        )
    if logical == "uuid":
        return pa.string(), (lambda raw: str(UUID(bytes=raw))) if kind == "fixed" else None
    if logical in _MOMENTS and kind == ("int" if logical in ("date", "time-millis") else "long"):
        return _MOMENTS[logical], None
    return None


def _nested(
    one: dict[str, Any], kind: str, names: dict[str, Any], outer: tuple[str, ...]
) -> tuple[pa.DataType, Convert | None]:
    if kind in ("record", "error"):
        return _struct(one, names, outer)
    if kind == "array":
        inner, convert = _arrow(one["items"], names, outer)
        if one["items"] == "null":
            raise Unsupported("an Avro list of nulls is not read", hint="it holds nothing: drop it")
        change = convert or _same
        return pa.list_(inner), lambda raw: [None if item is None else change(item) for item in raw]
    if kind == "map":
        inner, convert = _arrow(one["values"], names, outer)
        change = convert or _same
        return pa.map_(pa.string(), inner), lambda raw: [
            (key, None if value is None else change(value)) for key, value in raw.items()
        ]
    if kind == "fixed":
        return pa.binary(int(one["size"])), None
    return (pa.string(), None) if kind == "enum" else (_PLAIN[kind], None)


def _struct(one: dict[str, Any], names: dict[str, Any], outer: tuple[str, ...]) -> tuple[pa.DataType, Convert | None]:
    here = (*outer, one["name"], _full(one, ""))
    members = [(item, *_arrow(item["type"], names, here)) for item in one["fields"]]
    kind = pa.struct([pa.field(item.get("wb:name", item["name"]), inner) for item, inner, _ in members])

    def convert(raw: Any) -> dict[str, Any]:
        return {
            item.get("wb:name", item["name"]): raw[item["name"]]
            if raw[item["name"]] is None or change is None
            else change(raw[item["name"]])
            for item, _, change in members
        }

    return kind, convert


def _same(raw: Any) -> Any:
    return raw


def _as_json(raw: Any) -> str:
    return json.dumps(
        raw, ensure_ascii=False, default=lambda value: value.hex() if isinstance(value, bytes) else str(value)
    )


def without_logical(schema: Any) -> Any:
    """The schema with its logical types taken away, so that raw values come."""
    if isinstance(schema, list):
        return [without_logical(one) for one in schema]
    if isinstance(schema, dict):
        return {name: without_logical(value) for name, value in schema.items() if name != "logicalType"}
    return schema


# ------------------------------------------------------------------------------------------------------ writing


def avro_names(names: Iterable[str]) -> list[str]:
    """Names Avro takes: letters, digits, underscores."""
    taken: set[str] = set()
    result = []
    for name in names:
        plain = re.sub(r"[^A-Za-z0-9_]", "_", name)
        plain = plain if re.match(r"[A-Za-z_]", plain) else f"_{plain}"
        while plain in taken:
            plain += "_"
        taken.add(plain)
        result.append(plain)
    return result


def avro_schema(schema: pa.Schema) -> dict[str, Any]:
    """The schema of a container for rows of an Arrow schema; every field may be null."""
    return _record("row", list(schema))


def _record(name: str, fields: list[pa.Field]) -> dict[str, Any]:
    members = []
    for plain, item in zip(avro_names(one.name for one in fields), fields, strict=True):
        member: dict[str, Any] = {"name": plain, "type": ["null", _avro(item, f"{name}_{plain}")], "default": None}
        if plain != item.name:
            member["wb:name"] = item.name
        members.append(member)
    return {"type": "record", "name": name, "fields": members}


def _avro(item: pa.Field, name: str) -> Any:
    kind = item.type.value_type if pa.types.is_dictionary(item.type) else item.type
    if native_type(item) == "uuid" and is_text(kind):
        return {"type": "string", "logicalType": "uuid"}
    if pa.types.is_uint64(kind):
        return {"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 0}
    if pa.types.is_decimal(kind):
        return {"type": "bytes", "logicalType": "decimal", "precision": kind.precision, "scale": max(kind.scale, 0)}
    if pa.types.is_struct(kind):
        return _record(name, [kind.field(place) for place in range(kind.num_fields)])
    if pa.types.is_map(kind) and is_text(kind.key_type):
        return {"type": "map", "values": ["null", _avro(kind.item_field, f"{name}_value")]}
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return {"type": "array", "items": ["null", _avro(kind.value_field, f"{name}_item")]}
    return _moment(kind) or _simple(kind)


def _moment(kind: pa.DataType) -> Any:
    if pa.types.is_date(kind):
        return {"type": "int", "logicalType": "date"}
    if pa.types.is_time(kind) and kind.unit != "ns":
        return {"type": "long", "logicalType": "time-micros"}
    if pa.types.is_timestamp(kind):
        unit = "nanos" if kind.unit == "ns" else "micros" if kind.unit == "us" else "millis"
        return {"type": "long", "logicalType": f"{'' if kind.tz else 'local-'}timestamp-{unit}"}
    return None


def _simple(kind: pa.DataType) -> str:
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_float64(kind):
        return "double"
    if pa.types.is_floating(kind):
        return "float"
    if pa.types.is_integer(kind):
        return "int" if kind.bit_width < 32 or pa.types.is_int32(kind) else "long"
    if pa.types.is_duration(kind):
        return "long"
    return "bytes" if is_binary(kind) else "string"


def raw_values(values: pa.Array) -> list[Any]:
    """The values of a column as Avro's own: numbers, texts, bytes, lists, dictionaries."""
    array = flat(values)
    kind = array.type
    if pa.types.is_uint64(kind):
        return [_unscaled(Decimal(value), 0) if value is not None else None for value in array.to_pylist()]
    if pa.types.is_decimal(kind):
        return [_unscaled(value, max(kind.scale, 0)) if value is not None else None for value in array.to_pylist()]
    if pa.types.is_struct(kind):
        return _raw_structs(array)
    if pa.types.is_map(kind) and is_text(kind.key_type):
        entries = array.cast(pa.list_(pa.struct([("k", kind.key_type), ("v", kind.item_type)])))
        items = entries.flatten()
        pairs = list(zip(items.field(0).to_pylist(), raw_values(items.field(1)), strict=True))
        return [None if group is None else dict(group) for group in _grouped(entries, pairs)]
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        lists = array.cast(pa.list_(kind.value_field)) if pa.types.is_fixed_size_list(kind) else array
        return _grouped(lists, raw_values(lists.flatten()))
    if pa.types.is_date(kind):
        return array.cast(pa.date32()).cast(pa.int32()).to_pylist()
    if pa.types.is_time(kind) and kind.unit != "ns":
        return array.cast(pa.time64("us")).cast(pa.int64()).to_pylist()
    if pa.types.is_timestamp(kind):
        return (array.cast(pa.timestamp("ms", kind.tz)) if kind.unit == "s" else array).cast(pa.int64()).to_pylist()
    if pa.types.is_duration(kind):
        return array.cast(pa.int64()).to_pylist()
    plain = pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind)
    return array.to_pylist() if plain or is_binary(kind) or is_text(kind) else to_text(array).to_pylist()


def _unscaled(value: Decimal, scale: int) -> bytes:
    number = int(value.scaleb(scale, _WIDE))
    return number.to_bytes(number.bit_length() // 8 + 1, "big", signed=True)


def _grouped(lists: pa.Array, items: list[Any]) -> list[Any]:
    groups: list[Any] = []
    start = 0
    for length in pc.list_value_length(lists).to_pylist():
        groups.append(None if length is None else items[start : start + length])
        start += length or 0
    return groups


def _raw_structs(array: pa.Array) -> list[Any]:
    names = avro_names(array.type.field(place).name for place in range(array.type.num_fields))
    columns = [raw_values(column) for column in array.flatten()]
    rows = zip(*columns, strict=True) if columns else iter([()] * len(array))
    present = pc.is_valid(array).to_pylist()
    return [dict(zip(names, row, strict=True)) if there else None for row, there in zip(rows, present, strict=True)]
