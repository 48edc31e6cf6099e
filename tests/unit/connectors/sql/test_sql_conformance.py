"""SQLite and DuckDB against the conformance suite: both are files, and need no server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from conformance.destination import DestinationConformance
from conformance.destination import context as load_context
from conformance.rows import make_rows, marked
from conformance.source import SourceConformance
from data_workbench.connectors.base import Destination, Source
from data_workbench.connectors.connections import Connection
from data_workbench.connectors.registry import open_destination, open_source
from data_workbench.mapping.targets import TableTarget
from data_workbench.settings import Settings

pytestmark = pytest.mark.slow


class DatabaseFile:
    kind: str

    @pytest.fixture
    def connection(self, tmp_path: Path) -> Connection:
        return Connection("here", self.kind, host=str(tmp_path / "database"))

    @pytest.fixture
    def destination(self, connection: Connection) -> Iterator[Destination]:
        with open_destination(connection, Settings()) as opened:
            yield opened

    @pytest.fixture
    def target(self) -> TableTarget:
        return TableTarget(input="rows", table="con formance", key=("id",), write="merge")


class Filled(DatabaseFile):
    """A table that a load made is what the source reads."""

    @pytest.fixture
    def source(self, connection: Connection, destination: Destination, rows: pa.Table) -> Iterator[Source]:
        target = TableTarget(input="rows", table="con formance", key=("id",), write="merge")
        with destination.open(target, rows.schema, load_context()) as writer:
            writer.write(marked(rows), 0)
            writer.finish()
        with open_source(connection, Settings()) as opened:
            yield opened

    @pytest.fixture
    def stream(self) -> str:
        return "con formance"


class TestSqliteDestination(DatabaseFile, DestinationConformance):
    kind = "sqlite"


class TestSqliteSource(Filled, SourceConformance):
    kind = "sqlite"

    @pytest.fixture
    def rows(self) -> pa.Table:
        return make_rows(range(1, 21)).drop_columns(["tags"])  # SQLite has no lists: they would come as texts of JSON


class TestDuckdbDestination(DatabaseFile, DestinationConformance):
    kind = "duckdb"


class TestDuckdbSource(Filled, SourceConformance):
    kind = "duckdb"

    @pytest.fixture
    def rows(self) -> pa.Table:
        return make_rows(range(1, 21))
