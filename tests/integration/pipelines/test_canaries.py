"""No secret anywhere: each connector reads and writes, and fails, with a canary as its secret, which nobody may sing.

Looked at are the document, the error with all its causes as a log shows them, everything logged, what the metastore,
the destination and the folders hold, and the process list. REST and GraphQL are looked at in `test_apis.py`.
"""

from __future__ import annotations

import base64
import json
import logging
import sys
import threading
import traceback
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import psutil
import pytest
from tests.integration.connectors.files import stores
from tests.integration.pipelines.test_apis import everything_kept

from api_server import ApiServer, Fault
from data_workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from tests.integration.pipelines.conftest import Site

CANARY = "canary-4b1d/9e+77 ü"
"""With what URLs, forms and headers spell in another way."""
PLAIN = "canary-4b1d9e77"
SPELLINGS = {spelling for one in (CANARY, PLAIN) for spelling in (one, quote(one), quote(one, safe=""))}
TAP = Path(__file__).parents[2] / "fixtures" / "taps" / "tap_parts.py"

READS = """
version: 1
pipeline: canary
sources: {rows: {connection: there, stream: %s, key: %s%s}}
destinations: {out: {connection: pg, table: canaries, key: %s, write: merge}}
"""
WRITES = """
version: 1
pipeline: canary
sources: {rows: {connection: pg, stream: public.numbers, key: id}}
destinations: {out: {connection: there, %s}}
"""
RESOURCE = (
    """write: merge, resource: {graph: "urn:g", subject: "urn:n:{id}", class: "urn:N", properties: {id: "urn:id"}}"""
)


class Ears:
    """Hears everything that is logged, causes included, and every command line of this machine."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)

    @contextmanager
    def open(self, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
        self._thread.start()
        try:
            with caplog.at_level(logging.DEBUG, logger="data_workbench"):
                yield
        finally:
            self._stop.set()
            self._thread.join()
            self.heard.append(caplog.text)

    def _listen(self) -> None:
        while not self._stop.wait(0.05):
            for process in psutil.process_iter(["cmdline"]):
                self.heard.append(" ".join(process.info["cmdline"] or []))


def sung(site: Site, *told: object) -> list[str]:
    """Spellings of the canary that stand anywhere."""
    everything = "\n".join([everything_kept(site), *map(str, told)])
    secrets = {
        *SPELLINGS,
        *(base64.b64encode(f"{who}:{one}".encode()).decode() for who in ("ada", "") for one in SPELLINGS),
    }
    return [one for one in secrets if one in everything]


@pytest.fixture
def sings(site: Site, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Run a pipeline over the connection `there`; what it came to. Fails if the canary is heard."""
    site.sql("CREATE TABLE numbers (id int PRIMARY KEY)")
    site.sql("INSERT INTO numbers SELECT generate_series(1, 20)")

    def run(text: str, **connection: Any) -> WorkbenchError | dict[str, Any]:
        monkeypatch.setenv("AIRFLOW_CONN_THERE", connection.pop("uri", None) or json.dumps(connection))
        ears, causes = Ears(), ""
        with ears.open(caplog):
            try:
                document, error = site.try_run(text)
            except WorkbenchError as raised:
                document, error = {}, raised
        if error is not None:
            causes = "".join(traceback.format_exception(error))
            assert isinstance(error, WorkbenchError), causes
        assert sung(site, document, error and error.as_dict(), causes, *ears.heard) == []
        return document if error is None else error

    return run


def fails(found: WorkbenchError | dict[str, Any], kind: str) -> None:
    assert isinstance(found, WorkbenchError), found
    assert found.kind == kind, found


def succeeds(found: WorkbenchError | dict[str, Any]) -> None:
    assert isinstance(found, dict), found
    assert found["state"] == "success"


# ----------------------------------------------------------------------------------------------- servers that refuse


@pytest.mark.parametrize("status", [401, 500])
@pytest.mark.parametrize("side", ["source", "destination"])
def test_a_sparql_server_that_repeats_what_it_was_sent(sings: Any, status: int, side: str) -> None:
    basic = base64.b64encode(f"ada:{CANARY}".encode()).decode()
    body = json.dumps({"you sent": f"{CANARY} Basic {basic} {quote(CANARY)}"}, ensure_ascii=False).encode()
    with ApiServer() as server:
        for path in ("/odras/query", "/odras/update"):
            server.always(path, Fault(status, body))
        text = READS % ('"class:urn:N"', "iri", "", "iri") if side == "source" else WRITES % RESOURCE
        found = sings(text, conn_type="workbench_rdf", host=f"{server.origin}/odras", login="ada", password=CANARY)
    fails(found, "AccessDenied" if status == 401 else "StoreUnavailable")
    assert "***" in str(found)


def test_rdf_with_a_password(sings: Any, fuseki: str) -> None:
    succeeds(sings(WRITES % RESOURCE, conn_type="workbench_rdf", host=fuseki, login="ada", password=CANARY))


@pytest.mark.parametrize("status", [403, 500])
def test_a_qdrant_that_repeats_its_key(sings: Any, status: int) -> None:
    with ApiServer() as server:
        body = json.dumps({"status": {"error": f"not {PLAIN}"}}).encode()
        server.always("/collections", Fault(status, body))
        server.always("/aliases", Fault(status, body))
        found = sings(READS % ("x", "id", "", "id"), conn_type="qdrant", host=server.origin, password=PLAIN)
    fails(found, "AccessDenied" if status == 403 else "StoreUnavailable")


@pytest.mark.parametrize("kind", ["postgres", "neo4j", "qdrant"])
def test_the_stores_of_odras_with_a_wrong_secret(site: Site, sings: Any, kind: str) -> None:
    name = {"postgres": "PG", "neo4j": "GRAPH", "qdrant": "VECTORS"}[kind]
    value = {**json.loads(site.variables[f"AIRFLOW_CONN_{name}"]), "password": PLAIN}
    stream = {"postgres": "public.numbers", "neo4j": "Number", "qdrant": "numbers"}[kind]
    fails(sings(READS % (stream, "id", "", "id"), **value), "StreamUnknown" if kind == "qdrant" else "AccessDenied")


@pytest.mark.parametrize("form", ["json", "uri"])
def test_mysql_with_a_wrong_password_also_in_a_url(sings: Any, mariadb: Any, form: str) -> None:
    if form == "uri":
        value = {"uri": f"mysql://{mariadb.login}:{quote(CANARY, safe='')}@127.0.0.1:{mariadb.port}/mysql"}
    else:
        value = {"conn_type": "mysql", "host": "127.0.0.1", "port": mariadb.port, "login": mariadb.login}
        value |= {"password": CANARY, "schema": "mysql"}
    fails(sings(READS % ("x", "id", "", "id"), **value), "AccessDenied")


@pytest.mark.parametrize(
    ("kind", "scheme"),
    [("mysql", "mysql"), ("postgres", "postgresql"), ("neo4j", "bolt"), ("qdrant", "http"), ("workbench_rdf", "http"),
     ("workbench_rest", "https"), ("workbench_graphql", "https"), ("workbench_files", "sftp"),
     ("workbench_files", "https"), ("workbench_reqif", "sftp"), ("workbench_singer", "sftp")],
)  # fmt: skip
def test_a_password_in_an_address_is_refused_and_not_repeated(sings: Any, site: Site, kind: str, scheme: str) -> None:
    host = f"{scheme}://ada:{PLAIN}@127.0.0.1:9/data"
    fails(sings(READS % ("x", "id", "", "id"), conn_type=kind, host=host, schema="x"), "UsageError")
    told = ""
    site.variables["AIRFLOW_CONN_THERE"] = json.dumps({"conn_type": kind, "host": host, "schema": "x"})
    for arguments in (("connections", "list"), ("connections", "check", "there")):
        _, document, stderr = site.command(*arguments)
        told += json.dumps(document) + stderr
    assert sung(site, told) == []


# --------------------------------------------------------------------------------------------------- files, programs


def _lake(stack: ExitStack, site: Site, *, right: bool) -> dict[str, Any]:
    server = stack.enter_context(stores.moto())
    bucket = f"canaries-{uuid.uuid4().hex[:12]}"
    if right:
        server.client().create_bucket(Bucket=bucket)
    extra = {"endpoint_url": server.endpoint, "region": "us-east-1", "timeout": 10, "session_token": PLAIN}
    return {"host": f"s3://{bucket}/x", "login": "ada", "password": PLAIN, "extra": extra}


def _sftp(stack: ExitStack, site: Site, *, right: bool) -> dict[str, Any]:
    folder = site.folder / "sftp"
    (folder / "data").mkdir(parents=True)
    server = stack.enter_context(stores.sftp(folder, password=PLAIN if right else "another"))
    extra = {"host_key": server.host_key, "timeout": 10}
    return {"host": f"sftp://127.0.0.1:{server.port}/data", "login": "tester", "password": PLAIN, "extra": extra}


def _web(stack: ExitStack, site: Site, *, right: bool) -> dict[str, Any]:
    folder = site.folder / "web"
    folder.mkdir()
    (folder / "numbers.csv").write_text("id\n1\n")
    server = stack.enter_context(stores.http(folder))
    server.token = PLAIN if right else "another"
    return {"host": f"http://127.0.0.1:{server.port}/", "extra": {"token": PLAIN, "timeout": 10}}


@pytest.mark.parametrize("right", [True, False], ids=["well", "failing"])
@pytest.mark.parametrize("place", [_lake, _sftp, _web])
def test_files(site: Site, sings: Any, place: Callable[..., dict[str, Any]], right: bool) -> None:
    text = (
        WRITES % "file: numbers.csv, write: replace" if place is not _web else READS % ("numbers.csv", "id", "", "id")
    )
    with ExitStack() as stack:
        found = sings(text, conn_type="workbench_files", **place(stack, site, right=right))
    if right:
        succeeds(found)
    else:
        fails(found, "StreamUnknown" if place is _lake else "AccessDenied")


@pytest.mark.parametrize("mode", ["", "die", "long_line"])
def test_a_tap(sings: Any, mode: str) -> None:
    extra = {"command": [sys.executable, str(TAP)], "config": {"rows": 20, "mode": mode, "key": CANARY}}
    extra |= {"secret_key": "secret", "env": {"TAP_TOKEN": PLAIN}}
    found = sings(READS % ("parts", "id", "", "id"), conn_type="workbench_singer", password=PLAIN, extra=extra)
    if mode == "die":
        fails(found, "StoreUnavailable")
    else:
        succeeds(found)


BREAKS = """
import dlt

@dlt.resource(primary_key="id")
def rows(key):
    if key.endswith("77"):
        raise ValueError(f"cannot read with {key}", key)
    yield {"id": 1}

@dlt.source
def shop(key="", other=""):
    return [rows(key)]
"""


@pytest.mark.skipif(find_spec("dlt") is None, reason="the optional package dlt is not installed")
def test_a_dlt_source_that_tells_its_key(site: Site, sings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (site.folder / "workbench_canary_shop.py").write_text(BREAKS)
    monkeypatch.syspath_prepend(str(site.folder))
    extra = {"source": "workbench_canary_shop:shop", "arguments": {"other": "x"}, "secret_argument": "key"}
    found = sings(READS % ("rows", "id", "", "id"), conn_type="workbench_dlt", password=PLAIN, extra=extra)
    fails(found, "StoreUnavailable")


def test_no_command_shows_the_secrets_of_connections_that_work(site: Site, mariadb: Any) -> None:
    value = {"conn_type": "mysql", "host": "127.0.0.1", "port": mariadb.port, "login": mariadb.login}
    site.variables["AIRFLOW_CONN_THERE"] = json.dumps({**value, "password": mariadb.password, "schema": "mysql"})
    told = ""
    for arguments in (("connections", "list"), ("connections", "check", "there"), ("discover", "there")):
        _, document, stderr = site.command(*arguments)
        told += json.dumps(document) + stderr
    assert "there" in told
    assert mariadb.password not in told
