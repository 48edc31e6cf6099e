"""Stores beside PostgreSQL, Neo4j, Qdrant and local files, each added to an arena when a shape asks for it."""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from data_workbench.connectors.base import ReadRequest
from data_workbench.connectors.connections import from_environment
from data_workbench.connectors.registry import open_source
from data_workbench.settings import Settings

if TYPE_CHECKING:
    from tests.kill.conftest import Arena

    from local_mariadb import Mariadb

TAP: Final = Path(__file__).parents[1] / "fixtures" / "taps" / "tap_parts.py"
API_PAGE: Final = 500
"""Rows in an answer: several answers a run, but not hundreds."""


def give(arena: Arena, name: str, **value: Any) -> None:
    """A connection for the runs."""
    arena.variables[f"AIRFLOW_CONN_{name.upper()}"] = json.dumps(value)


def read_back(arena: Arena, name: str, stream: str) -> list[dict[str, Any]]:
    """All rows of a stream, by the connector itself."""
    connection = from_environment(name, arena.variables)
    assert connection is not None
    with open_source(connection, Settings()) as source:
        return [row for batch in source.read(ReadRequest(stream)) for row in batch.to_pylist()]


@contextmanager
def mysql(arena: Arena, server: Mariadb) -> Iterator[Callable[[str], Any]]:
    """An empty database, as `shop`; runs SQL in it."""
    import pymysql

    login = {"host": "127.0.0.1", "port": server.port}
    give(arena, "shop", conn_type="mysql", login=server.login, password=server.password, schema="killed", **login)
    admin = pymysql.connect(user=server.login, password=server.password, autocommit=True, **login)  # type: ignore[arg-type]
    with admin, admin.cursor() as cursor:

        def run(statement: str) -> Any:
            cursor.execute(statement)
            return cursor.fetchall()

        run("CREATE DATABASE killed CHARACTER SET utf8mb4")
        run("USE killed")
        try:
            yield run
        finally:
            run("SET lock_wait_timeout = 20")
            run("DROP DATABASE killed")


@contextmanager
def rdf(arena: Arena, url: str) -> Iterator[Callable[[str], list[dict[str, str]]]]:
    """The dataset, emptied, as `rdf`; asks it."""
    import httpx

    def empty() -> None:
        httpx.post(f"{url}/update", data={"update": "DROP ALL"}, timeout=60).raise_for_status()

    def ask(query: str) -> list[dict[str, str]]:
        headers = {"Accept": "application/sparql-results+json"}
        found = httpx.post(f"{url}/query", data={"query": query}, headers=headers, timeout=60).json()
        return [{name: one["value"] for name, one in row.items()} for row in found["results"]["bindings"]]

    give(arena, "rdf", conn_type="workbench_rdf", host=url)
    empty()
    try:
        yield ask
    finally:
        empty()


@contextmanager
def lake(arena: Arena) -> Iterator[Callable[[], list[str]]]:
    """An S3 server with a bucket of its own (moto keeps those of earlier servers), as `lake`; what lies there."""
    from tests.integration.connectors.files import stores

    with stores.moto() as server:
        name = f"lake-{uuid.uuid4().hex[:12]}"
        server.client().create_bucket(Bucket=name)
        known = server.connection(f"{name}/killed")
        value = {"host": known.host, "login": known.login, "password": known.secret, "extra": dict(known.extra)}
        give(arena, "lake", conn_type="workbench_files", **value)
        yield lambda: [item["Key"] for item in server.client().list_objects_v2(Bucket=name).get("Contents", [])]


@contextmanager
def api(arena: Arena, rows: list[dict[str, Any]]) -> Iterator[Any]:
    """An API over these rows, as `api` over REST and as `graphql`."""
    from unittest.mock import patch

    from api_server import ApiServer

    with patch("api_server.resources.PAGE", API_PAGE), ApiServer(rows) as server:
        give(arena, "api", conn_type="workbench_rest", host=server.base_url)
        give(arena, "graphql", conn_type="workbench_graphql", host=server.graphql_url)
        yield server


def tap(arena: Arena, count: int) -> None:
    """A Singer tap that has so many parts, as `tap`."""
    extra = {"command": [sys.executable, str(TAP)], "config": {"rows": count}, "timeout": 60}
    give(arena, "tap", conn_type="workbench_singer", extra=extra)
