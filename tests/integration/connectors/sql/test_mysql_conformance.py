"""MySQL against the conformance suite, on a real MariaDB server."""

from __future__ import annotations

from collections.abc import Iterator

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

TARGET = TableTarget(input="rows", table="con formance %s", key=("id",), write="merge")


class TestMysqlDestination(DestinationConformance):
    @pytest.fixture
    def destination(self, mysql: Connection) -> Iterator[Destination]:
        with open_destination(mysql, Settings()) as opened:
            yield opened

    @pytest.fixture
    def target(self) -> TableTarget:
        return TARGET


class TestMysqlSource(SourceConformance):
    @pytest.fixture
    def source(self, mysql: Connection, rows: pa.Table) -> Iterator[Source]:
        destination = open_destination(mysql, Settings())
        with destination.open(TARGET, rows.schema, load_context()) as writer:
            writer.write(marked(rows), 0)
            writer.finish()
        with open_source(mysql, Settings()) as opened:
            yield opened

    @pytest.fixture
    def stream(self) -> str:
        return TARGET.table

    @pytest.fixture
    def rows(self) -> pa.Table:
        """MySQL has no lists and no zoned times: the one comes as a text of JSON, the other as the UTC time."""
        rows = make_rows(range(1, 21)).drop_columns(["tags"])
        place = rows.column_names.index("updated_at")
        return rows.set_column(place, "updated_at", rows["updated_at"].cast(pa.timestamp("us")))
