"""Writing PostgreSQL tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, ClassVar

import pyarrow as pa

from data_workbench.connectors.base import (
    Change,
    Destination,
    DestinationCapabilities,
    Health,
    ReadRequest,
    Source,
)
from data_workbench.connectors.connections import Connection
from data_workbench.connectors.postgres import checkpoints, client, read_back
from data_workbench.connectors.postgres.catalogue import find_table
from data_workbench.connectors.postgres.config import PostgresConfig
from data_workbench.connectors.postgres.deletion import delete_owned
from data_workbench.connectors.postgres.fused import fuse
from data_workbench.connectors.postgres.names import LONGEST, Relation, parse_relation
from data_workbench.connectors.postgres.notes import say_who
from data_workbench.connectors.postgres.ownership import Ownership
from data_workbench.connectors.postgres.pushed import PushedLoad
from data_workbench.connectors.postgres.source import PostgresSource
from data_workbench.connectors.postgres.tables import carry_out, plan_table
from data_workbench.connectors.postgres.writer import WRITERS, TableWriter
from data_workbench.connectors.powers import CanDelete, CanFindUnique, CanReadBack, CanRunSteps, CanStreamCopy
from data_workbench.errors import SchemaConflict, Unsupported
from data_workbench.mapping.targets import LoadContext, TableTarget, Target
from data_workbench.records.accounting import WriteCounts
from data_workbench.records.pushed import PushedStatement, StatusCounts
from data_workbench.settings import Settings

# Triggers of the target may name tables without a schema: a destination's session has PostgreSQL's own default.
SEARCH_PATH = '"$user", public'


class PostgresDestination(Destination, CanReadBack, CanDelete, CanFindUnique, CanStreamCopy, CanRunSteps):
    """One database; each load has a connection of its own."""

    capabilities: ClassVar[DestinationCapabilities] = DestinationCapabilities(
        dispositions=frozenset({"append", "replace", "merge"}),
        targets=frozenset({"table"}),
        replace="transaction",
        transactional=True,
        deletes=True,
        longest_name=LONGEST,
        hooks="sql",
    )

    def __init__(self, connection: Connection, settings: Settings) -> None:
        super().__init__(connection, settings)
        self.config = PostgresConfig.of(connection)
        self._ownerships: dict[tuple[Any, ...], Ownership] = {}

    def check(self) -> Health:
        return client.check(self.config)

    def connect(self) -> client.PatientConnection:
        """A connection for writing."""
        return client.connect(self.config, search_path=SEARCH_PATH)

    def plan(self, target: Target, schema: pa.Schema) -> list[Change]:
        table_target = table_of(target)
        with client.translating(self.config.address), self.connect() as connection:
            return plan_table(connection, table_target, schema).changes

    def open(self, target: Target, schema: pa.Schema, context: LoadContext) -> TableWriter:
        table_target = table_of(target)
        if table_target.write == "merge" and not table_target.key:
            raise SchemaConflict(f"table {table_target.table}: merge needs a key", hint="give `key` in the destination")
        connection = self.connect()
        try:
            with client.translating(self.config.address):
                checkpoints.ensure(connection, self.config.address)
                plan = plan_table(connection, table_target, schema)
                table = carry_out(connection, plan, context.pipeline)
                kind = WRITERS[table_target.write]
                return kind(connection, table, plan.columns, table_target, context, self.config.address)
        except BaseException:
            connection.close()
            raise

    def read_back(
        self, target: Target, schema: pa.Schema, context: LoadContext, keys: pa.Table | None
    ) -> Iterator[pa.RecordBatch]:
        table_target = table_of(target)
        with client.translating(self.config.address), self.connect() as connection:
            yield from read_back.rows(
                connection, table_target, schema, keys, self.settings, partial(self._ownership, table_target, context)
            )

    def _ownership(self, target: TableTarget, context: LoadContext, relation: Relation) -> Ownership:
        """Kept while the destination is: a comparison reads back page by page, and each asks what is owned."""
        one = Ownership(context.pipeline, context.destination, relation, target.key)
        return self._ownerships.setdefault((one.pipeline, one.destination, relation.sql, one.key), one)

    def takes_stream(self, target: Target) -> bool:
        table_target = table_of(target)
        with client.translating(self.config.address), self.connect() as connection:
            table = find_table(connection, parse_relation(table_target.table))
            if table is None or table_target.write != "merge":
                return True
            row = connection.execute(f"SELECT NOT EXISTS (SELECT FROM {table.relation.sql})".encode()).fetchone()
            return bool(row and row[0])

    def copy_from(
        self, source: Source, request: ReadRequest, target: Target, context: LoadContext, *, compares: bool = False
    ) -> tuple[WriteCounts, dict[str, Any] | None]:
        described = source.describe(request.stream)
        schema = pa.schema([described.schema.field(name) for name in request.columns or described.schema.names])
        with self.open(target, schema, context) as writer:
            return fuse(source, request, writer, compares=compares)

    def reads_where_it_writes(self, source: Source) -> bool:
        if not isinstance(source, PostgresSource):
            return False
        ours, theirs = self.config, source.config
        same = ("host", "port", "database", "user")
        return all(getattr(ours, name) == getattr(theirs, name) for name in same)

    def run_steps(
        self,
        statement: PushedStatement,
        params: Mapping[str, Any],
        target: Target,
        schema: pa.Schema,
        context: LoadContext,
        *,
        compares: bool,
    ) -> tuple[WriteCounts, StatusCounts]:
        with self.open(target, schema, context) as writer:
            return PushedLoad(statement, params, writer, compares).run()

    def delete(
        self,
        target: Target,
        schema: pa.Schema,  # noqa: ARG002  # the table knows its types
        context: LoadContext,
        keys: pa.Table,
    ) -> int:
        table_target = table_of(target)
        with client.translating(self.config.address), self.connect() as connection:
            table = find_table(connection, parse_relation(table_target.table))
            if table is None:
                return 0
            ownership = Ownership(context.pipeline, context.destination, table.relation, table_target.key)
            with connection.transaction():
                say_who(connection, context)
                return delete_owned(connection, table, ownership, keys.select(list(table_target.key)))

    def find_unique(self, target: Target, columns: tuple[str, ...], values: pa.Table) -> pa.Table:
        table_target = table_of(target)
        with client.translating(self.config.address), self.connect() as connection:
            return read_back.find_unique(connection, table_target, columns, values, self.settings)


def table_of(target: Target) -> TableTarget:
    """The target as a table. Raises Unsupported if it is none."""
    if isinstance(target, TableTarget):
        return target
    raise Unsupported(f"PostgreSQL takes tables, not a {target.kind}", hint="give `table` in the destination")
