"""Logical types Arrow does not have, carried as field metadata.

A column read from a store keeps the store's own type name (`uuid`, `jsonb`, `numeric`, `inet`, …) in its Arrow field,
so that a destination which has that type gets it back exactly. Columns a step passes on unchanged keep it; computed
ones lose it and have their Arrow type alone.

    logical type              Arrow type                    metadata
    uuid                      string (canonical lower case) uuid
    json, jsonb               string (the document)         json, jsonb
    numeric without scale     string (exact digits)         numeric
    numeric(p, s), p <= 76    decimal128/decimal256         numeric(p,s)
    any other                 string (the store's text)     the store's type name
"""

from __future__ import annotations

import json

import pyarrow as pa

NATIVE = b"wb:type"
LABELS = b"wb:labels"
"""The labels of an enumerated type, in their order, as a JSON list."""


def with_native(field: pa.Field, native: str | None) -> pa.Field:
    """The field, noting the store's own type name."""
    if native is None:
        return field
    return field.with_metadata({**(field.metadata or {}), NATIVE: native.encode()})


def native_type(field: pa.Field) -> str | None:
    """The store's own type name of a column, if it came unchanged from a store."""
    value = (field.metadata or {}).get(NATIVE)
    return value.decode() if value is not None else None


def labels_of(field: pa.Field) -> tuple[str, ...] | None:
    """The labels a column of an enumerated type may hold; None for any other column."""
    value = (field.metadata or {}).get(LABELS)
    return tuple(json.loads(value)) if value is not None else None


def keep_native(schema: pa.Schema, origins: dict[str, pa.Field]) -> pa.Schema:
    """Give `schema` the native types of the fields its columns came from unchanged.

    Args:
        schema: a result's schema, without metadata.
        origins: per column of `schema` the field it is an unchanged copy of.
    """
    return pa.schema(
        [with_native(item, native_type(origins[item.name])) if item.name in origins else item for item in schema]
    )
