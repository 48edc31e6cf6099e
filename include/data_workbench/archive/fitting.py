"""Archived rows as their table takes them now: columns that have another name or type, are left out, or are gone.

What has another type is staged as it was archived, too, so that PostgreSQL tells whether it can be had back from what
it became: a value that would come back as another one keeps its row in the archive.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg
import pyarrow as pa
from psycopg import sql

from data_workbench.archive.manifest import ColumnFacts, Manifest
from data_workbench.archive.removal import PART, ROW, STAGING, extra_column
from data_workbench.archive.source import table_as_dataset
from data_workbench.connectors.postgres.names import quoted
from data_workbench.errors import NotAllowed, SchemaConflict, UsageError

if TYPE_CHECKING:
    from data_workbench.archive.returning import Order
    from data_workbench.connectors.postgres.catalogue import Column, Table

_WAS = "_wb_was_"
_NUMERIC = "numeric"


class Fit:
    """How rows of an archive go into the table as it is.

    Args:
        archived: the schema of its parts.

    Raises:
        SchemaConflict: the table lacks a column of the key.
        UsageError: a column is to come back as one that there is not.
    """

    def __init__(
        self, session: psycopg.Connection, manifest: Manifest, archived: pa.Schema, table: Table, order: Order
    ) -> None:
        self._session, self._manifest, self._without = session, manifest, set(order.without)
        # Archives of before the column had another name have it by that one, younger ones have not.
        self._names = {old: new for old, new in order.renamed if old in archived.names}
        stream = manifest.origin.stream
        for old, new in self._names.items():
            if table.column(new) is None or new in {*archived.names} - self._names.keys() - self._without:
                told = "has no such column" if table.column(new) is None else "was archived with a column of that name"
                raise UsageError(
                    f"{old} cannot come back as {new}: {stream} {told}",
                    hint=f"it has {', '.join(one.name for one in table.columns)}",
                )
        kept = [one for one in manifest.columns if one.name not in self._without and self._now(table, one) is not None]
        missing = [name for name in manifest.origin.key if name not in {one.name for one in kept}]
        if missing:
            raise SchemaConflict(
                f"{stream} has no column {', '.join(missing)} any more, the key of its archived rows",
                hint=f"tell its name of today: --rename {missing[0]}=NAME; or restore into a table that has it",
            )
        schema = pa.schema([archived.field(one.name).with_name(self.name(one.name)) for one in kept])
        key = tuple(map(self.name, manifest.origin.key))
        whole = table_as_dataset(session, table, ())
        self.dataset = replace(whole, schema=schema, table=replace(table, key=key))
        self._kept = [one.name for one in kept]
        self._changed = [one for one in kept if one.native != self._column(table, one).native]

    def name(self, archived: str) -> str:
        """A column's name of today."""
        return self._names.get(archived, archived)

    def _now(self, table: Table, one: ColumnFacts) -> Column | None:
        return table.column(self.name(one.name))

    def _column(self, table: Table, one: ColumnFacts) -> Column:
        found = self._now(table, one)
        assert found is not None
        return found

    @property
    def more(self) -> list[Column]:
        """Columns of the staged rows that hold values as they were archived."""
        return [extra_column(f"{_WAS}{place}", self._type(one)) for place, one in enumerate(self._changed)]

    def _type(self, one: ColumnFacts) -> str:
        """PostgreSQL's type then, or text where there is none of this name any more."""
        row = self._session.execute("SELECT pg_catalog.to_regtype(%s) IS NOT NULL", (one.native,)).fetchone()
        return one.native if row and row[0] else "text"

    def rows(self, rows: pa.Table) -> pa.Table:
        """Rows as they are staged. Raises SchemaConflict where the table lacks a column that has values."""
        known = {*self._kept, PART, ROW, *self._without}
        lacking = [name for name in rows.column_names if name not in known]
        lacking = [name for name in lacking if rows.column(name).null_count < rows.num_rows]
        if lacking:
            raise SchemaConflict(
                f"{self._manifest.origin.stream} has no column {', '.join(lacking)} any more; archived rows have "
                "values in it",
                hint=f"tell its name of today: --rename {lacking[0]}=NAME; add the column again; or leave its values "
                f"in the archive: --without {lacking[0]}",
            )
        found = rows.select([*self._kept, *(one.name for one in self._changed), PART, ROW])
        was = [f"{_WAS}{place}" for place in range(len(self._changed))]
        return found.rename_columns([*self.dataset.schema.names, *was, PART, ROW])

    def require_equal(self) -> None:
        """Raise SchemaConflict where a staged value would come back as another than was archived."""
        for place, one in enumerate(self._changed):
            native = self._type(one)
            was, back = sql.Identifier(f"{_WAS}{place}"), sql.Identifier(self.name(one.name))
            same = sql.SQL("s.{0} IS NOT DISTINCT FROM s.{1}::text::{2}")
            if native.partition("(")[0] != _NUMERIC:  # 1.5 and 1.50 are one number; of other types every byte counts
                same = sql.SQL("ROW(s.{0})::record OPERATOR(pg_catalog.*=) ROW(s.{1}::text::{2})::record")
            row = self._session.execute(
                sql.SQL("SELECT count(*) FROM pg_temp.{} AS s WHERE NOT ({})").format(
                    sql.Identifier(STAGING), same.format(was, back, sql.SQL(native))
                )
            ).fetchone()
            if row and row[0]:
                now = self.dataset.table.column(self.name(one.name))
                assert now is not None
                raise SchemaConflict(
                    f"{self._manifest.origin.stream}: {now.name} is {now.native} now, and {row[0]} values archived as "
                    f"{one.native} would come back as others",
                    hint=f"give the column its type again, or leave its values in the archive: --without {one.name}",
                )

    @contextmanager
    def told(self) -> Iterator[None]:
        """Tell what the table does not take as what it is: rows of an archive, not of a pipeline."""
        stream, archive = self._manifest.origin.stream, self._manifest.archive
        try:
            yield
        except psycopg.DataError as error:
            context = (error.diag.context or "").partition(", column ")[2].partition(":")[0]
            place = f"{context}: " if context else ""
            raise SchemaConflict(
                f"{stream} does not take rows of archive {archive}: {place}{error.diag.message_primary or error}",
                hint="give the column a type that holds its values, or leave them in the archive: --without COLUMN",
            ) from None
        except psycopg.IntegrityError as error:
            raise NotAllowed(
                f"{stream} does not take rows of archive {archive}: {error.diag.message_primary or error}",
                hint="give a new column a default, correct the row in its way, or drop the constraint for the restore; "
                "nothing was changed by this archive",
            ) from None


def described(manifest: Manifest) -> str:
    """SQL that makes a table for the rows of an archive."""
    columns = [f"{quoted(one.name)} {one.native}" for one in manifest.columns]
    key = ", ".join(map(quoted, manifest.origin.key))
    return f"CREATE TABLE {manifest.origin.stream} ({', '.join(columns)}, PRIMARY KEY ({key}))"
