"""Loads of one table: a part, its ownership and its checkpoint are one transaction."""

from __future__ import annotations

from typing import Literal, NamedTuple

import psycopg
import pyarrow as pa
import pyarrow.compute as pc

from data_workbench.connectors.base import Progress, Rejection, Writer
from data_workbench.connectors.postgres import merge, refusals
from data_workbench.connectors.postgres.catalogue import Column, Table
from data_workbench.connectors.postgres.checkpoints import Checkpoint
from data_workbench.connectors.postgres.client import translated
from data_workbench.connectors.postgres.copy_in import Encoding, copy_rows
from data_workbench.connectors.postgres.deletion import delete_owned
from data_workbench.connectors.postgres.encode import rows_with_nul
from data_workbench.connectors.postgres.ownership import Ownership
from data_workbench.errors import StateError
from data_workbench.events import emit
from data_workbench.mapping.hooks import for_psycopg
from data_workbench.mapping.targets import LoadContext, TableTarget
from data_workbench.records import marks
from data_workbench.records.accounting import WriteCounts

_EXTENDED_AT_ONCE = 128
"""Pages: twice of what PostgreSQL adds to a table at once (MAX_BUFFERS_TO_EXTEND_BY of hio.c). Those at the end that
were left empty are filled by the next COPY."""


NEW_ROWS = "xmin = pg_catalog.pg_current_xact_id()::xid"
"""The condition on a row that this transaction has written, at its top level."""


class Upserts(NamedTuple):
    """What a part adds or changes: its rows, those that cannot be written, and the rows on their way into COPY."""

    rows: pa.Table
    rejected: list[Rejection] = []
    encoding: Encoding | None = None

    def stop(self) -> None:
        """Encode no more."""
        if self.encoding is not None:
            self.encoding.close()


class TableWriter(Writer):
    """What merge, append and replace share. `columns` are the input columns that are written."""

    def __init__(
        self,
        connection: psycopg.Connection,
        table: Table,
        columns: tuple[str, ...],
        target: TableTarget,
        context: LoadContext,
        address: str,
    ) -> None:
        self.connection = connection
        self.table = table
        self.columns = columns
        self.target = target
        self.context = context
        self.address = address
        self.checkpoint = Checkpoint(context, target)
        self.ownership = Ownership(context.pipeline, context.destination, table.relation, target.key)
        self.progress, self.rejections, _ = self.checkpoint.load(connection)
        self._has_staging = False
        self._anticipated: dict[int, Upserts] = {}
        row = connection.execute(f"SELECT NOT EXISTS (SELECT FROM {table.relation.sql})".encode()).fetchone()
        self._direct = self._may_go_direct(is_empty=bool(row and row[0]))

    @property
    def goes_direct(self) -> bool:
        """Whether COPY writes the table itself, without staging."""
        return self._direct

    def _may_go_direct(self, *, is_empty: bool) -> bool:
        """Whether COPY may write the table itself: nothing stands between a row and its page."""
        plain = self.table.kind == "table" and not self.table.has_triggers and not self.table.has_row_security
        if self.target.write == "merge":
            return plain and is_empty and self.table.is_unique(self.target.key)
        return plain

    # -------------------------------------------------------------------------------------------- one part

    def anticipate(self, part: pa.Table) -> None:
        upserts = self._sound(split(part)[0])
        if self._direct and upserts.rows.num_rows:
            upserts = upserts._replace(encoding=Encoding(upserts.rows, self._written()))
        self._anticipated[id(part)] = upserts

    def write(self, part: pa.Table, index: int) -> WriteCounts:
        if index != self.progress.parts:
            raise StateError(
                f"table {self.target.table}: part {index} came, part {self.progress.parts} is next",
                hint="begin at writer.progress.parts",
            )
        try:
            try:
                return self._attempt(part, index)
            except psycopg.Error as error:
                if not (self._direct and refusals.is_about_rows(error)):
                    raise
                # A key that stands already, or a row that is refused: the careful way finds which.
                self._direct = False
                return self._attempt(part, index)
        except psycopg.Error as error:
            raise translated(error, self.address) from error

    def _attempt(self, part: pa.Table, index: int) -> WriteCounts:
        # The staging table outlives the part's transaction, and the savepoints of rows that are refused.
        if not self._direct and not self._has_staging:
            merge.create_staging(self.connection, self.table, self.columns)
            self._has_staging = True
        return self._commit_part(part, index)

    def _commit_part(self, part: pa.Table, index: int) -> WriteCounts:
        facts = {"destination": self.context.destination, "target": self.target.name, "part": index}
        with self.connection.transaction():
            if index == 0:
                self._run_hooks("before")
            counts, rejected = self._write_part(part)
            after = WriteCounts().add(self.progress.counts).add(counts)
            progress = Progress(parts=index + 1, counts=after)
            self.checkpoint.save(self.connection, progress)
            self.checkpoint.save_rejections(self.connection, index, rejected)
            emit("load.before_commit", **facts)
        emit("load.after_commit", **facts)
        self.progress = progress
        self.rejections += rejected
        return counts

    def _write_part(self, part: pa.Table) -> tuple[WriteCounts, list[Rejection]]:
        self.connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        upserts, tombstones, retractions = split(part)
        anticipated = self._anticipated.pop(id(part), None)
        counts, rejected = self._upsert(anticipated or self._sound(upserts))
        for rows, is_retraction in ((tombstones, False), (retractions, True)):
            if rows.num_rows:
                more, refused = self._delete(rows, is_retraction=is_retraction)
                counts.add(more)
                rejected += refused
        return counts, rejected

    def _delete(self, rows: pa.Table, *, is_retraction: bool) -> tuple[WriteCounts, list[Rejection]]:
        """Append and replace delete nothing: a tombstone there is a row that changes nothing."""
        return (WriteCounts() if is_retraction else WriteCounts(out=rows.num_rows, unchanged=rows.num_rows)), []

    # -------------------------------------------------------------------------------------------- upserts

    def _upsert(self, upserts: Upserts) -> tuple[WriteCounts, list[Rejection]]:
        rows, rejected = upserts.rows, upserts.rejected
        counts = WriteCounts(out=len(rejected), rejected=len(rejected))
        if rows.num_rows == 0:
            return counts, rejected
        if self._direct:
            return counts.add(self._copy_direct(upserts)), rejected
        upserts.stop()
        taken, refused = refusals.attempt_all(self.connection, rows, self._copy_staged)
        counts.add(taken).add(WriteCounts(out=len(refused), rejected=len(refused)))
        return counts, rejected + refusals.rejections(refused, self.target.key)

    def _sound(self, upserts: pa.Table) -> Upserts:
        """The columns that are written, of rows whose texts PostgreSQL can store."""
        rows = upserts.select(list(self.columns))
        mask = rows_with_nul(rows)
        if mask is None:
            return Upserts(rows)
        bad = rows.filter(mask)
        reason = "a text holds the character NUL (U+0000), which PostgreSQL cannot store"
        rejected = [
            Rejection(key=refusals.key_of(bad.slice(place, 1), self.target.key), rule="postgres:nul", reason=reason)
            for place in range(bad.num_rows)
        ]
        return Upserts(rows.filter(pc.invert(mask)), rejected)

    def _copy_direct(self, upserts: Upserts) -> WriteCounts:
        """COPY into the table. The new rows' keys are found again by page, then by transaction."""
        name = self.table.relation.sql
        first = self.pages() if self.target.key else 0
        taken = copy_rows(self.connection, name, self._written(), upserts.rows, encoding=upserts.encoding)
        if self.target.key:
            self.own_new(first, taken)
        return WriteCounts(inserted=taken, out=taken)

    def _written(self) -> list[Column]:
        """The table's columns that are written, in the order of the input's."""
        by_name = {column.name: column for column in self.table.columns}
        return [by_name[name] for name in self.columns]

    def own_new(self, first: int, expected: int) -> str:
        """Own the rows this transaction added, most likely from page `first` on; the condition that finds them."""
        name = self.table.relation.sql
        near = f"ctid >= '({max(first - _EXTENDED_AT_ONCE, 0)},0)'::tid AND {NEW_ROWS}"
        with self.connection.transaction() as attempt:
            if self.ownership.add(self.connection, name, near) == expected:
                return near
            raise psycopg.Rollback(attempt)  # COPY has also filled holes in earlier pages
        self.ownership.add(self.connection, name, NEW_ROWS)
        return NEW_ROWS

    def pages(self) -> int:
        """How long the table is."""
        query = "SELECT pg_catalog.pg_relation_size(%s::oid) / pg_catalog.current_setting('block_size')::int8"
        row = self.connection.execute(query, (self.table.oid,)).fetchone()
        return int(row[0]) if row else 0

    def _copy_staged(self, rows: pa.Table) -> WriteCounts:
        self.connection.execute(f"TRUNCATE {merge.STAGING}")
        staged = copy_rows(self.connection, merge.STAGING, self._written(), rows)
        counts = self._apply_staged(staged)
        self.ownership.add(self.connection, merge.STAGING)
        return counts

    def _apply_staged(self, staged: int) -> WriteCounts:  # noqa: ARG002  # a merge counts what is left of it
        return merge.insert_staged(self.connection, self.table, self.columns)

    # -------------------------------------------------------------------------------------------- the end

    def finish(self) -> WriteCounts:
        if self.progress.finished:
            return self.progress.counts
        facts = {"destination": self.context.destination, "target": self.target.name, "part": None}
        progress = Progress(parts=self.progress.parts, counts=self.progress.counts, finished=True)
        try:
            with self.connection.transaction():
                if self.progress.parts == 0:
                    self._run_hooks("before")
                self._run_hooks("after")
                self.ownership.compact(self.connection)
                self.checkpoint.save(self.connection, progress)
                self.checkpoint.forget_old(self.connection)
                emit("load.before_commit", **facts)
        except psycopg.Error as error:
            raise translated(error, self.address) from error
        emit("load.after_commit", **facts)
        self.progress = progress
        return progress.counts

    def _run_hooks(self, when: Literal["before", "after"]) -> None:
        """Run the load's hooks within the transaction that is open: with it they stand, or are gone."""
        for number, bound in enumerate(getattr(self.context, when)):
            try:
                # The client binds: statements that define things take no parameters from the server's protocol.
                with psycopg.ClientCursor(self.connection) as cursor:
                    cursor.execute(for_psycopg(bound.hook.statement).encode(), dict(bound.values))
            except psycopg.Error as error:
                found = translated(error, self.address)
                raise type(found)(f"hook {when}[{number}]: {found.message}", hint=found.hint) from error

    def close(self) -> None:
        for upserts in self._anticipated.values():
            upserts.stop()
        # Closing the connection rolls back what is open, and drops the staging table.
        self.connection.close()


class AppendWriter(TableWriter):
    """Rows are added."""


class MergeWriter(TableWriter):
    """Rows are inserted or updated by key; tombstones and retractions delete what this pipeline owns."""

    def _apply_staged(self, staged: int) -> WriteCounts:
        return merge.merge_staged(self.connection, self.table, self.columns, self.target.key, staged)

    def _delete(self, rows: pa.Table, *, is_retraction: bool) -> tuple[WriteCounts, list[Rejection]]:
        keys = rows.select(list(self.target.key))

        def attempt(some: pa.Table) -> WriteCounts:
            return WriteCounts(deleted=delete_owned(self.connection, self.table, self.ownership, some))

        counts, refused = refusals.attempt_all(self.connection, keys, attempt)
        counts.rejected += len(refused)
        if is_retraction:
            counts.retracted = counts.deleted + counts.rejected
        else:
            counts.out = rows.num_rows
            counts.unchanged = rows.num_rows - counts.deleted - counts.rejected
        return counts, refusals.rejections(refused, self.target.key)


class ReplaceWriter(TableWriter):
    """One transaction over all parts: DELETE, then COPY. Readers see the old rows until its commit.

    DELETE and not TRUNCATE or a swap of tables: those lock readers out, and show an empty table to a transaction whose
    snapshot is older. A load that is interrupted begins again with part 0.
    """

    _begun = False

    def _commit_part(self, part: pa.Table, index: int) -> WriteCounts:
        self._begin()
        # A savepoint: a part that fails on the direct way is written again on the careful one.
        with self.connection.transaction():
            counts, rejected = self._write_part(part)
            self.checkpoint.save_rejections(self.connection, index, rejected)
        self.progress = Progress(parts=index + 1, counts=WriteCounts().add(self.progress.counts).add(counts))
        self.rejections += rejected
        return counts

    def _begin(self) -> None:
        if not self._begun:
            self.connection.execute("BEGIN")
            self._run_hooks("before")
            self.connection.execute(f"DELETE FROM {self.table.relation.sql}".encode())
            self._begun = True

    def _copy_direct(self, upserts: Upserts) -> WriteCounts:
        name = self.table.relation.sql
        taken = copy_rows(self.connection, name, self._written(), upserts.rows, encoding=upserts.encoding)
        return WriteCounts(inserted=taken, out=taken)

    def finish(self) -> WriteCounts:
        if self.progress.finished:
            return self.progress.counts
        parts = self.progress.parts
        facts = {"destination": self.context.destination, "target": self.target.name, "part": max(parts - 1, 0)}
        progress = Progress(parts=parts, counts=self.progress.counts, finished=True)
        try:
            self._begin()
            self.ownership.add_all(self.connection, afresh=True)
            self._run_hooks("after")
            self.checkpoint.save(self.connection, progress)
            self.checkpoint.forget_old(self.connection)
            emit("load.before_commit", **facts)
            self.connection.execute("COMMIT")
        except psycopg.Error as error:
            raise translated(error, self.address) from error
        emit("load.after_commit", **facts)
        self.progress = progress
        return progress.counts


WRITERS: dict[str, type[TableWriter]] = {"append": AppendWriter, "merge": MergeWriter, "replace": ReplaceWriter}


def split(part: pa.Table) -> tuple[pa.Table, pa.Table, pa.Table]:
    """Upserts, tombstones and retractions; a part without the OP column is all upserts."""
    if marks.OP not in part.column_names:
        return part, part.slice(0, 0), part.slice(0, 0)
    ops = part.column(marks.OP)
    if pc.all(pc.equal(ops, marks.UPSERT), min_count=0).as_py():
        return part, part.slice(0, 0), part.slice(0, 0)
    return (
        part.filter(pc.equal(ops, marks.UPSERT)),
        part.filter(pc.equal(ops, marks.TOMBSTONE)),
        part.filter(pc.equal(ops, marks.RETRACTION)),
    )
