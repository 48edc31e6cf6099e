"""What a relation is, asked of pg_catalog: columns with their types, keys, comments, estimates."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
import pyarrow as pa

from data_workbench.connectors.base import Stream
from data_workbench.connectors.postgres.names import Relation
from data_workbench.connectors.postgres.redaction import is_redacted
from data_workbench.connectors.postgres.types import arrow_type, short_name
from data_workbench.errors import StreamUnknown
from data_workbench.records.types import LABELS, with_native

REDACTED = b"wb:redacted"
COMMENT = b"comment"

_KINDS = {"r": "table", "p": "partitioned_table", "v": "view", "m": "materialized_view", "f": "foreign_table"}

_RELATIONS = """
SELECT c.oid, n.nspname, c.relname, c.relkind::text,
       CASE WHEN c.relkind IN ('v', 'f') OR c.reltuples < 0 THEN NULL ELSE c.reltuples::int8 END,
       pg_catalog.obj_description(c.oid, 'pg_class'),
       EXISTS (SELECT FROM pg_catalog.pg_trigger g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal),
       c.relrowsecurity
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
"""
_READABLE = """
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast', '_workbench')
  AND n.nspname NOT LIKE 'pg\\_temp\\_%%' AND n.nspname NOT LIKE 'pg\\_toast\\_temp\\_%%'
  AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')
  AND (pg_catalog.has_table_privilege(c.oid, 'SELECT') OR pg_catalog.has_any_column_privilege(c.oid, 'SELECT'))
ORDER BY n.nspname, c.relname
"""
# Domains are followed down to the type they rest on; the typmod is the first one met on the way.
_COLUMNS = """
WITH RECURSIVE rested AS (
    SELECT a.attrelid, a.attnum, a.atttypid AS type, a.atttypmod AS modifier, 0 AS depth
    FROM pg_catalog.pg_attribute a WHERE a.attrelid = ANY(%(oids)s) AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT r.attrelid, r.attnum, t.typbasetype, greatest(r.modifier, t.typtypmod), r.depth + 1
    FROM rested r JOIN pg_catalog.pg_type t ON t.oid = r.type AND t.typtype = 'd'
), based AS (
    SELECT DISTINCT ON (attrelid, attnum) * FROM rested ORDER BY attrelid, attnum, depth DESC
)
SELECT a.attrelid, a.attname, pg_catalog.format_type(b.type, b.modifier), n.nspname, t.typname,
       a.attnotnull, a.attgenerated::text, a.attidentity::text, a.atthasdef,
       pg_catalog.col_description(a.attrelid, a.attnum), coalesce(l.collisdeterministic, true),
       pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'SELECT'),
       pg_catalog.quote_ident(s.nspname) || '.' || pg_catalog.quote_ident(f.proname),
       (SELECT array_agg(e.enumlabel::text ORDER BY e.enumsortorder)
        FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid)
FROM based b
JOIN pg_catalog.pg_attribute a ON a.attrelid = b.attrelid AND a.attnum = b.attnum
JOIN pg_catalog.pg_type t ON t.oid = b.type
JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
JOIN pg_catalog.pg_proc f ON f.oid = t.typoutput
JOIN pg_catalog.pg_namespace s ON s.oid = f.pronamespace
LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation
ORDER BY a.attrelid, a.attnum
"""
# Only what PostgreSQL itself guarantees for every row at once: whole, immediate, of plain columns.
_UNIQUE = """
SELECT i.indrelid, i.indisprimary, array_agg(a.attname::text ORDER BY k.place), bool_and(a.attnotnull)
FROM pg_catalog.pg_index i
CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(number, place)
LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number AND k.number > 0
WHERE i.indrelid = ANY(%(oids)s) AND i.indisunique AND i.indisvalid AND i.indimmediate
  AND i.indpred IS NULL AND i.indexprs IS NULL AND k.place <= i.indnkeyatts
GROUP BY i.indexrelid, i.indrelid, i.indisprimary ORDER BY i.indisprimary DESC, i.indexrelid
"""


@dataclass(frozen=True)
class Column:
    """A column as it stands; `native` is the base type where the column's is a domain."""

    name: str
    native: str
    not_null: bool
    generated: bool
    """Computed, or an identity that is always generated: never written."""
    has_default: bool
    comment: str | None
    is_deterministic: bool
    is_readable: bool
    type_schema: str
    output: str
    """The function that prints a value of the base type, for SQL."""
    labels: tuple[str, ...] | None = None
    """Of an enumerated type."""

    @property
    def arrow(self) -> pa.DataType:
        return arrow_type(self.native)

    def field(self, relation: Relation) -> pa.Field:
        """As a field, with type name, comment, and whether it is redacted."""
        metadata = {COMMENT: self.comment.encode()} if self.comment else {}
        if is_redacted(relation.name, self.name):
            metadata[REDACTED] = b"true"
        if self.labels is not None:
            metadata[LABELS] = json.dumps(self.labels).encode()
        # A redacted column is read as NULL, whatever the table promises.
        nullable = not self.not_null or REDACTED in metadata
        return with_native(pa.field(self.name, self.arrow, nullable, metadata=metadata or None), self.native)


@dataclass(frozen=True)
class Table:
    """A relation as it stands."""

    relation: Relation
    oid: int
    kind: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    unique: tuple[tuple[str, ...], ...]
    """Unique and not null."""
    unique_nullable: tuple[tuple[str, ...], ...]
    """Unique where not null: good enough for ON CONFLICT."""
    estimated_rows: int | None
    comment: str | None
    has_triggers: bool
    has_row_security: bool

    def column(self, name: str) -> Column | None:
        """A column by name."""
        return next((column for column in self.columns if column.name == name), None)

    def is_unique(self, columns: Sequence[str]) -> bool:
        """Whether an index makes ON CONFLICT (columns) possible."""
        return any(set(one) == set(columns) for one in (*self.unique, *self.unique_nullable))

    def as_stream(self) -> Stream:
        """As the engine knows it."""
        return Stream(
            name=self.relation.stream,
            schema=pa.schema([column.field(self.relation) for column in self.columns]),
            key=self.key,
            unique=self.unique,
            estimated_rows=self.estimated_rows,
            comment=self.comment,
            kind=self.kind,
            generated=tuple(column.name for column in self.columns if column.generated),
        )


def all_tables(connection: psycopg.Connection) -> list[Table]:
    """Every relation the role can read."""
    return _loaded(connection, connection.execute(_RELATIONS + _READABLE).fetchall())


def find_table(connection: psycopg.Connection, relation: Relation) -> Table | None:
    """One relation, or None."""
    query = _RELATIONS + " AND n.nspname = %s AND c.relname = %s"
    found = _loaded(connection, connection.execute(query, (relation.schema, relation.name)).fetchall())
    return found[0] if found else None


def get_table(connection: psycopg.Connection, relation: Relation) -> Table:
    """One relation.

    Raises:
        StreamUnknown: there is none, with near names.
    """
    found = find_table(connection, relation)
    if found is not None:
        return found
    names = [Relation(row[1], row[2]).stream for row in connection.execute(_RELATIONS + _READABLE).fetchall()]
    near = difflib.get_close_matches(relation.stream, names, n=3, cutoff=0.5)
    near += [name for name in names if name.lower().endswith(f".{relation.name.lower()}") and name not in near]
    hint = f"near names: {', '.join(near[:5])}" if near else "`workbench discover` lists what the role can read"
    raise StreamUnknown(f"no table or view {relation.stream}", hint=hint)


def _loaded(connection: psycopg.Connection, relations: list[Any]) -> list[Table]:
    parameters = {"oids": [row[0] for row in relations]}
    columns: dict[int, list[Column]] = {}
    for row in connection.execute(_COLUMNS, parameters):
        columns.setdefault(row[0], []).append(_column(row))
    unique: dict[int, list[tuple[bool, tuple[str, ...], bool]]] = {}
    for oid, is_primary, names, not_null in connection.execute(_UNIQUE, parameters):
        unique.setdefault(oid, []).append((is_primary, tuple(names), not_null))
    return [_table(row, columns.get(row[0], []), unique.get(row[0], [])) for row in relations]


def _table(row: Any, columns: list[Column], unique: list[tuple[bool, tuple[str, ...], bool]]) -> Table:
    return Table(
        relation=Relation(row[1], row[2]),
        oid=row[0],
        kind=_KINDS[row[3]],
        columns=tuple(columns),
        key=next((names for is_primary, names, _ in unique if is_primary), ()),
        unique=tuple(dict.fromkeys(names for _, names, not_null in unique if not_null)),
        unique_nullable=tuple(names for _, names, not_null in unique if not not_null),
        estimated_rows=row[4],
        comment=row[5],
        has_triggers=row[6],
        has_row_security=row[7],
    )


def _column(row: Any) -> Column:
    _, name, formatted, type_schema, _, not_null, generated, identity, has_default, comment, *more = row
    deterministic, readable, output, labels = more
    return Column(
        name=name,
        native=short_name(formatted) if type_schema == "pg_catalog" else _qualified(formatted, type_schema),
        not_null=not_null,
        generated=bool(generated) or identity == "a",
        has_default=has_default or bool(identity),
        comment=comment,
        is_deterministic=deterministic,
        is_readable=readable,
        type_schema=type_schema,
        output=output,
        labels=tuple(labels) if labels is not None else None,
    )


def _qualified(formatted: str, schema: str) -> str:
    # A type on the search path comes without its schema; the name must mean the same to every session.
    prefix = schema if schema.isidentifier() and schema.islower() else '"' + schema.replace('"', '""') + '"'
    return formatted if formatted.startswith(f"{prefix}.") else f"{prefix}.{formatted}"
