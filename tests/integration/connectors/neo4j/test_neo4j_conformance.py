"""Neo4j keeps the connectors' contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from conformance.destination import DestinationConformance, context
from conformance.rows import SCHEMA, make_rows
from conformance.source import SourceConformance
from data_workbench.mapping.targets import NodeTarget

if TYPE_CHECKING:
    import pyarrow as pa

    from data_workbench.connectors.neo4j.destination import Neo4jDestination
    from data_workbench.connectors.neo4j.source import Neo4jSource

TARGET = NodeTarget(input="rows", label="Conformance", key=("id",), write="merge")


class TestNodes(DestinationConformance):
    @pytest.fixture
    def destination(self, graph_destination: Neo4jDestination) -> Neo4jDestination:
        return graph_destination

    @pytest.fixture
    def target(self) -> NodeTarget:
        return TARGET


class TestLabel(SourceConformance):
    @pytest.fixture
    def rows(self) -> pa.Table:
        # A graph has no decimals: a source reads the exact text.
        return make_rows(range(1, 21)).drop_columns(["amount"])

    @pytest.fixture
    def stream(self) -> str:
        return TARGET.label

    @pytest.fixture
    def source(self, graph_source: Neo4jSource, graph_destination: Neo4jDestination, rows: pa.Table) -> Neo4jSource:
        with graph_destination.open(TARGET, SCHEMA.remove(SCHEMA.get_field_index("amount")), context()) as writer:
            writer.write(rows, 0)
            writer.finish()
        return graph_source
