"""An empty dataset of a real Fuseki, and both sides of the connector on it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from data_workbench.connectors.connections import Connection
from data_workbench.connectors.rdf.client import Sparql
from data_workbench.connectors.rdf.destination import RdfDestination
from data_workbench.connectors.rdf.source import RdfSource
from data_workbench.settings import Settings


@pytest.fixture
def connection(fuseki: str) -> Connection:
    return Connection(id="odras_fuseki", kind="workbench_rdf", host=fuseki)


@pytest.fixture
def store(connection: Connection) -> Iterator[Sparql]:
    """The dataset, emptied."""
    found = Sparql(connection)
    found.update("DROP ALL")
    yield found
    found.close()


@pytest.fixture
def rdf_source(connection: Connection, store: Sparql) -> Iterator[RdfSource]:
    with RdfSource(connection, Settings()) as source:
        yield source


@pytest.fixture
def rdf_destination(connection: Connection, store: Sparql) -> Iterator[RdfDestination]:
    with RdfDestination(connection, Settings()) as destination:
        yield destination
