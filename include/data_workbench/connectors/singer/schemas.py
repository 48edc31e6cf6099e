"""JSON Schema of a Singer stream as columns.

JSON Schema                              column
boolean                                  boolean
integer                                  bigint; numeric where `maximum` or `minimum` leave its range
number                                   double; with `multipleOf` a decimal of so many places, exact
string                                   text; `format` date-time: timestamptz (UTC), date, time, uuid,
                                         singer.decimal: numeric
array of one of these                    list
object, other arrays, several types      json, the document
anything and null, by `anyOf` or a list  nullable; integer and number: number; text and others: text
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import pyarrow as pa

from data_workbench.errors import SchemaConflict
from data_workbench.records import marks
from data_workbench.records.types import with_native

_MOST_DIGITS = 38
_INT64 = 2**63
_DEEPEST = 20
_FORMATS: Mapping[str, pa.DataType] = {
    "date-time": pa.timestamp("us", "UTC"),
    "date": pa.date32(),
    "time": pa.time64("us"),
}


@dataclass(frozen=True)
class StreamSchema:
    """Columns and key of a stream."""

    schema: pa.Schema
    key: tuple[str, ...]


def stream_schema(stream: str, schemas: Sequence[Mapping[str, Any]], keys: Sequence[Any]) -> StreamSchema:
    """What a stream holds, from all its SCHEMA messages; a column of several types takes both.

    Args:
        keys: the last message's `key_properties`.

    Raises:
        SchemaConflict: there are no properties, or a name that is reserved.
    """
    told: dict[str, list[Mapping[str, Any]]] = {}
    for schema in schemas:
        for name, one in _properties(schema).items():
            told.setdefault(name, [])
            if one not in told[name]:
                told[name].append(one)
    if not told:
        raise SchemaConflict(f"stream {stream!r} has a schema without properties")
    reserved = [name for name in told if name.startswith(marks.PREFIX)]
    if reserved:
        raise SchemaConflict(f"stream {stream!r} has the column {reserved[0]!r}, a name the workbench keeps to itself")
    root = schemas[-1]
    fields = [field_of(name, {"anyOf": ways} if len(ways) > 1 else ways[0], root) for name, ways in told.items()]
    return StreamSchema(pa.schema(fields), tuple(str(key) for key in keys if key in told))


def _properties(schema: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    found = schema.get("properties")
    if not isinstance(found, dict):
        return {}
    return {name: one if isinstance(one, dict) else {} for name, one in found.items()}


def field_of(name: str, schema: Mapping[str, Any], root: Mapping[str, Any]) -> pa.Field:
    """The column of one property."""
    ways = [way for way in _ways(schema, root, 0) if way.get("type") != "null"]
    shapes = list(dict.fromkeys(_shape(way, root) for way in ways))
    return _field(name, shapes)


Shape = tuple[pa.DataType, str | None]
_JSON: Shape = (pa.string(), "json")
_TEXT: Shape = (pa.string(), None)
_NUMERIC: Shape = (pa.string(), "numeric")


def _field(name: str, shapes: Sequence[Shape]) -> pa.Field:
    if not shapes:
        return pa.field(name, pa.string())
    kind, native = _common(list(shapes))
    return with_native(pa.field(name, kind), native)


def _common(shapes: list[Shape]) -> Shape:
    """One column for values of several shapes."""
    if len(shapes) > 1:
        # Taps say date-time, or a text: the text stands for what is null or cannot be parsed.
        formatted = [one for one in shapes if pa.types.is_temporal(one[0]) or one[1] == "uuid"]
        if len(formatted) == 1 and set(shapes) == {formatted[0], _TEXT}:
            return formatted[0]
    if len(shapes) == 1:
        return shapes[0]
    if all(_is_number(one) for one in shapes):
        exact = [one for one in shapes if not pa.types.is_floating(one[0])]
        return _NUMERIC if len(exact) == len(shapes) else (pa.float64(), None)
    return _JSON if any(pa.types.is_nested(kind) or native == "json" for kind, native in shapes) else _TEXT


def _is_number(shape: Shape) -> bool:
    kind, native = shape
    return native == "numeric" or pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)


def _ways(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> list[dict[str, Any]]:
    """A schema without alternatives for each way a value may be."""
    if depth > _DEEPEST:
        return [{"type": "object"}]
    reference = schema.get("$ref")
    if isinstance(reference, str):
        return _ways(_resolved(reference, root), root, depth + 1)
    for word in ("anyOf", "oneOf"):
        if isinstance(schema.get(word), list):
            beside = {key: value for key, value in schema.items() if key != word}
            inner = [{**beside, **one} for one in schema[word] if isinstance(one, dict)]
            return [way for one in inner for way in _ways(one, root, depth + 1)]
    kinds = schema.get("type")
    if isinstance(kinds, list):
        return [{**schema, "type": kind} for kind in kinds]
    return [dict(schema)]


def _resolved(reference: str, root: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Any = root
    for step in reference.removeprefix("#/").split("/") if reference.startswith("#/") else ["?"]:
        found = found.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {"type": "object"}


def _shape(way: Mapping[str, Any], root: Mapping[str, Any]) -> Shape:
    match way.get("type"):
        case "boolean":
            return pa.bool_(), None
        case "integer":
            bounds = [way.get(name) for name in ("minimum", "maximum")]
            wide = any(isinstance(one, int | Decimal) and not -_INT64 <= one < _INT64 for one in bounds)
            return _NUMERIC if wide else (pa.int64(), None)
        case "number":
            return _number(way)
        case "string":
            return _string(way)
        case "array":
            return _array(way, root)
    return _JSON


def _number(way: Mapping[str, Any]) -> Shape:
    step = way.get("multipleOf")
    if step is None:
        return pa.float64(), None
    try:
        exponent = Decimal(str(step)).normalize().as_tuple().exponent
    except InvalidOperation:
        return pa.float64(), None
    places = max(0, -exponent) if isinstance(exponent, int) else 0
    if places > _MOST_DIGITS:
        return _NUMERIC
    return pa.decimal128(_MOST_DIGITS, places), f"numeric({_MOST_DIGITS},{places})"


def _string(way: Mapping[str, Any]) -> Shape:
    form = way.get("format")
    if form == "uuid":
        return pa.string(), "uuid"
    if form == "singer.decimal":
        return _NUMERIC
    return _FORMATS.get(str(form), pa.string()), None


def _array(way: Mapping[str, Any], root: Mapping[str, Any]) -> Shape:
    items = way.get("items")
    if not isinstance(items, dict):
        return _JSON
    element = field_of("item", items, root)
    is_plain = not (element.metadata or pa.types.is_nested(element.type)) and items != {}
    return (pa.list_(element), None) if is_plain else _JSON
