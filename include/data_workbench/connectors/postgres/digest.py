"""Rows as a count and one number that no order changes: the sum of each whole row's hash, computed by the server.

PostgreSQL's own extended hash functions are used where a type has one, its text otherwise. Values that are equal for
the type hash equally on both sides, whatever the width of an integer or the length limit of a text; what differs in
any column changes the sum.
"""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from data_workbench.connectors.postgres.catalogue import Column
from data_workbench.connectors.postgres.names import quoted

Digest = tuple[int, int]
"""Rows, and the sum of their hashes."""

_TEXTS = ("text", "varchar")
_HASHED = frozenset(
    [
        "int2",
        "int4",
        "int8",
        "float4",
        "float8",
        "numeric",
        "bool",
        "uuid",
        "bytea",
        "date",
        "time",
        "timetz",
        "timestamp",
        "timestamptz",
        "interval",
        "jsonb",
        "inet",
        "cidr",
        "macaddr",
        "oid",
    ]
)
_ALIKE = {"int2": "integer", "int4": "integer", "int8": "integer", "varchar": "text"}


def are_alike(ours: Column, theirs: Column) -> bool:
    """Whether equal values of the two columns hash equally."""
    return _family(ours) == _family(theirs)


def _family(column: Column) -> str:
    if column.type_schema != "pg_catalog":
        return column.native
    base = _base(column)
    kind = _ALIKE.get(base.removesuffix("[]"), base.removesuffix("[]"))
    return f"{kind}[]" if base.endswith("[]") else kind


def _base(column: Column) -> str:
    """The type without length or precision, brackets kept: `numeric(12,4)[]` is `numeric[]`."""
    return column.native.partition("(")[0].removesuffix("[]") + ("[]" if column.native.endswith("[]") else "")


def digest_of(connection: psycopg.Connection, rows: str, columns: Sequence[Column]) -> Digest:
    """The digest of a table or subquery in parentheses, with its condition if it has one.

    Args:
        rows: what follows FROM.
        columns: what counts, in an order both sides agree on.
    """
    row = connection.execute(f"SELECT {digest_columns(columns)} FROM {rows}".encode()).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


def digest_columns(columns: Sequence[Column]) -> str:
    """The two numbers of a digest as SELECT has them."""
    hashed = ", ".join(map(_hashable, columns))
    return (
        f"pg_catalog.count(*), coalesce(pg_catalog.sum(pg_catalog.hash_record_extended(ROW({hashed}), 0)), 0)::numeric"
    )


def _hashable(column: Column) -> str:
    name, base = quoted(column.name), _base(column).removesuffix("[]")
    if column.type_schema == "pg_catalog" and base in _TEXTS:
        return f'{name} COLLATE pg_catalog."C"'
    return name if column.type_schema == "pg_catalog" and base in _HASHED else f'{name}::text COLLATE pg_catalog."C"'
