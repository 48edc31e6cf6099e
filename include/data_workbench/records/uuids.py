"""UUIDv5 (RFC 4122) as DuckDB macros, so that deterministic ids are made for whole columns at once."""

from __future__ import annotations

from typing import Final

NAMESPACES: Final = {
    "dns": "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
    "url": "6ba7b811-9dad-11d1-80b4-00c04fd430c8",
    "oid": "6ba7b812-9dad-11d1-80b4-00c04fd430c8",
    "x500": "6ba7b814-9dad-11d1-80b4-00c04fd430c8",
}
_CHOICES = " ".join(f"WHEN '{name}' THEN '{value}'" for name, value in NAMESPACES.items())
_VARIANT = "substr('89ab', (instr('0123456789abcdef', substr(h, 17, 1)) - 1) % 4 + 1, 1)"
_SHAPE = (
    f"substr(h, 1, 8) || '-' || substr(h, 9, 4) || '-5' || substr(h, 14, 3) || '-' || {_VARIANT} "
    "|| substr(h, 18, 3) || '-' || substr(h, 21, 12)"
)
_BYTES = (
    f"unhex(replace(CASE lower(CAST(namespace AS VARCHAR)) {_CHOICES} ELSE CAST(namespace AS VARCHAR) END, '-', '')) "
    "|| encode(CAST(name AS VARCHAR))"
)

UUID5_MACROS: Final = (
    # The list of one holds the digest, so that it is computed once.
    f"CREATE OR REPLACE TEMP MACRO uuid5(namespace, name) AS list_transform([sha1({_BYTES})], lambda h: {_SHAPE})[1]",
)
"""Statements that define `uuid5(namespace, name)`: namespace is a UUID, or dns, url, oid, x500. NULL in, NULL out."""
