"""What stands in a table, in the form it was asked to be written in."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import numpy as np
import psycopg
import pyarrow as pa
from psycopg import sql

from data_workbench.connectors.postgres import binary_types
from data_workbench.connectors.postgres import keys as by_key
from data_workbench.connectors.postgres.catalogue import Table, find_table
from data_workbench.connectors.postgres.client import PatientConnection
from data_workbench.connectors.postgres.copy_out import ReadAhead, copy_blocks
from data_workbench.connectors.postgres.decode import BlockDecoder, asked
from data_workbench.connectors.postgres.names import Relation, parse_relation
from data_workbench.connectors.postgres.nested import from_json, is_document
from data_workbench.connectors.postgres.ownership import Ownership, among, key_hash
from data_workbench.connectors.postgres.types import is_list
from data_workbench.mapping.targets import TableTarget
from data_workbench.records import marks
from data_workbench.settings import Settings


def rows(
    connection: PatientConnection,
    target: TableTarget,
    schema: pa.Schema,
    keys: pa.Table | None,
    settings: Settings,
    ownership_of: Callable[[Relation], Ownership],
) -> Iterator[pa.RecordBatch]:
    """Rows with the schema's columns and OWNED, from one snapshot."""
    table = find_table(connection, parse_relation(target.table))
    if table is None:
        return
    wanted = pa.schema([item for item in schema if table.column(item.name) is not None])
    ownership = ownership_of(table.relation)
    extra = key_hash(target.key) if target.key else "NULL::int8"
    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    # Asked before the first row: while COPY runs, the connection takes no other query.
    known = ownership.owned(connection) if target.key else None
    for batch in _batches(connection, table, wanted, extra, keys, settings):
        yield _with_owned(batch, wanted, known)


def find_unique(
    connection: PatientConnection, target: TableTarget, columns: tuple[str, ...], values: pa.Table, settings: Settings
) -> pa.Table:
    """Rows whose `columns` equal a row of `values`."""
    table = find_table(connection, parse_relation(target.table))
    names = list(dict.fromkeys((*target.key, *columns)))
    if table is None or any(table.column(name) is None for name in names):
        return pa.table({name: pa.array([], pa.string()) for name in names})
    wanted = pa.schema([column.field(table.relation) for name in names if (column := table.column(name)) is not None])
    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    batches = list(_batches(connection, table, wanted, "NULL::int8", values.select(list(columns)), settings))
    return pa.Table.from_batches([batch.select(names) for batch in batches], schema=wanted)


def _batches(
    connection: PatientConnection,
    table: Table,
    wanted: pa.Schema,
    extra: str,
    keys: pa.Table | None,
    settings: Settings,
) -> Iterator[pa.RecordBatch]:
    """The columns and one int64 more, of all rows or those with the keys."""
    readable = pa.schema([item.with_type(readable_type(item.type)) for item in wanted])
    columns = [asked(column, item.type) for item in readable if (column := table.column(item.name)) is not None]
    readers = [one.reader for one in columns]
    number = binary_types.reader("int8")
    assert number is not None
    expressions = ", ".join([*(one.expression for one in columns), extra])
    base = sql.SQL("SELECT {} FROM {}").format(sql.SQL(expressions), sql.SQL(table.relation.sql))
    conditions = [sql.SQL("true")] if keys is None else by_key.conditions(connection, table, keys)
    for condition in conditions:
        query = (base + sql.SQL(" WHERE ") + condition).as_string(connection)
        decoder = BlockDecoder(readable.append(pa.field("", pa.int64())), [*readers, number], table.relation.stream)
        yield from _copied(connection, query, decoder, settings)


def _copied(
    connection: PatientConnection, query: str, decoder: BlockDecoder, settings: Settings
) -> Iterator[pa.RecordBatch]:
    stop = threading.Event()
    statement = f"COPY ({query}) TO STDOUT (FORMAT binary)"
    rows, size = settings.batch_rows, settings.batch_bytes
    ahead = ReadAhead(copy_blocks(connection, statement, stop, rows=rows, size=size), stop)
    try:
        for block in ahead:
            yield decoder.decode(block)
    finally:
        ahead.close()
        if connection.pgconn.transaction_status == psycopg.pq.TransactionStatus.ACTIVE:
            # Given up in the middle: the COPY is still running on the server.
            connection.cancel_safe(timeout=5)
            connection.close()


def readable_type(kind: pa.DataType) -> pa.DataType:
    """The type the decoder gives for what was written as `kind`."""
    if pa.types.is_dictionary(kind):
        return readable_type(kind.value_type)
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", "UTC" if kind.tz else None)
    if pa.types.is_date(kind):
        return pa.date32()
    if pa.types.is_time(kind):
        return pa.time64("us")
    if pa.types.is_fixed_size_binary(kind) or pa.types.is_large_binary(kind):
        return pa.binary()
    if is_document(kind):
        return pa.string()
    if is_list(kind):
        return pa.list_(readable_type(kind.value_type))
    plain = pa.types.is_primitive(kind) or pa.types.is_decimal(kind) or pa.types.is_binary(kind)
    return kind if plain and not pa.types.is_duration(kind) and not pa.types.is_float16(kind) else pa.string()


def _with_owned(batch: pa.RecordBatch, wanted: pa.Schema, known: np.ndarray | None) -> pa.RecordBatch:
    *columns, hashes = batch.columns
    arrays = [_as(column, item.type) for column, item in zip(columns, wanted, strict=True)]
    # Without a key nobody can tell whose a row is; only a pipeline that appends or replaces has none.
    owned = among(known, hashes) if known is not None else pa.array([True] * batch.num_rows, pa.bool_())
    return pa.RecordBatch.from_arrays([*arrays, owned], schema=wanted.append(pa.field(marks.OWNED, pa.bool_())))


def _as(values: pa.Array, kind: pa.DataType) -> pa.Array:
    if values.type == kind:
        return values
    return from_json(values, kind) if is_document(kind) else values.cast(kind, safe=False)
