"""Reading PostgreSQL: COPY of one SELECT, in one snapshot, decoded a block at a time."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, ClassVar

import psycopg
import pyarrow as pa
from psycopg import sql

from data_workbench.connectors.base import (
    Health,
    Partition,
    Reading,
    ReadRequest,
    Settled,
    Source,
    SourceCapabilities,
    Split,
    Stream,
    Vital,
)
from data_workbench.connectors.connections import Connection
from data_workbench.connectors.postgres import client, key_ranges, keys, late_commits, partitions, vitals
from data_workbench.connectors.postgres.binary_types import Reader
from data_workbench.connectors.postgres.capture import Capture
from data_workbench.connectors.postgres.catalogue import Column, Table, all_tables, get_table
from data_workbench.connectors.postgres.config import PostgresConfig
from data_workbench.connectors.postgres.copy_out import Block, ReadAhead, copy_blocks
from data_workbench.connectors.postgres.decode import Asked, BlockDecoder, asked, nothing
from data_workbench.connectors.postgres.names import parse_relation, quoted
from data_workbench.connectors.postgres.redaction import is_redacted
from data_workbench.connectors.postgres.where import compile_where, is_pushed
from data_workbench.connectors.powers import CanCapture, CanCount, CanSplit, CanTellVitals
from data_workbench.errors import StreamUnknown, Unsupported, UsageError
from data_workbench.settings import Settings


class PostgresSource(Source, CanSplit, CanTellVitals, CanCount, CanCapture):
    """One database. Each read has a connection; one more beside serves the catalogue and the cursor's moment."""

    capabilities: ClassVar[SourceCapabilities] = SourceCapabilities(cursor=True, snapshot=True, partitions=True)

    def __init__(self, connection: Connection, settings: Settings) -> None:
        super().__init__(connection, settings)
        self.config = PostgresConfig.of(connection)
        self._connection: client.PatientConnection | None = None
        self._readings: weakref.WeakSet[PostgresReading] = weakref.WeakSet()
        self._holders: list[client.PatientConnection] = []

    @property
    def beside(self) -> client.PatientConnection:
        """The autocommit connection that outlives reads."""
        if self._connection is None or self._connection.closed:
            self._connection = client.connect(self.config)
        return self._connection

    def check(self) -> Health:
        return client.check(self.config)

    def vitals(self) -> list[Vital]:
        with client.translating(self.config.address):
            return vitals.ask(self.beside)

    def discover(self, pattern: str | None = None) -> list[Stream]:
        with client.translating(self.config.address):
            streams = [table.as_stream() for table in all_tables(self.beside)]
        return [one for one in streams if pattern is None or fnmatchcase(one.name, pattern)]

    def describe(self, stream: str, options: Mapping[str, Any] | None = None) -> Stream:
        described = self.table(stream).as_stream()
        as_text = _as_text(options or {}, described)
        fields = [_texted(item) if item.name in as_text else item for item in described.schema]
        return Stream(**{**vars(described), "schema": pa.schema(fields)})

    def table(self, stream: str) -> Table:
        """The catalogue's word on a stream. Raises StreamUnknown."""
        with client.translating(self.config.address):
            return get_table(self.beside, parse_relation(stream))

    def pushes_where(self, expression: str, schema: pa.Schema) -> bool:
        return is_pushed(expression, schema)

    def read(self, request: ReadRequest) -> PostgresReading:
        reading = PostgresReading(self, request)
        self._readings.add(reading)
        return reading

    def capture(self, slot: str) -> Capture:
        return Capture(self.connection, slot)

    def count(self, stream: str, conditions: Sequence[str]) -> tuple[int, list[int]]:
        table = self._relation(stream)
        counted = "".join(f", count(*) FILTER (WHERE {one})" for one in conditions).replace(self.TABLE, table)
        with client.translating(self.config.address):
            # Without parameters nothing in a statement is a placeholder.
            row = self.beside.execute(sql.SQL(f"SELECT count(*){counted} FROM {table}")).fetchone()
        assert row is not None, "an aggregate has one row"
        return int(row[0]), [int(one) for one in row[1:]]

    def failing(self, stream: str, condition: str, columns: Sequence[str], limit: int) -> list[dict[str, Any]]:
        table, listed = self._relation(stream), ", ".join(map(quoted, columns))
        chosen = f"SELECT {listed} FROM {table} WHERE {condition} LIMIT {limit:d}".replace(self.TABLE, table)
        with client.translating(self.config.address):
            # As JSON, which has a word for every value: the driver has none for the date `infinity`.
            rows = self.beside.execute(sql.SQL(f"SELECT to_json(found) FROM ({chosen}) found")).fetchall()
        return [dict(row) for (row,) in rows]

    def _relation(self, stream: str) -> str:
        relation = parse_relation(stream)
        return f"{quoted(relation.schema)}.{quoted(relation.name)}"

    def partitions(self, request: ReadRequest, count: int) -> list[Partition]:
        table = self.table(request.stream)
        if not partitions.is_split(table, request):
            return [Partition("all", {})]
        with client.translating(self.config.address):
            holder = client.connect(self.config)
            self._holders.append(holder)
            snapshot = partitions.export_snapshot(holder)
            return partitions.shares(holder, table, count, snapshot, self._position(holder, table, request))

    def split(self, request: ReadRequest, key: Sequence[str], count: int) -> Split | None:
        table = self.table(request.stream)
        if not partitions.is_split(table, request):
            return None
        conditions = self.read(request).conditions
        with client.translating(self.config.address), client.connect(self.config) as holder:
            return key_ranges.split(holder, self.beside, table, key, count, conditions)

    def settle(self, request: ReadRequest, key: Sequence[str], split: Split) -> Settled:
        table, conditions = self.table(request.stream), self.read(request).conditions
        with client.translating(self.config.address):
            holder = client.connect(self.config)
            self._holders.append(holder)
            snapshot = partitions.export_snapshot(holder)
            moment = late_commits.take_moment(holder, self.beside)
            position = self._position(holder, table, request, moment)
            if key_ranges.is_quiet(split.moment, moment):
                return Settled(position)
            since = key_ranges.since(table, split.moment, moment)
            rows, changed = key_ranges.count(holder, table, conditions, since)
        shared = {"snapshot": snapshot, "position": position}
        asked = replace(request, partition=Partition("changed", {**shared, "since": since}))
        keys = replace(request, columns=tuple(key), partition=Partition("keys", shared))
        return Settled(position, rows, asked if changed else None, keys)

    def _position(
        self, holder: psycopg.Connection, table: Table, request: ReadRequest, moment: late_commits.Moment | None = None
    ) -> dict[str, Any] | None:
        """Of the cursor, in the moment that all shares see."""
        if request.cursor is None:
            return None
        cursor = late_commits.cursor_column(table, request.cursor.column)
        moment = moment or late_commits.take_moment(holder, self.beside)
        row = holder.execute(late_commits.watermark_query(table, cursor, moment)).fetchone()
        return late_commits.new_position(cursor, moment, row[0] if row else None, request.cursor)

    def release_partitions(self) -> None:
        for holder in self._holders:
            holder.close()
        self._holders.clear()

    def close(self) -> None:
        for reading in list(self._readings):
            reading.close()
        self.release_partitions()
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _as_text(options: Mapping[str, Any], described: Stream) -> frozenset[str]:
    unknown = set(options) - {"as_text"}
    if unknown:
        raise UsageError(f"option {', '.join(sorted(unknown))} means nothing to PostgreSQL", hint="known: as_text")
    value = options.get("as_text") or []
    names = [value] if isinstance(value, str) else list(value)
    _check_columns(described.name, names, described.schema.names)
    return frozenset(names)


def _check_columns(stream: str, names: Sequence[str], there: Sequence[str]) -> None:
    missing = [name for name in names if name not in there]
    if missing:
        raise StreamUnknown(f"{stream} has no column {', '.join(missing)}", hint=f"it has {', '.join(there)}")


def _texted(item: pa.Field) -> pa.Field:
    return item.with_type(pa.string())


@dataclass(frozen=True)
class Selection:
    """A SELECT over one table, ready to be copied out."""

    table: Table
    schema: pa.Schema
    conditions: tuple[sql.Composable, ...] = ()
    limit: int | None = None

    def asked(self) -> list[Asked]:
        """How each column is asked for and read."""
        return [self._asked(item) for item in self.schema]

    def _asked(self, item: pa.Field) -> Asked:
        if is_redacted(self.table.relation.name, item.name):
            return nothing(item.type)
        return asked(self._column(item), item.type)

    def _as_it_is(self, item: pa.Field) -> str:
        if is_redacted(self.table.relation.name, item.name):
            return f"NULL::{self._column(item).native}"
        return quoted(item.name)

    def _column(self, item: pa.Field) -> Column:
        column = self.table.column(item.name)
        assert column is not None
        return column

    def narrowed(self, *conditions: sql.Composable) -> Selection:
        """The rows of these for which the conditions hold, too."""
        return Selection(self.table, self.schema, (*self.conditions, *conditions), self.limit)

    def query(self, *conditions: sql.Composable, decoded: bool = True) -> sql.Composed:
        """The SELECT; `decoded` false means values as they are, for COPY into another table."""
        columns = [one.expression for one in self.asked()] if decoded else [self._as_it_is(one) for one in self.schema]
        query = sql.SQL("SELECT {} FROM {}").format(
            sql.SQL(", ").join(map(sql.SQL, columns)), sql.SQL(self.table.relation.sql)
        )
        asked = [*self.conditions, *conditions]
        if asked:
            query += sql.SQL(" WHERE ") + sql.SQL(" AND ").join(asked)
        return query if self.limit is None else query + sql.SQL(" LIMIT {}").format(sql.Literal(self.limit))


class PostgresReading(Reading):
    """One read: its connection is in a read-only transaction with one snapshot from beginning to end."""

    def __init__(self, source: PostgresSource, request: ReadRequest) -> None:
        self._source = source
        self._request = request
        self._stop = threading.Event()
        self._ahead: ReadAhead[Block] | None = None
        self._connection: client.PatientConnection | None = None
        self._position: dict[str, Any] | None = None
        described = source.describe(request.stream, request.options)
        self.table = source.table(request.stream)
        names = list(request.columns) if request.columns is not None else described.schema.names
        _check_columns(described.name, names, described.schema.names)
        if not names:
            raise Unsupported(f"{described.name} has no columns to read", hint="name a table with columns")
        self.schema = pa.schema([described.schema.field(name) for name in names])
        if request.keys is not None:
            _check_columns(described.name, request.keys.column_names, described.schema.names)
        if request.cursor is not None:
            self._cursor = late_commits.cursor_column(self.table, request.cursor.column)
        conditions: tuple[sql.Composable, ...] = ()
        if request.where and source.pushes_where(request.where, described.schema):
            conditions = (compile_where(request.where, described.schema, request.params),)
        self._selection = Selection(self.table, self.schema, conditions, request.limit)

    @property
    def conditions(self) -> tuple[sql.Composable, ...]:
        """What the request's `where` asks of a row."""
        return self._selection.conditions

    def begin(self) -> Selection:
        """Open the snapshot; the selection with the cursor's condition in it."""
        with client.translating(self._source.config.address):
            self._connection = client.connect(self._source.config)
            self._connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            if self._request.partition is not None and self._request.partition.bounds:
                return self._share(self._connection, self._request.partition)
            if self._request.cursor is None:
                return self._selection
            moment = late_commits.take_moment(self._connection, self._source.beside)
            found = late_commits.condition(self.table, self._request.cursor, moment)
            self._position = self._next_position(self._connection, moment)
        conditions = (*self._selection.conditions, *([found] if found is not None else []))
        return Selection(self.table, self.schema, conditions, self._request.limit)

    def _share(self, connection: psycopg.Connection, partition: Partition) -> Selection:
        if "snapshot" in partition.bounds:
            partitions.join_snapshot(connection, partition.bounds["snapshot"])
            self._position = partition.bounds["position"]
        return self._selection.narrowed(partitions.condition(partition.bounds))

    def _next_position(self, connection: psycopg.Connection, moment: late_commits.Moment) -> dict[str, Any]:
        request = self._request.cursor
        assert request is not None
        if self._request.limit is not None or self._request.keys is not None:
            # Not everything is read: the next read must not begin behind what was left out.
            return {"watermark": None, **(request.state or {})}
        row = connection.execute(late_commits.watermark_query(self.table, self._cursor, moment)).fetchone()
        return late_commits.new_position(self._cursor, moment, row[0] if row else None, request)

    @property
    def connection(self) -> client.PatientConnection:
        """The connection with the snapshot, after `begin`."""
        assert self._connection is not None
        return self._connection

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        try:
            selection = self.begin()
            with client.translating(self._source.config.address):
                for query in self._queries(selection):
                    yield from self._copied(query, [one.reader for one in selection.asked()])
        finally:
            self.close()

    def _queries(self, selection: Selection) -> Iterator[sql.Composed]:
        if self._request.keys is None:
            yield selection.query()
            return
        for condition in keys.conditions(self.connection, self.table, self._request.keys):
            yield selection.query(condition)

    def _copied(self, query: sql.Composed, readers: list[Reader]) -> Iterator[pa.RecordBatch]:
        settings = self._source.settings
        decoder = BlockDecoder(self.schema, readers, self.table.relation.stream)
        statement = f"COPY ({query.as_string(self.connection)}) TO STDOUT (FORMAT binary)"
        rows, size = settings.batch_rows, settings.batch_bytes
        blocks = copy_blocks(self.connection, statement, self._stop, rows=rows, size=size)
        if self._has_neighbours:
            yield from map(decoder.decode, blocks)
            return
        self._ahead = ReadAhead(blocks, self._stop)
        for block in self._ahead:
            yield decoder.decode(block)
        self._ahead.close()
        self._stop.clear()

    @property
    def _has_neighbours(self) -> bool:
        """Whether shares of the table are read beside this one, in this process: they read on while it decodes."""
        return self._request.partition is not None and "first" in self._request.partition.bounds

    def position(self) -> dict[str, Any] | None:
        return self._position

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if self._ahead is not None:
            self._ahead.close()
        if connection is None:
            return
        try:
            if connection.pgconn.transaction_status == psycopg.pq.TransactionStatus.ACTIVE:
                connection.cancel_safe(timeout=5)
        except psycopg.Error:
            pass  # the server is gone, and the COPY with it
        connection.close()
