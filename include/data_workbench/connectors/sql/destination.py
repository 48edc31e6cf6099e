"""Writing SQL databases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import pyarrow as pa

from data_workbench.connectors.base import (
    Change,
    Destination,
    DestinationCapabilities,
    Health,
    ReadRequest,
    Writer,
)
from data_workbench.connectors.powers import CanDelete, CanFindUnique, CanReadBack
from data_workbench.connectors.selection import semi_join
from data_workbench.connectors.sql.catalogue import find_table
from data_workbench.connectors.sql.dialects import dialect_of
from data_workbench.connectors.sql.selecting import SqlReading, select
from data_workbench.connectors.sql.source import checked
from data_workbench.connectors.sql.state import Ownership, ensure
from data_workbench.connectors.sql.tables import carry_out, plan_table
from data_workbench.connectors.sql.writer import WRITERS, SqlWriter
from data_workbench.errors import SchemaConflict, StreamUnknown, Unsupported
from data_workbench.mapping.targets import LoadContext, TableTarget, Target
from data_workbench.records import marks

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connection
    from data_workbench.settings import Settings


class SqlDestination(Destination, CanReadBack, CanDelete, CanFindUnique):
    """One database; each load has a connection of its own."""

    capabilities: ClassVar[DestinationCapabilities] = DestinationCapabilities(
        dispositions=frozenset({"append", "replace", "merge"}),
        targets=frozenset({"table"}),
        replace="transaction",
        transactional=True,
        deletes=True,
    )

    def __init__(self, connection: Connection, settings: Settings) -> None:
        super().__init__(connection, settings)
        self.dialect = dialect_of(connection, settings)

    def check(self) -> Health:
        return checked(self.dialect, writes=True)

    def plan(self, target: Target, schema: pa.Schema) -> list[Change]:
        wanted = _table_target(target)
        if not self.dialect.exists():
            return [Change("create", wanted.table, f"{len(schema)} columns, in a new file")]
        session = self.dialect.connect(writes=False)
        try:
            return plan_table(session, wanted, schema).changes
        finally:
            session.close()

    def open(self, target: Target, schema: pa.Schema, context: LoadContext) -> Writer:
        wanted = _table_target(target)
        if wanted.write == "merge" and not wanted.key:
            raise SchemaConflict(f"table {wanted.table}: merge needs a key", hint="give `key` in the destination")
        return self._opened(wanted, schema, context)

    def _opened(self, target: TableTarget, schema: pa.Schema, context: LoadContext) -> SqlWriter:
        session = self.dialect.connect(writes=True)
        try:
            ensure(session)
            plan = plan_table(session, target, schema)
            table = carry_out(session, plan, context.pipeline)
            writer: SqlWriter = WRITERS[target.write](session, table, plan.columns, target, context)
        except BaseException:
            session.close()
            raise
        return writer

    def read_back(
        self, target: Target, schema: pa.Schema, context: LoadContext, keys: pa.Table | None
    ) -> Iterator[pa.RecordBatch]:
        wanted = _table_target(target)
        if not self.dialect.exists():
            return
        session = self.dialect.connect(writes=False)
        session.batch_rows = self.settings.batch_rows
        try:
            table = find_table(session, wanted.table)
            if table is None:
                return
            columns = [
                replace(column, field=item.with_nullable(True))
                for item in schema
                if (column := table.column(item.name)) is not None
            ]
            ownership = Ownership(context, wanted.table, wanted.key)
            ownership.learn(session)
            session.execute(self.dialect.begin_reading)
            matching = None if keys is None else _matching(keys, schema, wanted.key)
            for batch in select(session, table, columns, keys=matching, size=self.settings.batch_bytes):
                found = batch if matching is None else semi_join(batch, matching)
                if found.num_rows:
                    yield found.append_column(marks.OWNED, ownership.are_owned(found))
        finally:
            session.close()

    def delete(self, target: Target, schema: pa.Schema, context: LoadContext, keys: pa.Table) -> int:
        wanted = _table_target(target)
        with self._opened(wanted, schema, context) as writer, writer.session.transaction():
            return writer.delete(_matching(keys, schema, wanted.key))

    def find_unique(self, target: Target, columns: tuple[str, ...], values: pa.Table) -> pa.Table:
        wanted = _table_target(target)
        names = tuple(dict.fromkeys((*wanted.key, *columns)))
        request = ReadRequest(wanted.table, names, keys=values.select(list(columns)))
        try:
            if not self.dialect.exists():
                raise StreamUnknown(f"no file {self.dialect.config.address}")
            reading = SqlReading(self.dialect, request, self.settings)
        except StreamUnknown:  # nothing stands there yet
            return pa.table({name: pa.array([], pa.string()) for name in names})
        return pa.Table.from_batches(list(reading), reading.schema)


def _matching(keys: pa.Table, schema: pa.Schema, key: tuple[str, ...]) -> pa.Table:
    return keys.select(list(key)).cast(pa.schema([pa.field(name, schema.field(name).type) for name in key]))


def _table_target(target: Target) -> TableTarget:
    if isinstance(target, TableTarget):
        return target
    raise Unsupported(f"SQL databases take tables, not a {target.kind}", hint="give `table` in the destination")
