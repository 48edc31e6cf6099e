"""A clean graph, and both sides of the connector on it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from data_workbench.connectors.connections import Connection, from_environment
from data_workbench.connectors.neo4j.destination import Neo4jDestination
from data_workbench.connectors.neo4j.source import Neo4jSource

if TYPE_CHECKING:
    from neo4j import Driver

    from data_workbench.servers import Stack


@pytest.fixture
def connection(stack: Stack, neo4j: Driver) -> Connection:
    """The test stack's graph, emptied."""
    found = from_environment("odras_neo4j", stack.environment())
    assert found is not None
    return found


@pytest.fixture
def graph_destination(connection: Connection, stack: Stack) -> Iterator[Neo4jDestination]:
    with Neo4jDestination(connection, stack.settings) as destination:
        yield destination


@pytest.fixture
def graph_source(connection: Connection, stack: Stack) -> Iterator[Neo4jSource]:
    with Neo4jSource(connection, stack.settings) as source:
        yield source
