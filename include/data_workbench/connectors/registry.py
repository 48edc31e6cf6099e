"""Which connector serves which connection type, as import paths: listing stores imports no driver."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from data_workbench.errors import Unsupported

if TYPE_CHECKING:
    from data_workbench.connectors.base import Destination, Source
    from data_workbench.connectors.connections import Connection
    from data_workbench.settings import Settings


@dataclass(frozen=True)
class Connector:
    """One store: Airflow's connection type, the classes that serve it, and OpenLineage's namespace scheme."""

    kind: str
    title: str
    source: str | None
    destination: str | None
    namespace: str


CONNECTORS: Mapping[str, Connector] = {
    connector.kind: connector
    for connector in (
        Connector(
            "postgres",
            "PostgreSQL",
            "data_workbench.connectors.postgres.source:PostgresSource",
            "data_workbench.connectors.postgres.destination:PostgresDestination",
            "postgres",
        ),
        Connector(
            "neo4j",
            "Neo4j",
            "data_workbench.connectors.neo4j.source:Neo4jSource",
            "data_workbench.connectors.neo4j.destination:Neo4jDestination",
            "neo4j",
        ),
        Connector(
            "qdrant",
            "Qdrant",
            "data_workbench.connectors.qdrant.source:QdrantSource",
            "data_workbench.connectors.qdrant.destination:QdrantDestination",
            "qdrant",
        ),
        Connector(
            "workbench_files",
            "Files (Parquet, CSV, JSONL, Arrow over fsspec)",
            "data_workbench.connectors.files.source:FilesSource",
            "data_workbench.connectors.files.destination:FilesDestination",
            "file",
        ),
    )
}


def connector_of(connection: Connection) -> Connector:
    """The connector of a connection's type.

    Raises:
        Unsupported: no connector serves this type.
    """
    try:
        return CONNECTORS[connection.kind]
    except KeyError:
        raise Unsupported(
            f"connection {connection.id!r} is of type {connection.kind!r}, which no connector serves",
            hint=f"known types: {', '.join(sorted(CONNECTORS))}",
        ) from None


def open_source(connection: Connection, settings: Settings) -> Source:
    """The source side of a connection's store."""
    return _build(connector_of(connection).source, "read", connection, settings)


def open_destination(connection: Connection, settings: Settings) -> Destination:
    """The destination side of a connection's store."""
    return _build(connector_of(connection).destination, "write", connection, settings)


def _build(path: str | None, verb: str, connection: Connection, settings: Settings) -> Any:
    if path is None:
        raise Unsupported(f"connection {connection.id!r}: the connector {connection.kind!r} does not {verb}")
    module, name = path.split(":")
    return getattr(import_module(module), name)(connection, settings)
