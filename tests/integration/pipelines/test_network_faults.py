"""Bad networks before each store, as source and as destination: success with equal content, or a named error in time.

After a named error the same pipeline, over a network that is well again, ends as one that was never broken.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, get_args

import pytest
from tests.integration.connectors.files import stores

from data_workbench.errors import RetriableError
from fault_proxy import Fault, FaultProxy

if TYPE_CHECKING:
    from tests.integration.pipelines.conftest import Site

ROWS = 3000
IMPATIENT = 3
"""Seconds that a connection waits for a byte where none comes."""
PATIENT = 120
"""The same where all come, if late: a busy machine is no fault of the network."""
LATE = ("none", "latency", "slow")
WITHIN = 150
"""Seconds within which a run has to end, tries of its own included: far above what it needs, far below for ever."""
FILL = f"INSERT INTO numbers SELECT n, 'row ' || n || repeat('x', 40) FROM generate_series(1, {ROWS}) n"
RESOURCE = """write: merge, resource: {graph: "urn:g", subject: "urn:n:{id}", class: "urn:N", properties:
      {id: "urn:id", name: "urn:name"}}"""
VECTORS = "collection: there, key: id, write: merge, embed: {text: name, model: hashing-8}, payload: [id, name]"
WAYS = {
    "postgres": ("public.there_rows", "id", "table: public.there_rows, key: id, write: append"),
    "mysql": ("there_rows", "id", "table: there_rows, key: id, write: append"),
    "neo4j": ("Row", "id", "write: merge, nodes: [{label: Row, key: id}]"),
    "qdrant": ("there", "id", VECTORS),
    "rdf": ('"class:urn:N"', "iri", RESOURCE),
    "s3": ("rows.csv", "id", "file: rows.csv, write: replace"),
}
TEXT = """
version: 1
pipeline: %s
sources: {rows: {connection: %s, stream: %s, key: %s}}
destinations: {out: {connection: %s, %s}}
"""
Way = tuple[Callable[[Fault, int], None], str, str]


@pytest.fixture
def way(site: Site, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Way]]:
    """Put a proxy before a store: what makes the network bad or well, and a pipeline each way."""
    site.sql("CREATE TABLE numbers (id int PRIMARY KEY, name text)")
    site.sql(FILL)
    with ExitStack() as opened:

        def stand(kind: str) -> Way:
            value, port = _address(kind, site, request, opened)
            proxy = opened.enter_context(FaultProxy(port))

            def become(fault: Fault, after: int) -> None:
                connection = _through(kind, value, proxy.port, PATIENT if fault in LATE else IMPATIENT)
                monkeypatch.setenv("AIRFLOW_CONN_THERE", json.dumps(connection))
                proxy.begin(fault, after=after)

            stream, key, words = WAYS[kind]
            return (
                become,
                TEXT % ("filling", "pg", "public.numbers", "id", "there", words),
                TEXT % ("reading", "there", stream, key, "pg", f"table: public.back, key: {key}, write: merge"),
            )

        yield stand


def _address(kind: str, site: Site, request: pytest.FixtureRequest, opened: ExitStack) -> tuple[dict[str, Any], int]:
    """The connection of a store, and its port."""
    if kind in ("postgres", "neo4j"):
        value = json.loads(site.variables["AIRFLOW_CONN_PG" if kind == "postgres" else "AIRFLOW_CONN_GRAPH"])
        return value, int(value["port"])
    if kind == "qdrant":
        url = request.getfixturevalue("qdrant_url")
        return {"conn_type": "qdrant", "host": "127.0.0.1"}, int(url.rpartition(":")[2])
    if kind == "rdf":
        import httpx

        url = request.getfixturevalue("fuseki")
        httpx.post(f"{url}/update", data={"update": "DROP ALL"}, timeout=60).raise_for_status()
        return {"conn_type": "workbench_rdf", "schema": "odras"}, int(url.split(":")[2].split("/")[0])
    if kind == "mysql":
        import pymysql

        server = request.getfixturevalue("mariadb")
        login = {"host": "127.0.0.1", "port": server.port}
        admin = opened.enter_context(pymysql.connect(user=server.login, password=server.password, **login))
        cursor = opened.enter_context(admin.cursor())
        cursor.execute("DROP DATABASE IF EXISTS faults")
        cursor.execute("CREATE DATABASE faults CHARACTER SET utf8mb4")
        value = {"conn_type": "mysql", "login": server.login, "password": server.password, "schema": "faults", **login}
        return value, server.port
    lake = opened.enter_context(stores.moto())
    bucket = f"faults-{time.monotonic_ns()}"
    lake.client().create_bucket(Bucket=bucket)
    value = {"conn_type": "workbench_files", "host": f"s3://{bucket}", "login": stores.KEY, "password": stores.SECRET}
    return value, int(lake.endpoint.rpartition(":")[2])


def _through(kind: str, value: dict[str, Any], port: int, timeout: float) -> dict[str, Any]:
    """The same connection, by way of the proxy, with seconds to wait for a byte."""
    extra = {**(value.get("extra") or {}), **({} if kind == "neo4j" else {"timeout": timeout})}
    if kind == "s3":
        return {**value, "extra": {**extra, "endpoint_url": f"http://127.0.0.1:{port}", "region": "us-east-1"}}
    return {**value, "host": "127.0.0.1", "port": port, "extra": extra}


def run(site: Site, text: str, within: float = WITHIN) -> Any:
    """The error of a run, or None; it ends in time."""
    began = time.monotonic()
    try:
        _, error = site.try_run(text)
    except RetriableError as raised:
        error = raised
    assert time.monotonic() - began < within, error
    return error


IS_STORM = int(os.environ.get("WORKBENCH_KILL_ROUNDS", "3")) > 3
SLOW = {(kind, fault) for kind in WAYS for fault in ("latency", "slow")} | {("neo4j", "silent")}
"""In a storm only: they take long and have not broken anything yet; Neo4j's driver waits as long as its server says."""
CASES = [(kind, fault) for kind in WAYS for fault in get_args(Fault) if fault != "none"]


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("kind", "fault"), [one for one in CASES if IS_STORM or one not in SLOW])
def test_a_bad_network_ends_in_success_or_a_named_error(site: Site, way: Any, kind: str, fault: Fault) -> None:
    become, filling, reading = way(kind)
    for text, after in ((filling, 200), (reading, 30_000)):
        become(fault, after)
        error = run(site, text, 400 if kind == "neo4j" else WITHIN)
        assert error is None or isinstance(error, RetriableError), repr(error)
        if fault in LATE:
            assert error is None
        become("none", 0)
        if error is not None:
            assert run(site, text, 400) is None
    assert site.one("SELECT count(*) FROM back") == ROWS
    assert site.one("SELECT count(*) FROM back b JOIN numbers n USING (name)") == ROWS
