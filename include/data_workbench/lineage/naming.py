"""How datasets are called, by one rule for events, catalogue and impact queries.

    PostgreSQL     postgres://host:port    database.schema.table
    Neo4j          neo4j://host:port       database.Label, or database.[:TYPE]
    Qdrant         qdrant://host:port      collection
    RDF            sparql://host:port/set  class:IRI, graph:IRI
    local files    file                    absolute path
    object store   s3://bucket             key
    REST, GraphQL  https://host            path below the host/stream
    anything else  kind://host:port        database/stream

The first, and those of files, are OpenLineage's own (https://openlineage.io/docs/spec/naming); it has none for
Neo4j, Qdrant and RDF. A namespace never holds a login. `localhost` stays as the connection writes it: give connections
of the same server the same host, or they are two servers to every reader of lineage.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from data_workbench.mapping.targets import (
    CollectionTarget,
    FileTarget,
    NodeTarget,
    RelationshipTarget,
    ResourceTarget,
    TableTarget,
)

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connection
    from data_workbench.mapping.targets import Target


@dataclass(frozen=True)
class DatasetName:
    """OpenLineage's name of a dataset."""

    namespace: str
    name: str

    @property
    def uri(self) -> str:
        """Both in one, for people."""
        return f"{self.namespace}/{self.name}" if "://" in self.namespace else f"{self.namespace}:{self.name}"


def source_name(connection: Connection, stream: str) -> DatasetName:
    """The name of what a source reads; `stream` as `discover` gives it."""
    match connection.kind:
        case "postgres":
            return _table(connection, stream)
        case "neo4j":
            return _graph(connection, stream)
        case "qdrant":
            return DatasetName(_qdrant(connection), stream)
        case "workbench_files":
            return _file(connection, stream)
        case "workbench_rdf":
            return DatasetName(_dataset(connection), stream)
        case "workbench_rest" | "workbench_graphql":
            return _api(connection, stream)
    place = f"{connection.database}/{stream}" if connection.database else stream
    return DatasetName(_server(connection.kind, connection, None), place)


def target_name(connection: Connection, target: Target) -> DatasetName:
    """The name of what a destination writes."""
    match target:
        case TableTarget():
            return source_name(connection, target.table)
        case NodeTarget():
            return source_name(connection, target.label)
        case RelationshipTarget():
            return source_name(connection, f"[:{target.type}]")
        case CollectionTarget():
            return source_name(connection, target.collection)
        case ResourceTarget():
            return source_name(connection, target.name)
        case FileTarget():
            return source_name(connection, target.path)


def _table(connection: Connection, stream: str) -> DatasetName:
    from data_workbench.connectors.postgres.config import PostgresConfig
    from data_workbench.connectors.postgres.names import parse_relation

    config, relation = PostgresConfig.of(connection), parse_relation(stream)
    return DatasetName(f"postgres://{config.host}:{config.port}", f"{config.database}.{relation.stream}")


def _graph(connection: Connection, stream: str) -> DatasetName:
    from data_workbench.connectors.neo4j.config import DEFAULT_DATABASE, DEFAULT_PORT

    namespace = _server("neo4j", connection, DEFAULT_PORT)
    return DatasetName(namespace, f"{connection.database or DEFAULT_DATABASE}.{stream}")


def _qdrant(connection: Connection) -> str:
    from data_workbench.connectors.qdrant.config import QdrantConfig

    parts = urlsplit(QdrantConfig.of(connection).address)
    return f"qdrant://{parts.hostname}:{parts.port}"


def _dataset(connection: Connection) -> str:
    from data_workbench.connectors.rdf.config import RdfConfig

    parts = urlsplit(RdfConfig.of(connection).address)
    return (
        f"sparql://{parts.hostname}:{parts.port}{parts.path}"
        if parts.port
        else f"sparql://{parts.hostname}{parts.path}"
    )


def _file(connection: Connection, path: str) -> DatasetName:
    from data_workbench.connectors.files.config import config_of

    config = config_of(connection)
    if config.is_local:
        return DatasetName("file", str(PurePosixPath(config.folder) / path))
    scheme, _, place = config.url.partition("://")
    bucket, _, prefix = place.partition("/")
    return DatasetName(f"{scheme}://{bucket}", str(PurePosixPath(prefix) / path))


def _api(connection: Connection, stream: str) -> DatasetName:
    from data_workbench.connectors.http.config import HttpConfig
    from data_workbench.connectors.http.origins import origin_of
    from data_workbench.connectors.registry import spec_of

    config = spec_of(connection.kind).of(connection)
    url = config.url if isinstance(config, HttpConfig) else ""
    path = urlsplit(url).path.strip("/")
    return DatasetName(origin_of(url), f"{path}/{stream.strip('/')}" if path else stream.strip("/"))


def _server(kind: str, connection: Connection, default_port: int | None) -> str:
    host = (connection.host or "localhost").rpartition("@")[2]
    host = urlsplit(host).hostname or host if "://" in host else host
    port = connection.port or default_port
    return f"{kind}://{host}:{port}" if port else f"{kind}://{host}"
