"""Payloads as columns: which there are, found in a sample, and how values of many shapes become one type."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from data_workbench.errors import SchemaConflict
from data_workbench.mapping.payload_values import from_payload
from data_workbench.records import marks
from data_workbench.records.types import native_type, with_native


def payload_fields(payloads: Iterable[Mapping[str, Any]]) -> list[pa.Field]:
    """A field per key, in the order met; values of no common type, and objects, are JSON text."""
    values: dict[str, list[Any]] = {}
    for payload in payloads:
        for name, value in payload.items():
            if not name.startswith(marks.PREFIX):
                values.setdefault(name, []).append(value)
    return [_field(name, found) for name, found in values.items()]


def _field(name: str, values: Sequence[Any]) -> pa.Field:
    kind = _scalar(values)
    if kind is not None:
        return pa.field(name, kind)
    present = [value for value in values if value is not None]
    if all(isinstance(value, list) for value in present):
        element = _scalar([item for value in present for item in value])
        if element is not None:
            return pa.field(name, pa.list_(element))
    return with_native(pa.field(name, pa.string()), "json")


def _scalar(values: Sequence[Any]) -> pa.DataType | None:
    """The type of plain values; None if there is no common one."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {str}:
        return pa.string()
    if kinds == {bool}:
        return pa.bool_()
    if kinds == {int}:
        return pa.int64() if max(value for value in values if value is not None) < 2**63 else pa.uint64()
    if kinds <= {int, float}:
        return pa.float64()
    return None


def column_of(values: Sequence[Any], item: pa.Field) -> pa.Array:
    """Payload values as a column.

    Raises:
        SchemaConflict: a value is not of the column's type; it is named.
    """
    if native_type(item) in ("json", "jsonb"):
        return pa.array([_document(value) for value in values], pa.string())
    if pa.types.is_string(item.type):
        return pa.array([value if value is None or isinstance(value, str) else _document(value) for value in values])
    try:
        return from_payload(values, item.type)
    except SchemaConflict:
        wrong = next(value for value in values if not _fits(value, item.type))
        raise SchemaConflict(
            f"payload key {item.name!r} holds {str(wrong)[:80]!r}, which is not {item.type} as the first points were",
            hint=f"read it as `options: {{types: {{{item.name}: json}}}}`",
        ) from None


def lenient_column(values: Sequence[Any], item: pa.Field) -> pa.Array:
    """Payload values as a column for comparing: what cannot be of the type, as others may have left it, is null."""
    try:
        return from_payload(values, item.type)
    except SchemaConflict:
        return from_payload([value if _fits(value, item.type) else None for value in values], item.type)


def _fits(value: Any, kind: pa.DataType) -> bool:
    try:
        from_payload([value], kind)
    except SchemaConflict:
        return False
    return True


def _document(value: Any) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False)


def vector_column(vectors: Sequence[Sequence[float] | None]) -> pa.Array:
    """Vectors as list<float32>."""
    lengths = np.array([0 if vector is None else len(vector) for vector in vectors], np.int32)
    offsets = np.concatenate([np.zeros(1, np.int32), np.cumsum(lengths, dtype=np.int32)])
    parts = [np.asarray(vector, np.float32) for vector in vectors if vector is not None]
    numbers = pa.array(np.concatenate(parts) if parts else np.zeros(0, np.float32), pa.float32())
    mask = pa.array([vector is None for vector in vectors], pa.bool_())
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), numbers, mask=mask)
