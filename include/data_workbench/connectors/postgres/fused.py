"""PostgreSQL to PostgreSQL without looking inside: COPY streamed into COPY, in one transaction.

Binary where every column has the same type on both sides, text otherwise. An empty table with a unique key is written
directly, and part by part if the source can be read in the order of that key (`streamed_parts.py`); a merge into one
with rows goes through the staging table. What only the staged path can tell apart (NULL or
equal keys, rows the server refuses) ends the attempt with Unsupported and nothing written. So does, if the copy is to
be compared, any difference between the rows of the source's snapshot and those in the table before the commit.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import psycopg
import pyarrow as pa
from psycopg import sql

from data_workbench.connectors.base import Progress, ReadRequest, Source
from data_workbench.connectors.postgres import client, merge, partitions, refusals
from data_workbench.connectors.postgres.catalogue import Column, Table
from data_workbench.connectors.postgres.copy_in import column_list
from data_workbench.connectors.postgres.copy_out import Block, ReadAhead, copy_blocks
from data_workbench.connectors.postgres.digest import are_alike, digest_of
from data_workbench.connectors.postgres.source import PostgresReading, PostgresSource, Selection
from data_workbench.connectors.postgres.streamed_parts import AFTER, KeyOrder, PartedStream, take_back
from data_workbench.connectors.postgres.writer import TableWriter
from data_workbench.errors import Unsupported
from data_workbench.events import emit
from data_workbench.records.accounting import WriteCounts

_BLOCK = 1024**2
_BLOCK_ROWS = 100_000


@dataclass(frozen=True)
class Fusion:
    """One source stream into one table."""

    source: PostgresSource
    request: ReadRequest
    writer: TableWriter
    compares: bool = False

    def run(self) -> tuple[WriteCounts, dict[str, Any] | None]:
        """Stream it; counts and the source's position. A finished load of this run is told again."""
        writer = self.writer
        if writer.progress.finished:
            return writer.progress.counts, writer.checkpoint.load(writer.connection)[2]
        position = writer.checkpoint.load(writer.connection)[2] or {}
        if writer.progress.parts and AFTER not in position:
            raise Unsupported(f"table {writer.target.table}: this run was begun staged", hint="the staged path goes on")
        try:
            return self._attempt(position.get(AFTER))
        except Unsupported:
            if writer.progress.parts:
                take_back(writer)
            raise

    def _attempt(self, last: list[str] | None) -> tuple[WriteCounts, dict[str, Any] | None]:
        writer = self.writer
        if self.compares:
            self._require_comparable(goes_on=last is not None)
        reading = self.source.read(self.request)
        try:
            return self._stream(reading, last)
        except psycopg.Error as error:
            if refusals.is_about_rows(error):
                raise Unsupported(
                    f"table {writer.target.table}: {error.diag.message_primary}",
                    hint="the staged path tells which rows are refused",
                ) from error
            raise client.translated(error, writer.address) from error
        finally:
            reading.close()

    def _stream(self, reading: PostgresReading, last: list[str] | None) -> tuple[WriteCounts, dict[str, Any] | None]:
        writer = self.writer
        context = writer.context
        emit("load.reading", destination=context.destination, run_id=context.run_id, target=writer.target.name)
        selection = reading.begin()
        order = self._order(reading, selection, goes_on=last is not None)
        if order is not None:
            return self._stream_parts(reading, selection, order, last), None
        facts = {"destination": writer.context.destination, "target": writer.target.name, "part": 0}
        with writer.connection.transaction():
            writer.connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
            counts = self._load(reading, selection)
            position = reading.position()
            progress = Progress(parts=1, counts=counts, finished=True)
            writer.ownership.compact(writer.connection)
            writer.checkpoint.save(writer.connection, progress, position)
            emit("load.before_commit", **facts)
        emit("load.after_commit", **facts)
        writer.progress = progress
        return counts, position

    # ------------------------------------------------------------------------------------------- part by part

    def _order(self, reading: PostgresReading, selection: Selection, *, goes_on: bool) -> KeyOrder | None:
        """The order of the source's key, if the table is to be filled part by part.

        Raises:
            Unsupported: it has been begun so, and the source has no such order any more.
        """
        writer, order = self.writer, KeyOrder.of(reading.table, self.writer)
        if goes_on and order is None:
            raise Unsupported(f"{self.request.stream}: its key is another one now", hint="stage it")
        if goes_on or order is None:
            return order
        rows = reading.table.estimated_rows
        is_fit = (
            writer.target.write != "replace"
            and writer.goes_direct
            and self.request.cursor is None
            and self._same_types(reading.table)
            and (rows is None or rows > self.source.settings.part_rows)
            and writer.pages() == 0
            and not len(writer.ownership.owned(writer.connection))
        )
        return order if is_fit and order.is_cheap(reading.connection, self._query(reading, selection)) else None

    def _stream_parts(
        self, reading: PostgresReading, selection: Selection, order: KeyOrder, last: list[str] | None
    ) -> WriteCounts:
        left = selection if last is None else selection.narrowed(order.after(last))
        columns = column_list([item.name for item in self._written(reading)])
        stream = PartedStream(reading, self.writer, order, self.source.settings.part_rows, last)
        if not self.compares:
            return stream.run(self._query(reading, left), columns, None)
        snapshot = partitions.snapshot_of(reading.connection)
        with client.connect(self.source.config) as beside:
            partitions.join_snapshot(beside, snapshot)

            def compare(after: list[str] | None, until: list[str], mine: str) -> None:
                conditions = [order.until(until), *([order.after(after)] if after else [])]
                asked = self._query(reading, selection.narrowed(*conditions))
                self._compare(beside, asked, mine, reading)

            return stream.run(self._query(reading, left), columns, compare)

    # ----------------------------------------------------------------------------------------------- at once

    def _load(self, reading: PostgresReading, selection: Selection) -> WriteCounts:
        writer, columns = self.writer, list(self.writer.columns)
        target = writer.table.relation.sql
        if writer.goes_direct:
            if writer.target.write == "replace":
                writer.connection.execute(f"DELETE FROM {target}".encode())
            first = writer.pages()
            taken = self._pipe(reading, selection, target)
            if self.compares:
                is_whole = writer.target.write == "replace" or first == 0
                mine = "" if is_whole else " WHERE xmin = pg_catalog.pg_current_xact_id()::xid"
                self._compare(reading.connection, self._query(reading, selection), f"{target}{mine}", reading)
            self._own_direct(first, taken)
            return WriteCounts(inserted=taken, out=taken)
        merge.create_staging(writer.connection, writer.table, columns)
        staged = self._pipe(reading, selection, merge.STAGING)
        if writer.target.write != "merge":
            counts = merge.insert_staged(writer.connection, writer.table, columns)
        else:
            self._check_keys()
            counts = merge.merge_staged(writer.connection, writer.table, columns, writer.target.key, staged)
        writer.ownership.add(writer.connection, merge.STAGING)
        return counts

    def _own_direct(self, first: int, taken: int) -> None:
        """Own what was copied: a whole new table by ranges of pages, an addition as the writer does it."""
        writer = self.writer
        if not writer.target.key:
            return
        if writer.target.write == "replace" or first == 0:
            writer.ownership.add_all(writer.connection, afresh=True)
        else:
            writer.own_new(first, taken)

    # ------------------------------------------------------------------------------------------------ comparing

    def _require_comparable(self, *, goes_on: bool) -> None:
        """Only rows that nothing stands among, and types that hash alike, can be compared as a whole."""
        if not self.writer.goes_direct and not goes_on:
            raise Unsupported(f"table {self.writer.target.table} holds rows already", hint="stage it")
        theirs = self.source.table(self.request.stream)
        for name in self.writer.columns:
            there, here = theirs.column(name), self.writer.table.column(name)
            if there is None or here is None or not are_alike(here, there):
                raise Unsupported(
                    f"table {self.writer.target.table}: column {name} has another type than the source's",
                    hint="stage it",
                )

    def _compare(self, theirs: psycopg.Connection, query: sql.Composed, mine: str, reading: PostgresReading) -> None:
        """Hold rows of the source's snapshot against those now in the table, side by side."""
        started = time.monotonic()
        writer = self.writer
        names = [item.name for item in self._written(reading)]
        rows = f"({query.as_string(theirs)}) AS read"
        with ThreadPoolExecutor(1, "digest") as pool:
            asked = pool.submit(digest_of, theirs, rows, _columns(reading.table, names))
            found = digest_of(writer.connection, mine, _columns(writer.table, names))
            wanted = asked.result()
        if found != wanted:
            raise Unsupported(
                f"table {writer.target.table}: {found[0]} rows of sum {found[1]} came of {wanted[0]} of {wanted[1]}",
                hint="the staged path tells which rows differ",
            )
        emit(
            "load.compared",
            destination=writer.context.destination,
            target=writer.target.name,
            seconds=time.monotonic() - started,
        )

    def _written(self, reading: PostgresReading) -> list[pa.Field]:
        return [item for item in reading.schema if item.name in self.writer.columns]

    # ------------------------------------------------------------------------------------------------ copying

    def _check_keys(self) -> None:
        if not merge.keys_are_sound(self.writer.connection, self.writer.target.key):
            raise Unsupported(
                f"table {self.writer.target.table}: keys of the source are NULL or occur twice",
                hint="the staged path keeps the latest and quarantines NULL keys",
            )

    def _pipe(self, reading: PostgresReading, selection: Selection, into: str) -> int:
        """One COPY into the other; rows."""
        shape = "binary" if self._same_types(reading.table) else "text"
        query = self._query(reading, selection)
        stop = threading.Event()
        statement = f"COPY ({query.as_string(reading.connection)}) TO STDOUT (FORMAT {shape})"
        ahead = ReadAhead(copy_blocks(reading.connection, statement, stop, rows=_BLOCK_ROWS, size=_BLOCK), stop)
        columns = column_list([item.name for item in self._written(reading)])
        try:
            return _copy_in(self.writer.connection, f"COPY {into} ({columns}) FROM STDIN (FORMAT {shape})", iter(ahead))
        finally:
            ahead.close()

    def _query(self, reading: PostgresReading, selection: Selection) -> sql.Composed:
        written = pa.schema(self._written(reading))
        narrowed = Selection(selection.table, written, selection.conditions, selection.limit)
        return narrowed.query(decoded=False)

    def _same_types(self, table: Table) -> bool:
        """Binary carries no types: they must be built-in and equal, since user types have other numbers elsewhere."""
        for name in self.writer.columns:
            ours, theirs = self.writer.table.column(name), table.column(name)
            if ours is None or theirs is None or ours.type_schema != "pg_catalog" or theirs.type_schema != "pg_catalog":
                return False
            if ours.native.partition("(")[0] != theirs.native.partition("(")[0] or "reg" in ours.native:
                return False
        return True


def _copy_in(connection: psycopg.Connection, statement: str, blocks: Iterator[Block]) -> int:
    with connection.cursor() as cursor:
        with cursor.copy(statement.encode()) as copy:
            for block in blocks:
                copy.write(block.data)
        return cursor.rowcount


def _columns(table: Table, names: list[str]) -> list[Column]:
    found = [table.column(name) for name in names]
    return [column for column in found if column is not None]


def fuse(
    source: Source, request: ReadRequest, writer: TableWriter, *, compares: bool
) -> tuple[WriteCounts, dict[str, Any] | None]:
    """Stream `source` into the writer's table.

    Raises:
        Unsupported: this pair, request or table needs the staged path.
    """
    if not isinstance(source, PostgresSource):
        raise Unsupported(f"a fused load reads PostgreSQL, not {type(source).__name__}", hint="stage it")
    if request.keys is not None or request.options:
        raise Unsupported("a fused load takes no keys and no options", hint="stage it")
    if request.where and not source.pushes_where(request.where, source.describe(request.stream).schema):
        raise Unsupported(f"PostgreSQL does not evaluate {request.where!r} as DuckDB does", hint="stage it")
    return Fusion(source, request, writer, compares).run()
