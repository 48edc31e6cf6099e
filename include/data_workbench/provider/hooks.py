"""Hooks for DAG authors: the official ones plus a `test_connection` that asks the store itself, and one for files.

The official connection types stay the official hooks' (a second registration is ignored in silence); only
`workbench_files` is ours. Heavy drivers are imported by the official hooks' modules, so a DAG file names these classes
inside a task.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.providers.neo4j.hooks.neo4j import Neo4jHook
from airflow.providers.postgres.hooks.postgres import PostgresHook
from airflow.providers.qdrant.hooks.qdrant import QdrantHook
from airflow.providers.sqlite.hooks.sqlite import SqliteHook
from airflow.sdk import BaseHook  # noqa: TID253  # this module is imported by who uses a hook, not by DAG parsing

from data_workbench import settings as settings_module
from data_workbench.connectors.connections import Connection
from data_workbench.connectors.registry import open_destination, open_source
from data_workbench.errors import WorkbenchError
from data_workbench.metastore.alerts import Alert
from data_workbench.provider.alerting import webhook_route
from data_workbench.provider.connections import from_airflow_connection

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

    from data_workbench.connectors.base import Destination, Source
    from data_workbench.notifications import WebhookRoute


def tested(connection: Connection) -> tuple[bool, str]:
    """Whether the store behind a connection answers, and what it says; what Airflow's Test button shows."""
    try:
        with open_source(connection, settings_module.load()) as source:
            health = source.check()
    except WorkbenchError as error:
        return False, f"{error.message}{f' ({error.hint})' if error.hint else ''}"
    return health.ok, health.detail


class _Opening:
    """What a hook offers beside its official base: the workbench's view of its connection."""

    def workbench_connection(self) -> Connection:
        """The connection as the connectors take it."""
        return from_airflow_connection(BaseHook.get_connection(self._connection_id()))

    def open_source(self) -> Source:
        """The connector's source; close it, or use it in a `with` block."""
        return open_source(self.workbench_connection(), settings_module.load())

    def open_destination(self) -> Destination:
        """The connector's destination; close it, or use it in a `with` block."""
        return open_destination(self.workbench_connection(), settings_module.load())

    def test_connection(self) -> tuple[bool, str]:
        """Ask the store."""
        return tested(self.workbench_connection())

    def _connection_id(self) -> str:
        return str(getattr(self, self.conn_name_attr))  # type: ignore[attr-defined]  # every hook has it


class WorkbenchPostgresHook(_Opening, PostgresHook):  # type: ignore[misc]  # the base's answer is not annotated
    """PostgreSQL; `test_connection` names the server's version."""

    hook_name = "PostgreSQL (workbench)"


class WorkbenchNeo4jHook(_Opening, Neo4jHook):
    """Neo4j, whose official hook has no `test_connection`."""

    hook_name = "Neo4j (workbench)"


class WorkbenchQdrantHook(_Opening, QdrantHook):
    """Qdrant; a connection may hold host and url both, which the official hook hands to a client that refuses it."""

    hook_name = "Qdrant (workbench)"

    def get_conn(self) -> QdrantClient:
        """A client by URL: the given one, or made of host, port and `https`."""
        from qdrant_client import QdrantClient

        connection = self.workbench_connection()
        extra = connection.extra
        scheme = "https" if extra.get("https") else "http"
        url = extra.get("url") or f"{scheme}://{connection.host or 'localhost'}:{connection.port or 6333}"
        return QdrantClient(
            url=url,
            api_key=connection.secret,
            prefix=extra.get("prefix"),
            grpc_port=int(extra.get("grpc_port") or 6334),
            # The official form spells it `prefer_gprc`.
            prefer_grpc=bool(extra.get("prefer_grpc", extra.get("prefer_gprc", False))),
            check_compatibility=False,
        )


class WorkbenchSqliteHook(_Opening, SqliteHook):  # type: ignore[misc]  # the base's answer is not annotated
    """SQLite; `test_connection` names the library's version."""

    hook_name = "SQLite (workbench)"


class StoreHook(_Opening, BaseHook):
    """Base of hooks for types that no official provider owns; `get_conn` gives the connector's source."""

    def __init__(self, conn_id: str | None = None) -> None:
        super().__init__()
        setattr(self, self.conn_name_attr, conn_id or self.default_conn_name)

    conn_name_attr = "conn_id"
    default_conn_name = "workbench_store"

    def get_conn(self) -> Source:
        """The source of the connection's store."""
        return self.open_source()


class DuckdbHook(StoreHook):
    """A DuckDB file."""

    conn_name_attr = "duckdb_conn_id"
    default_conn_name = "duckdb_default"
    conn_type = "duckdb"
    hook_name = "DuckDB (workbench)"


class MysqlHook(StoreHook):
    """MySQL or MariaDB by PyMySQL, where the official provider, which needs a compiler, is not installed."""

    conn_name_attr = "mysql_conn_id"
    default_conn_name = "mysql_default"
    conn_type = "mysql"
    hook_name = "MySQL (workbench)"


class RdfHook(StoreHook):
    """An RDF store over SPARQL, such as Fuseki."""

    conn_name_attr = "rdf_conn_id"
    default_conn_name = "rdf_default"
    conn_type = "workbench_rdf"
    hook_name = "RDF store (workbench)"


class SingerHook(StoreHook):
    """Singer: a tap, or files of its messages."""

    conn_name_attr = "singer_conn_id"
    default_conn_name = "singer_default"
    conn_type = "workbench_singer"
    hook_name = "Singer (workbench)"


class ReqifHook(StoreHook):
    """Requirements exchanged as ReqIF files."""

    conn_name_attr = "reqif_conn_id"
    default_conn_name = "reqif_default"
    conn_type = "workbench_reqif"
    hook_name = "ReqIF (workbench)"


class DltHook(StoreHook):
    """A dlt source; needs the optional package `dlt`."""

    conn_name_attr = "dlt_conn_id"
    default_conn_name = "dlt_default"
    conn_type = "workbench_dlt"
    hook_name = "dlt source (workbench)"


class FilesHook(_Opening, BaseHook):
    """A folder or bucket over fsspec: `host` is the root as URL, options of its file system are extras."""

    conn_name_attr = "files_conn_id"
    default_conn_name = "workbench_files"
    conn_type = "workbench_files"
    hook_name = "Files (workbench)"

    def __init__(self, files_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.files_conn_id = files_conn_id

    def get_conn(self) -> Source:
        """The source over the root."""
        return self.open_source()


class RestHook(_Opening, BaseHook):
    """A REST API: `host` is its base URL, the password its secret, how it is used stands in the extras."""

    conn_name_attr = "rest_conn_id"
    default_conn_name = "rest_default"
    conn_type = "workbench_rest"
    hook_name = "REST API (workbench)"

    def __init__(self, rest_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.rest_conn_id = rest_conn_id

    def get_conn(self) -> Source:
        """The source over the API."""
        return self.open_source()


class GraphqlHook(_Opening, BaseHook):
    """A GraphQL API: `host` is its endpoint, the password its secret, how it is used stands in the extras."""

    conn_name_attr = "graphql_conn_id"
    default_conn_name = "graphql_default"
    conn_type = "workbench_graphql"
    hook_name = "GraphQL API (workbench)"

    def __init__(self, graphql_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.graphql_conn_id = graphql_conn_id

    def get_conn(self) -> Source:
        """The source over the endpoint."""
        return self.open_source()


class WebhookHook(BaseHook):
    """A receiver of alerts: `host` is the whole URL, the password the secret that signs (Standard Webhooks)."""

    conn_name_attr = "webhook_conn_id"
    default_conn_name = "workbench_alerts"
    conn_type = "workbench_webhook"
    hook_name = "Webhook for alerts (workbench)"

    def __init__(self, webhook_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.webhook_conn_id = webhook_conn_id

    def get_conn(self) -> WebhookRoute:
        """The route to it."""
        return webhook_route(from_airflow_connection(BaseHook.get_connection(self.webhook_conn_id)))

    def test_connection(self) -> tuple[bool, str]:
        """Send an alert of topic `test`."""
        try:
            self.get_conn().send(Alert("test", f"connection:{self.webhook_conn_id}", "info", "a test of this webhook"))
        except WorkbenchError as error:
            return False, f"{error.message}{f' ({error.hint})' if error.hint else ''}"
        return True, "the receiver took a test alert"
