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
    from data_workbench.connectors.spec import StoreConfig
    from data_workbench.settings import Settings


@dataclass(frozen=True)
class Connector:
    """One store: Airflow's connection type, the classes that serve it, OpenLineage's namespace scheme, its config."""

    kind: str
    title: str
    source: str | None
    destination: str | None
    namespace: str
    config: str
    """Path of the `StoreConfig` that says what a connection of this type holds."""

    @property
    def page(self) -> str:
        """Name of its page among the documents."""
        return self.kind.removeprefix("workbench_")


CONNECTORS: Mapping[str, Connector] = {
    connector.kind: connector
    for connector in (
        Connector(
            "postgres",
            "PostgreSQL",
            "data_workbench.connectors.postgres.source:PostgresSource",
            "data_workbench.connectors.postgres.destination:PostgresDestination",
            "postgres",
            "data_workbench.connectors.postgres.config:PostgresConfig",
        ),
        Connector(
            "neo4j",
            "Neo4j",
            "data_workbench.connectors.neo4j.source:Neo4jSource",
            "data_workbench.connectors.neo4j.destination:Neo4jDestination",
            "neo4j",
            "data_workbench.connectors.neo4j.config:Neo4jConfig",
        ),
        Connector(
            "qdrant",
            "Qdrant",
            "data_workbench.connectors.qdrant.source:QdrantSource",
            "data_workbench.connectors.qdrant.destination:QdrantDestination",
            "qdrant",
            "data_workbench.connectors.qdrant.config:QdrantConfig",
        ),
        Connector(
            "workbench_rdf",
            "RDF over SPARQL (Fuseki)",
            "data_workbench.connectors.rdf.source:RdfSource",
            "data_workbench.connectors.rdf.destination:RdfDestination",
            "workbench_rdf",
            "data_workbench.connectors.rdf.config:RdfConfig",
        ),
        Connector(
            "workbench_singer",
            "Singer (taps, and files of messages)",
            "data_workbench.connectors.singer.source:SingerSource",
            None,
            "workbench_singer",
            "data_workbench.connectors.singer.config:SingerConfig",
        ),
        Connector(
            "workbench_reqif",
            "ReqIF",
            "data_workbench.connectors.reqif.source:ReqifSource",
            None,
            "workbench_reqif",
            "data_workbench.connectors.reqif.config:ReqifConfig",
        ),
        Connector(
            "workbench_dlt",
            "dlt sources (optional extra)",
            "data_workbench.connectors.dlt.source:DltSource",
            None,
            "workbench_dlt",
            "data_workbench.connectors.dlt.config:DltConfig",
        ),
        Connector(
            "workbench_files",
            "Files (Parquet, CSV, JSON, Excel, XML, Avro, Arrow; local, S3, GCS, Azure, SFTP, HTTP)",
            "data_workbench.connectors.files.source:FilesSource",
            "data_workbench.connectors.files.destination:FilesDestination",
            "file",
            "data_workbench.connectors.files.config:FilesConfig",
        ),
        *(
            Connector(
                kind,
                title,
                "data_workbench.connectors.sql.source:SqlSource",
                "data_workbench.connectors.sql.destination:SqlDestination",
                namespace,
                f"data_workbench.connectors.sql.config:{config}",
            )
            for kind, title, namespace, config in (
                ("sqlite", "SQLite", "sqlite", "SqliteConfig"),
                ("duckdb", "DuckDB", "duckdb", "DuckdbConfig"),
                ("mysql", "MySQL and MariaDB", "mysql", "MysqlConfig"),
            )
        ),
        Connector(
            "workbench_rest",
            "REST APIs (JSON over HTTP)",
            "data_workbench.connectors.rest.source:RestSource",
            None,
            "https",
            "data_workbench.connectors.rest.config:RestConfig",
        ),
        Connector(
            "workbench_graphql",
            "GraphQL APIs",
            "data_workbench.connectors.graphql.source:GraphqlSource",
            None,
            "https",
            "data_workbench.connectors.graphql.config:GraphqlConfig",
        ),
    )
}


def connector_of(connection: Connection) -> Connector:
    """The connector of a connection's type.

    Raises:
        Unsupported: no connector serves this type.
    """
    return _connector(connection.kind, f"connection {connection.id!r} is of type {connection.kind!r}, which")


def _connector(kind: str, what: str) -> Connector:
    try:
        return CONNECTORS[kind]
    except KeyError:
        raise Unsupported(f"{what} no connector serves", hint=f"known types: {', '.join(sorted(CONNECTORS))}") from None


def open_source(connection: Connection, settings: Settings) -> Source:
    """The source side of a connection's store."""
    return _build(connector_of(connection).source, "read", connection, settings)


def open_destination(connection: Connection, settings: Settings) -> Destination:
    """The destination side of a connection's store."""
    return _build(connector_of(connection).destination, "write", connection, settings)


def spec_of(kind: str) -> type[StoreConfig]:
    """The config model of a connection type; imports no driver. `connectors.spec.keys_of` lists its keys.

    Raises:
        Unsupported: no connector serves this type.
    """
    found: type[StoreConfig] = _load(_connector(kind, f"type {kind!r}:").config)
    return found


@dataclass(frozen=True)
class Abilities:
    """What a store can do on each side, as data; None for a side it does not have. Imports the drivers it needs."""

    source: Mapping[str, Any] | None
    destination: Mapping[str, Any] | None


def abilities_of(kind: str) -> Abilities:
    """Capabilities of both sides of a store, JSON-able, with its optional powers under `powers`.

    Raises:
        Unsupported: no connector serves this type.
    """
    connector = _connector(kind, f"type {kind!r}:")
    return Abilities(*(_told(_load(path)) if path else None for path in (connector.source, connector.destination)))


def _told(side: type[Source] | type[Destination]) -> dict[str, Any]:
    from data_workbench.connectors.powers import powers_of

    plain = {
        name: sorted(value) if isinstance(value, frozenset) else value
        for name, value in vars(side.capabilities).items()
    }
    return {**plain, "powers": powers_of(side)}


def _build(path: str | None, verb: str, connection: Connection, settings: Settings) -> Any:
    if path is None:
        raise Unsupported(f"connection {connection.id!r}: the connector {connection.kind!r} does not {verb}")
    return _load(path)(connection, settings)


def _load(path: str) -> Any:
    module, name = path.split(":")
    return getattr(import_module(module), name)
