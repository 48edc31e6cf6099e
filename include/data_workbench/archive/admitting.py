"""Which tables can be archived: whose rows leave whole, are told apart by every reader, and come back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from data_workbench.archive.cold import NUMBER
from data_workbench.connectors.postgres.redaction import is_redacted
from data_workbench.errors import AccessDenied, Unsupported

if TYPE_CHECKING:
    import psycopg

    from data_workbench.connectors.postgres.catalogue import Table

_HEIRS = """
SELECT i.inhrelid::pg_catalog.regclass::text FROM pg_catalog.pg_inherits i WHERE i.inhparent = %s ORDER BY 1
"""
_RULES = "SELECT rulename::text FROM pg_catalog.pg_rewrite WHERE ev_class = %s AND ev_type = '4' ORDER BY 1"
_TAKEN = "_wb_"
"""What names of columns begin with that tell where a row stands."""


def require_archivable(connection: psycopg.Connection, table: Table) -> None:
    """Raise Unsupported for what is no table whose rows are found again by a key, and leave when they are deleted."""
    stream = table.relation.stream
    if table.kind not in ("table", "partitioned_table"):
        raise Unsupported(f"{stream} is a {table.kind.replace('_', ' ')}", hint="archive the table its rows are in")
    if not table.key:
        raise Unsupported(f"{stream} has no primary key", hint="add one: rows are found again by it")
    _require_names(table)
    rules = [row[0] for row in connection.execute(_RULES, (table.oid,))]
    if rules:
        raise Unsupported(
            f"{stream} has a rule on DELETE, {rules[0]}: PostgreSQL does not say which rows it lets go",
            hint="make it a trigger, or drop it",
        )
    heirs = [row[0] for row in connection.execute(_HEIRS, (table.oid,))] if table.kind == "table" else []
    if heirs:
        raise Unsupported(
            f"{', '.join(heirs)} inherits from {stream}: rows of it would leave without the columns that are its own",
            hint="archive the tables that inherit, each by a policy of its own",
        )


def _require_names(table: Table) -> None:
    """Names that every reader of Parquet tells apart: DuckDB and Spark ignore case, and DuckDB has one of its own."""
    seen: dict[str, str] = {}
    for name in (one.name for one in table.columns):
        if name.lower().startswith(_TAKEN) or name.lower() == NUMBER:
            raise Unsupported(
                f"{table.relation.stream}: {name} is a name that reading archives takes itself",
                hint="rename the column",
            )
        other = seen.setdefault(name.lower(), name)
        if other != name:
            raise Unsupported(
                f"{table.relation.stream}: columns {other} and {name} differ by case alone; DuckDB and Spark would "
                "take one for the other",
                hint="rename one of them",
            )


def require_readable(table: Table) -> None:
    """Raise AccessDenied where not all of its rows and columns may be read."""
    stream = table.relation.stream
    hidden = [one.name for one in table.columns if is_redacted(table.relation.name, one.name)]
    if hidden:
        raise AccessDenied(
            f"{stream}: {', '.join(hidden)} is never read, so its rows cannot be archived whole",
            hint="leave this table where it is, or delete by its own application",
        )
    unreadable = [one.name for one in table.columns if not one.is_readable]
    if unreadable:
        raise AccessDenied(
            f"{stream}: no right to read {', '.join(unreadable)}", hint="GRANT SELECT on the whole table"
        )
    if table.has_row_security:
        raise AccessDenied(
            f"{stream} has row security: rows that are not seen would be missing",
            hint="archive it as a role with BYPASSRLS, after taking row security off for it",
        )
