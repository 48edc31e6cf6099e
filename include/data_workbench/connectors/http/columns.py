"""JSON records as rows: which columns there are, found in a sample or declared, and how values become of one type.

The schema is found once and stays. Nested objects and lists of mixed values are JSON documents as text; a text column
whose every sampled value is a date or a moment is read as one. A record with a value that does not fit is rejected
alone, the others go on.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pyarrow as pa

from data_workbench.connectors.column_types import field_of
from data_workbench.connectors.http.paths import JsonPath
from data_workbench.errors import SchemaConflict
from data_workbench.mapping.payload_values import from_payload
from data_workbench.records import marks
from data_workbench.records.types import native_type, with_native

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?")
_ZONED = re.compile(_MOMENT.pattern + r"(Z|[+-]\d{2}(:?\d{2})?)")
_MOST_COLUMNS = 2000
_SHOWN = 80
_MOST_DIGITS = 400


@dataclass(frozen=True)
class Wrong:
    """A record that fits no row: its place in the page, and why."""

    index: int
    rule: str
    reason: str


@dataclass(frozen=True)
class Layout:
    """The columns of a stream: their fields, and where each stands in a record."""

    schema: pa.Schema
    paths: Mapping[str, JsonPath]

    def batch(self, records: Sequence[Any], columns: Sequence[str]) -> tuple[pa.RecordBatch, list[Wrong]]:
        """The records as a batch of these columns, and those that do not fit."""
        wrong: dict[int, Wrong] = {}
        for index, record in enumerate(records):
            if not isinstance(record, Mapping):
                reason = f"a JSON {_kind(record)} where an object is wanted"
                wrong[index] = Wrong(index, "json_object", reason)
        arrays = [self._column(records, self.schema.field(name), wrong) for name in columns]
        schema = pa.schema([self.schema.field(name) for name in columns])
        whole = pa.RecordBatch.from_arrays(arrays, schema=schema)
        if wrong:
            whole = whole.filter(pa.array([index not in wrong for index in range(len(records))]))
        return whole, [wrong[index] for index in sorted(wrong)]

    def value(self, record: Any, column: str) -> Any:
        """What stands in a record for a column."""
        if not isinstance(record, Mapping):
            return None
        path = self.paths.get(column)
        return record.get(column) if path is None else path.value(record)

    def _column(self, records: Sequence[Any], item: pa.Field, wrong: dict[int, Wrong]) -> pa.Array:
        read = reader_of(item)
        values: list[Any] = []
        for index, record in enumerate(records):
            try:
                values.append(read(self.value(record, item.name)))
            except ValueError as error:
                values.append(None)
                wrong.setdefault(index, Wrong(index, "type", f"column {item.name!r}: {error}"))
        try:
            return from_payload(values, item.type)
        except SchemaConflict:
            return self._one_by_one(values, item, wrong)

    @staticmethod
    def _one_by_one(values: list[Any], item: pa.Field, wrong: dict[int, Wrong]) -> pa.Array:
        for index, value in enumerate(values):
            try:
                from_payload([value], item.type)
            except SchemaConflict:
                reason = f"column {item.name!r} holds {shown(value)}, which is no {native_type(item) or item.type}"
                wrong.setdefault(index, Wrong(index, "type", reason))
                values[index] = None
        return from_payload(values, item.type)


def layout_of(
    records: Iterable[Any], columns: Mapping[str, str], types: Mapping[str, str], *, added: Iterable[str] = ()
) -> Layout:
    """The layout that sampled records and declarations give, columns in the order met.

    Args:
        columns: column: path in the record, beside the record's own names.
        types: column: type, instead of the found one.
        added: columns that are there although no sampled record has them.

    Raises:
        SchemaConflict: there are none, or too many.
    """
    paths = {name: JsonPath.parse(text) for name, text in columns.items()}
    values: dict[str, list[Any]] = {name: [] for name in added}
    for record in records:
        if isinstance(record, Mapping):
            for name, value in record.items():
                if not name.startswith(marks.PREFIX) and name not in paths:
                    values.setdefault(name, []).append(value)
            for name, path in paths.items():
                values.setdefault(name, []).append(path.value(record))
    names = dict.fromkeys([*values, *paths, *types])
    if len(names) > _MOST_COLUMNS:
        raise SchemaConflict(
            f"the sampled records have {len(names)} different names, at most {_MOST_COLUMNS} become columns",
            hint="name the ones you want: `columns`, with `sample: 0`",
        )
    fields = [
        field_of(name, types[name]) if name in types else found_field(name, values.get(name, [])) for name in names
    ]
    return Layout(pa.schema(fields), paths)


# ----------------------------------------------------------------------------------------------------- types found


def found_field(name: str, values: Sequence[Any]) -> pa.Field:
    """The narrowest field that all values fit; documents as JSON text where there is no common type."""
    present = [value for value in values if value is not None]
    kind = _scalar(present)
    if kind is None and all(isinstance(value, list) for value in present):
        element = _scalar([item for value in present for item in value if item is not None])
        kind = pa.list_(element) if element is not None else None
    return pa.field(name, kind) if kind is not None else with_native(pa.field(name, pa.string()), "json")


def _scalar(values: Sequence[Any]) -> pa.DataType | None:
    kinds = {type(value) for value in values}
    if kinds <= {str}:
        return _text(values)
    if kinds == {bool}:
        return pa.bool_()
    if kinds == {int}:
        return pa.int64() if all(-(2**63) <= value < 2**63 for value in values) else None
    return pa.float64() if kinds <= {int, Decimal} else None


def _text(values: Sequence[str]) -> pa.DataType:
    for pattern, kind in (
        (_DATE, pa.date32()),
        (_MOMENT, pa.timestamp("us")),
        (_ZONED, pa.timestamp("us", "UTC")),
    ):
        if values and all(pattern.fullmatch(value) for value in values):
            try:
                pa.array(values, pa.string()).cast(kind)
            except pa.ArrowInvalid:  # 2026-02-30
                return pa.string()
            return kind
    return pa.string()


# --------------------------------------------------------------------------------------------------- values fitted


def reader_of(item: pa.Field) -> Callable[[Any], Any]:
    """Turns a JSON value into one `from_payload` takes without guessing; ValueError for what would change meaning."""
    kind = item.type
    if native_type(item) in ("json", "jsonb"):
        return document
    if pa.types.is_string(kind):
        return _as_text
    if pa.types.is_integer(kind):
        return _whole
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _number
    return _plain


def document(value: Any) -> str | None:
    """A value as JSON text, numbers with the digits they came with where a double holds them."""
    if value is None:
        return None
    return json.dumps(value, ensure_ascii=False, default=_exact)


def _exact(value: Any) -> Any:
    if isinstance(value, Decimal):
        number = float(value)
        return number if math.isfinite(number) else str(value)
    raise TypeError(f"{type(value).__name__} is no JSON")


def _as_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return str(value) if isinstance(value, Decimal) else document(value)


def _whole(value: Any) -> Any:
    if isinstance(value, bool) or (isinstance(value, Decimal) and (_is_vast(value) or value % 1)):
        raise ValueError(f"{shown(value)} is no whole number")
    return value


def _number(value: Any) -> Any:
    if isinstance(value, bool | list | Mapping) or (isinstance(value, Decimal) and _is_vast(value)):
        raise ValueError(f"{shown(value)} is no number")
    return format(value, "f") if isinstance(value, Decimal) else value


def _is_vast(value: Decimal) -> bool:
    """Whether a number could not be written out: `1e999999999` is ten bytes in an answer."""
    return not value.is_finite() or abs(value.adjusted()) > _MOST_DIGITS


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        raise ValueError(f"{shown(value)} is no single value")
    return value


def shown(value: Any) -> str:
    """A value as a message shows it, cut short."""
    text = document(value) or "null"
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _kind(value: Any) -> str:
    return {dict: "object", list: "list", str: "text", bool: "boolean", type(None): "null"}.get(type(value), "number")
