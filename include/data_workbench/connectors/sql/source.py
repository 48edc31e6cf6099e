"""Reading SQL databases."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from data_workbench.connectors.base import Health, Reading, ReadRequest, Source, SourceCapabilities, Stream
from data_workbench.connectors.sql.catalogue import all_tables, get_table
from data_workbench.connectors.sql.dialects import dialect_of
from data_workbench.connectors.sql.selecting import SqlReading
from data_workbench.errors import WorkbenchError

if TYPE_CHECKING:
    import pyarrow as pa

    from data_workbench.connectors.connections import Connection
    from data_workbench.connectors.sql.dialect import Dialect
    from data_workbench.settings import Settings


class SqlSource(Source):
    """One database. Every question has a connection of its own: a file is held no longer than it is read."""

    capabilities: ClassVar[SourceCapabilities] = SourceCapabilities(cursor=True, snapshot=True)

    def __init__(self, connection: Connection, settings: Settings) -> None:
        super().__init__(connection, settings)
        self.dialect = dialect_of(connection, settings)

    def check(self) -> Health:
        return checked(self.dialect, writes=False)

    def discover(self, pattern: str | None = None) -> list[Stream]:
        session = self.dialect.connect(writes=False)
        try:
            return [table.as_stream() for table in all_tables(session, pattern)]
        finally:
            session.close()

    def describe(self, stream: str, options: Mapping[str, Any] | None = None) -> Stream:
        session = self.dialect.connect(writes=False)
        try:
            return get_table(session, stream, dict(options or {})).as_stream()
        finally:
            session.close()

    def pushes_where(self, expression: str, schema: pa.Schema) -> bool:  # noqa: ARG002  # all or nothing
        return self.dialect.pushes_where(schema)

    def read(self, request: ReadRequest) -> Reading:
        return SqlReading(self.dialect, request, self.settings)


def checked(dialect: Dialect, *, writes: bool) -> Health:
    """Ask for the version; never raises for a database that is away."""
    if writes and not dialect.exists():
        place = Path(dialect.config.address)
        return Health(ok=place.parent.is_dir(), detail=f"{place} will be created by the first load")
    try:
        session = dialect.connect(writes=writes)
        try:
            version = dialect.version(session)
        finally:
            session.close()
    except WorkbenchError as error:
        return Health(ok=False, detail=f"{error.message}; {error.hint}" if error.hint else error.message)
    return Health(ok=True, detail=f"{dialect.title} {version}, {dialect.config.address}", version=version)
