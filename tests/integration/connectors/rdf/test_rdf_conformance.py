"""The conformance suite on a real Fuseki: resources of a class, by literals, lists and links."""

from __future__ import annotations

import pyarrow as pa
import pytest
from tests.conformance.destination import DestinationConformance, context
from tests.conformance.rows import SCHEMA, make_rows
from tests.conformance.source import SourceConformance

from data_workbench.connectors.base import Destination, Source
from data_workbench.connectors.rdf.destination import RdfDestination
from data_workbench.connectors.rdf.source import RdfSource
from data_workbench.mapping.rdf_values import as_kept
from data_workbench.mapping.targets import ResourceProperty, ResourceTarget, Target

GRAPH = "https://example.org/graph/conformance"
CLASS = "https://example.org/schema#Row"
TARGET = ResourceTarget(
    input="rows",
    graph=GRAPH,
    subject="https://example.org/row/{id}",
    class_iri=CLASS,
    key=("id",),
    write="merge",
    vocabulary="https://example.org/schema#",
)


class TestLiterals(DestinationConformance):
    """Every column a literal; a list is one document."""

    @pytest.fixture
    def destination(self, rdf_destination: RdfDestination) -> Destination:
        return rdf_destination

    @pytest.fixture
    def target(self) -> Target:
        return TARGET


class TestManyTriples(DestinationConformance):
    """A list as many triples, and text with a language; triples have no order, which is the loss declared here."""

    @pytest.fixture
    def destination(self, rdf_destination: RdfDestination) -> Destination:
        return rdf_destination

    @pytest.fixture
    def target(self) -> Target:
        return ResourceTarget(
            input="rows",
            graph=GRAPH,
            subject="https://example.org/row/{id}",
            class_iri=CLASS,
            key=("id",),
            write="merge",
            vocabulary="https://example.org/schema#",
            properties=(
                ResourceProperty(
                    "tags", "https://example.org/tag/of", link="https://example.org/tag/{tags}", many=True
                ),
                ResourceProperty("name", "http://www.w3.org/2000/01/rdf-schema#label", language="en-GB"),
            ),
        )

    def kept(self, rows: pa.Table) -> pa.Table:
        place = rows.column_names.index("tags")
        return rows.set_column(place, rows.schema.field("tags"), as_kept(rows.column("tags")))


class TestClassAsTable(SourceConformance):
    @pytest.fixture
    def rows(self) -> pa.Table:
        # A decimal has no scale in RDF, and comes as digits; a list comes as a document, or in no order.
        return make_rows(range(1, 21)).select(["id", "name", "ratio", "active", "born", "updated_at"])

    @pytest.fixture
    def stream(self, rdf_destination: RdfDestination) -> str:
        with rdf_destination.open(TARGET, SCHEMA, context()) as writer:
            writer.write(make_rows(range(1, 21)), 0)
            writer.finish()
        return f"class:{CLASS}"

    @pytest.fixture
    def source(self, rdf_source: RdfSource, stream: str) -> Source:
        return rdf_source
