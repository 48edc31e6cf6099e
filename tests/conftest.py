"""Fixtures for all tests. Nothing is started until a test asks for a server."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

from data_workbench.settings import PORT_OFFSETS, Settings, load

if TYPE_CHECKING:
    from neo4j import Driver
    from qdrant_client import QdrantClient

    from data_workbench.servers import Stack
    from local_mariadb import Mariadb

REPOSITORY = Path(__file__).resolve().parent.parent

# A busy machine is no defect: no example has a time limit, and none is given up because drawing it was slow.
hypothesis.settings.register_profile("steady", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("steady")


@pytest.fixture(scope="session")
def servers() -> Iterator[Stack]:
    """A stack on free ports in a folder of its own, gone afterwards; nothing of it runs yet.

    WORKBENCH_TEST_HOME names a folder whose servers are left running, for quick developer runs.
    """
    from data_workbench.servers import Stack

    kept, worker = os.environ.get("WORKBENCH_TEST_HOME"), os.environ.get("PYTEST_XDIST_WORKER", "")
    home = Path(kept + worker).absolute() if kept else Path(tempfile.mkdtemp(prefix="workbench-test-"))
    started = Stack(_stack_settings(home, kept=bool(kept), number=int(worker.removeprefix("gw") or 0)))
    try:
        yield started
    finally:
        if not kept:
            started.down()
            _remove(home)


@pytest.fixture(scope="session")
def stack(servers: Stack) -> Stack:
    """PostgreSQL, Neo4j and Qdrant."""
    servers.up(["postgres", "neo4j"] if os.environ.get("QDRANT_URL") else ["postgres", "neo4j", "qdrant"])
    _spare_the_disk(servers.settings)
    return servers


def _spare_the_disk(settings: Settings) -> None:
    """PostgreSQL waits for no disk, since no machine dies here: to empty a metastore takes it 0.03 s instead of 0.8."""
    import psycopg

    from data_workbench.servers import postgres_dsn

    with psycopg.connect(postgres_dsn(settings, "postgres"), autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")


def _stack_settings(home: Path, *, kept: bool, number: int) -> Settings:
    """Of the stack of one of the processes that share the tests out."""
    cache = os.environ.get("WORKBENCH_CACHE") or str(REPOSITORY / ".workbench" / "cache")
    given = os.environ.get("WORKBENCH_TEST_PORT_BASE") or (load().port_base + 1000 if kept else None)
    base = int(given) + 100 * number if given else _free_port_base()
    return Settings(home=home, cache=cache, port_base=base)


def _free_port_base() -> int:
    """A number above which all ports of a stack are free right now."""
    for base in range(21_000 + os.getpid() % 500 * 20, 60_000, 20):
        if all(_is_free(base + offset) for offset in PORT_OFFSETS.values()):
            return base
    raise RuntimeError("no free ports")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _remove(home: Path) -> None:
    for place in [entry.resolve() for entry in home.iterdir() if entry.is_symlink()]:
        shutil.rmtree(place)
    shutil.rmtree(home)


@pytest.fixture(scope="session")
def fuseki(servers: Stack) -> str:
    """The address of the stack's Fuseki, which only tests that ask for it start."""
    servers.up(["fuseki"])
    return f"http://127.0.0.1:{servers.settings.port('fuseki')}/odras"


@pytest.fixture(scope="session")
def mariadb() -> Iterator[Mariadb]:
    """A MariaDB of the session's own, started by the first test that asks for it."""
    from local_mariadb import NoServer, running

    cache = Path(os.environ.get("WORKBENCH_CACHE") or REPOSITORY / ".workbench" / "cache").absolute()
    home = Path(tempfile.mkdtemp(prefix="workbench-mariadb-"))
    try:
        with running(home, cache) as server:
            yield server
    except NoServer as reason:
        pytest.skip(f"no MySQL-speaking server: {reason}")
    finally:
        shutil.rmtree(home, ignore_errors=True)


@dataclass(frozen=True)
class PostgresDatabase:
    """A database that only this test module uses."""

    name: str
    dsn: str
    """A libpq URL, password included."""
    airflow: Mapping[str, object]
    """The same as an Airflow connection."""


@pytest.fixture(scope="module")
def postgres(stack: Stack) -> Iterator[PostgresDatabase]:
    """A fresh database per test module, dropped afterwards."""
    import psycopg
    from psycopg import sql

    from data_workbench.servers import postgres_dsn

    name = f"test_{uuid.uuid4().hex[:12]}"
    admin = postgres_dsn(stack.settings, "postgres")
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        connection_json = _connection(stack, "ODRAS_POSTGRES") | {"schema": name}
        yield PostgresDatabase(name=name, dsn=postgres_dsn(stack.settings, name), airflow=connection_json)
    finally:
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def neo4j_driver(stack: Stack) -> Iterator[Driver]:
    """A driver that tests share; use `neo4j` for a clean graph."""
    from neo4j import GraphDatabase

    value = _connection(stack, "ODRAS_NEO4J")
    uri = f"bolt://{value['host']}:{value['port']}"
    with GraphDatabase.driver(uri, auth=(str(value["login"]), str(value["password"]))) as driver:
        yield driver


@pytest.fixture
def neo4j(neo4j_driver: Driver) -> Driver:
    """A driver on an empty graph without constraints or indexes."""
    with neo4j_driver.session() as session:
        session.run("MATCH (n) CALL (n) { DETACH DELETE n } IN TRANSACTIONS OF 10000 ROWS").consume()
        for name in session.run("SHOW CONSTRAINTS YIELD name").value():
            session.run(f"DROP CONSTRAINT {_quoted(name)} IF EXISTS").consume()
        for name in session.run("SHOW INDEXES YIELD name, type WHERE type <> 'LOOKUP' RETURN name").value():
            session.run(f"DROP INDEX {_quoted(name)} IF EXISTS").consume()
    return neo4j_driver


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


@pytest.fixture
def qdrant_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a Qdrant without collections: the local one, or the real one at QDRANT_URL.

    On a server at QDRANT_URL only collections that the test made are removed.
    """
    from qdrant_client import QdrantClient

    given = os.environ.get("QDRANT_URL")
    if given:
        url = given
    else:
        stack: Stack = request.getfixturevalue("stack")
        url = f"http://127.0.0.1:{stack.settings.port('qdrant')}"
    client = QdrantClient(url=url, api_key=os.environ.get("QDRANT_API_KEY"), timeout=60, check_compatibility=False)
    kept = {one.name for one in client.get_collections().collections} if given else set()
    try:
        _remove_collections(client, kept)
        yield url
        _remove_collections(client, kept)
    finally:
        client.close()


def _remove_collections(client: QdrantClient, kept: set[str]) -> None:
    for one in client.get_collections().collections:
        if one.name not in kept:
            client.delete_collection(one.name)


@pytest.fixture
def connections(stack: Stack, qdrant_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """`AIRFLOW_CONN_*` of the test stack, set for this process; files are below the test's folder."""
    import json

    variables = stack.environment()
    qdrant = _connection(stack, "ODRAS_QDRANT")
    extra = {"url": qdrant_url, "https": qdrant_url.startswith("https"), "prefer_grpc": False}
    variables["AIRFLOW_CONN_ODRAS_QDRANT"] = json.dumps(
        qdrant | {"password": os.environ.get("QDRANT_API_KEY"), "extra": extra}
    )
    files = tmp_path / "files"
    files.mkdir()
    variables["AIRFLOW_CONN_WORKBENCH_FILES"] = json.dumps({"conn_type": "workbench_files", "host": f"file://{files}"})
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


def _connection(stack: Stack, name: str) -> dict[str, object]:
    import json

    value: dict[str, object] = json.loads(stack.environment()[f"AIRFLOW_CONN_{name}"])
    return value
