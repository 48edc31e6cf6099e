"""PostgreSQL keeps the contract of all connectors."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pytest

from conformance.destination import DestinationConformance, context
from conformance.rows import SCHEMA, make_rows
from conformance.source import SourceConformance
from data_workbench.connectors.postgres.destination import PostgresDestination
from data_workbench.connectors.postgres.source import PostgresSource
from data_workbench.mapping.targets import TableTarget


class TestPostgresSource(SourceConformance):
    @pytest.fixture
    def source(self, source: PostgresSource) -> PostgresSource:
        return source

    @pytest.fixture
    def stream(self, destination: PostgresDestination, rows: pa.Table, execute: Callable[..., list[tuple]]) -> str:
        target = TableTarget(input="x", table="public.rows", key=("id",), write="merge")
        with destination.open(target, SCHEMA, context()) as writer:
            writer.write(rows, 0)
            writer.finish()
        return "public.rows"

    @pytest.fixture
    def rows(self) -> pa.Table:
        return make_rows(range(1, 21))


@pytest.mark.usefixtures("execute")
class TestPostgresDestination(DestinationConformance):
    @pytest.fixture
    def destination(self, destination: PostgresDestination) -> PostgresDestination:
        return destination

    @pytest.fixture
    def target(self) -> TableTarget:
        return TableTarget(input="x", table='"My Schema"."Tab.le ""☃"""', key=("id",), write="merge")
