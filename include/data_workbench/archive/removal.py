"""Rows leave the table, in one transaction that deletes what is still equal to what was archived, and notes it.

The parts are read back into a temporary table and compared with the table's rows as PostgreSQL stores them (`*=`): what
was written can be restored, or it is not deleted. A row that was changed or deleted since, or that something refers to
by now, stays as it is, and is noted as not live in the archive.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import psycopg
import pyarrow as pa
from psycopg import sql

from data_workbench.archive import ledger
from data_workbench.archive.source import Dataset
from data_workbench.connectors.postgres.catalogue import Column
from data_workbench.connectors.postgres.copy_in import copy_rows
from data_workbench.connectors.postgres.names import quoted
from data_workbench.errors import NotAllowed
from data_workbench.events import emit

STAGING = "_wb_archived"
PART, ROW = "_wb_part", "_wb_row"


@dataclass(frozen=True)
class Removed:
    """How many rows left the table, and how many stayed because they were not the same any more."""

    deleted: int
    kept: int


def remove(connection: psycopg.Connection, dataset: Dataset, parts: Iterable[pa.Table], noted: ledger.Noted) -> Removed:
    """Delete the archived rows and note the archive as live."""
    with connection.transaction():
        stage(connection, dataset, parts)
        if dataset.references:
            # Whoever refers to a row waits from here on, or has done so already and is seen below. Against changes no
            # lock is needed: the deletion compares a row's latest version.
            lock(connection, dataset)
        emit("archive.locked", archive=noted.archive)
        kept = sql.SQL(" AND ").join(
            [
                same_key(dataset.table.key),
                same_row(dataset.schema.names),
                *[sql.SQL("NOT {}").format(one.exists("t")) for one in dataset.references],
            ]
        )
        ledger.note(connection, replace(noted, live=noted.rows))
        query = sql.SQL(
            """WITH deleted AS (DELETE FROM {0} AS t USING pg_temp.{1} AS s WHERE {2} RETURNING s._wb_part, s._wb_row),
                    left_over AS (INSERT INTO _workbench.archive_gone (archive, part, row, reason)
                        SELECT {3}, s._wb_part, s._wb_row, 'changed' FROM pg_temp.{1} AS s
                         WHERE NOT EXISTS (SELECT FROM deleted AS d
                                            WHERE d._wb_part = s._wb_part AND d._wb_row = s._wb_row) RETURNING 1)
               SELECT (SELECT count(*) FROM deleted), (SELECT count(*) FROM left_over)"""
        ).format(_table(dataset), sql.Identifier(STAGING), kept, sql.Literal(noted.archive))
        row = connection.execute(query).fetchone()
        assert row is not None
        if row[1]:
            _require_none_kept(connection, dataset, kept)
        ledger.count_live(connection, [noted.archive])
        emit("archive.before_commit", archive=noted.archive)
    emit("archive.after_commit", archive=noted.archive, rows=row[0])
    return Removed(deleted=row[0], kept=row[1])


def _require_none_kept(connection: psycopg.Connection, dataset: Dataset, kept: sql.Composed) -> None:
    """Raise NotAllowed where rows that could have gone are still there: they would be archived anew with each run."""
    row = connection.execute(
        sql.SQL("SELECT count(*) FROM {} AS t JOIN pg_temp.{} AS s ON {}").format(
            _table(dataset), sql.Identifier(STAGING), kept
        )
    ).fetchone()
    if row and row[0]:
        raise kept_by_trigger(dataset.table.relation.stream, row[0])


def kept_by_trigger(stream: str, rows: int) -> NotAllowed:
    """Rows were to be deleted and are still there."""
    return NotAllowed(
        f"{rows} rows of {stream} were to be deleted and are still there: a trigger keeps them",
        hint="nothing was changed; disable the trigger for the run, or name in `where` only rows that may go",
    )


def lock(connection: psycopg.Connection, dataset: Dataset, staging: str = STAGING) -> None:
    """Keep the staged rows as they are in the table, and others from referring to them."""
    connection.execute(
        sql.SQL("SELECT FROM {} AS t JOIN pg_temp.{} AS s ON {} FOR UPDATE OF t").format(
            _table(dataset), sql.Identifier(staging), same_key(dataset.table.key)
        )
    )


def stage(
    connection: psycopg.Connection,
    dataset: Dataset,
    parts: Iterable[pa.Table],
    staging: str = STAGING,
    more: Sequence[Column] = (),
) -> int:
    """Read parts into a temporary table, which goes with the transaction; how many rows.

    A part's number is its place; a table of parts may bring its own columns PART and ROW instead.

    Args:
        more: columns that the parts have besides those of the dataset.
    """
    names = sql.SQL(", ").join(map(sql.Identifier, dataset.schema.names))
    connection.execute(
        sql.SQL(
            "CREATE TEMPORARY TABLE {} ON COMMIT DROP AS "
            "SELECT {}, 0 AS _wb_part, 0::int8 AS _wb_row FROM {} WITH NO DATA"
        ).format(sql.Identifier(staging), names, _table(dataset))
    )
    for one in more:
        connection.execute(
            sql.SQL("ALTER TABLE pg_temp.{} ADD COLUMN {} {}").format(
                sql.Identifier(staging), sql.Identifier(one.name), sql.SQL(one.native)
            )
        )
    columns = [*dataset.columns, *more, extra_column(PART, "int4"), extra_column(ROW, "int8")]
    found = [*dataset.schema.names, *(one.name for one in more)]
    count = 0
    for place, rows in enumerate(parts):
        copy_rows(connection, f"pg_temp.{quoted(staging)}", columns, numbered(rows, place, found))
        count += rows.num_rows
    connection.execute(sql.SQL("ANALYZE pg_temp.{}").format(sql.Identifier(staging)))
    return count


def numbered(rows: pa.Table, place: int, names: Sequence[str], first: int = 0) -> pa.Table:
    """The rows' columns in order, and where each row stands; they are those of a part from `first` on."""
    if ROW in rows.column_names:
        return rows.select([*names, PART, ROW])
    table = rows.select(list(names))
    table = table.append_column(PART, pa.repeat(pa.scalar(place, pa.int32()), len(table)))
    return table.append_column(ROW, pa.array(np.arange(first, first + len(table))))


def same_key(key: Sequence[str]) -> sql.Composed:
    """A row of the table (`t`) and one that was read back (`s`) have the same key."""
    return sql.SQL(" AND ").join(sql.SQL("t.{0} = s.{0}").format(sql.Identifier(name)) for name in key)


def same_row(names: Sequence[str]) -> sql.Composed:
    """They are equal in every stored byte of these columns; 1.0 and 1.00 are told apart, types need no equality."""
    ours = sql.SQL(", ").join(sql.SQL("t.{}").format(sql.Identifier(name)) for name in names)
    theirs = sql.SQL(", ").join(sql.SQL("s.{}").format(sql.Identifier(name)) for name in names)
    # Without the casts the parser would compare column by column.
    return sql.SQL("ROW({})::record OPERATOR(pg_catalog.*=) ROW({})::record").format(ours, theirs)


def _table(dataset: Dataset) -> sql.SQL:
    return sql.SQL(dataset.table.relation.sql)


def extra_column(name: str, native: str) -> Column:
    """A column that staged rows have and the table does not."""
    return Column(name, native, False, False, False, None, True, True, "pg_catalog", f"pg_catalog.{native}out")
