"""Files on Google's and Azure's object storage, by servers that speak their protocols.

They are no part of the environment: start fake-gcs-server and Azurite, and name their addresses in
WORKBENCH_TEST_GCS (http://127.0.0.1:4443) and WORKBENCH_TEST_AZURITE (http://127.0.0.1:10000).
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pytest
from pydantic import SecretStr
from tests.conformance.destination import DestinationConformance, context
from tests.conformance.rows import SCHEMA, by_key, make_rows
from tests.conformance.source import SourceConformance, read_all

from data_workbench.connectors.base import CursorRequest, Destination, ReadRequest, Source
from data_workbench.connectors.connections import Connection
from data_workbench.connectors.files.destination import FilesDestination
from data_workbench.connectors.files.source import FilesSource
from data_workbench.errors import StreamUnknown
from data_workbench.mapping.targets import FileTarget, Target
from data_workbench.settings import Settings

pytestmark = pytest.mark.integration

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Azurite's own, the same for everybody."""


@dataclass
class Cloud:
    """A bucket or container, the vendor's own way to put an object there, and what lies in it."""

    connect: Callable[[str], Connection]
    put: Callable[[str, bytes], object]
    keys: Callable[[], list[str]]


def _google(endpoint: str) -> Cloud:
    import httpx

    name = f"test-{uuid.uuid4().hex[:12]}"
    httpx.post(f"{endpoint}/storage/v1/b?project=test", json={"name": name}).raise_for_status()

    def connect(folder: str) -> Connection:
        extra = {"endpoint_url": endpoint, "anonymous": True, "timeout": 15}
        return Connection("cloud", "workbench_files", f"gs://{name}{folder}", None, None, None, None, extra)

    def put(key: str, content: bytes) -> object:
        upload = f"{endpoint}/upload/storage/v1/b/{name}/o"
        return httpx.post(upload, params={"uploadType": "media", "name": key}, content=content).raise_for_status()

    def keys() -> list[str]:
        return [item["name"] for item in httpx.get(f"{endpoint}/storage/v1/b/{name}/o").json().get("items", [])]

    return Cloud(connect, put, keys)


def _azure(endpoint: str) -> Cloud:
    from azure.storage.blob import ContainerClient

    place = f"{endpoint}/{ACCOUNT}"
    name = f"test-{uuid.uuid4().hex[:12]}"
    text = f"AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={place}"
    client = ContainerClient.from_connection_string(text, name)
    client.create_container()

    def connect(folder: str) -> Connection:
        extra = {"endpoint_url": place, "timeout": 15}
        root = f"abfs://{name}{folder}"
        return Connection("cloud", "workbench_files", root, None, ACCOUNT, SecretStr(KEY), None, extra)

    def put(key: str, content: bytes) -> object:
        return client.upload_blob(key, content, overwrite=True)

    return Cloud(connect, put, lambda: list(client.list_blob_names()))


@pytest.fixture(params=["gs", "abfs"])
def cloud(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    monkeypatch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")  # asks over gRPC with TLS, which the server lacks
    variable, opens = {"gs": ("WORKBENCH_TEST_GCS", _google), "abfs": ("WORKBENCH_TEST_AZURITE", _azure)}[request.param]
    endpoint = os.environ.get(variable)
    if not endpoint:
        pytest.skip(f"{variable} names no server")
    pytest.importorskip({"gs": "gcsfs", "abfs": "adlfs"}[request.param])
    return opens(endpoint)


def _target(path: str, write: str = "replace", *, folder: bool = False) -> FileTarget:
    return FileTarget("rows", path, folder, "parquet", write, ("id",))  # type: ignore[arg-type]


class TestFolderInTheCloud(DestinationConformance):
    @pytest.fixture
    def destination(self, cloud: Cloud) -> Destination:
        return FilesDestination(cloud.connect("/lake"), Settings())

    @pytest.fixture
    def target(self) -> Target:
        return _target("out/rows.parquet", "merge", folder=True)


class TestSourceInTheCloud(SourceConformance):
    @pytest.fixture
    def rows(self) -> pa.Table:
        return make_rows(range(1, 21))

    @pytest.fixture
    def stream(self, cloud: Cloud, rows: pa.Table) -> str:
        destination = FilesDestination(cloud.connect("/lake"), Settings())
        with destination.open(_target("rows.parquet"), SCHEMA, context()) as writer:
            writer.write(rows, 0)
            writer.finish()
        return "rows.parquet"

    @pytest.fixture
    def source(self, cloud: Cloud, stream: str) -> Source:
        return FilesSource(cloud.connect("/lake"), Settings())


def test_a_load_given_up_shows_nothing_and_leaves_the_old_object(cloud: Cloud) -> None:
    destination = FilesDestination(cloud.connect(""), Settings())
    with destination.open(_target("one.parquet"), SCHEMA, context("run-0")) as writer:
        writer.write(make_rows(range(1, 6)), 0)
    assert cloud.keys() == []
    with destination.open(_target("one.parquet"), SCHEMA, context()) as writer:
        writer.write(make_rows(range(1, 6)), 0)
        writer.finish()
    with destination.open(_target("one.parquet"), SCHEMA, context("run-2")) as writer:
        writer.write(make_rows(range(1, 3)), 0)  # and never finished
    found = read_all(FilesSource(cloud.connect(""), Settings()), ReadRequest("one.parquet"))
    assert by_key(found) == by_key(make_rows(range(1, 6)))


def test_only_new_and_changed_objects_are_read_again(cloud: Cloud) -> None:
    for number in (1, 2, 3):
        cloud.put(f"in/{number}.csv", f"id,v\n{number},a\n".encode())
    source = FilesSource(cloud.connect(""), Settings())

    def read(state: Any) -> tuple[list[int], Any]:
        cursor = CursorRequest("_file_modified", state=state)
        reading = source.read(ReadRequest("in/*.csv", cursor=cursor, options={"changes": "auto"}))
        return sorted(row["id"] for batch in reading for row in batch.to_pylist()), reading.position()

    found, state = read(None)
    assert found == [1, 2, 3]
    cloud.put("in/2.csv", b"id,v\n20,b\n")
    cloud.put("in/4.csv", b"id,v\n4,b\n")
    found, state = read(state)
    assert found == [4, 20]
    assert read(state)[0] == []


def test_what_lies_beside_the_root_is_out_of_reach(cloud: Cloud) -> None:
    cloud.put("lakeside/x.csv", b"a\n1\n")
    source = FilesSource(cloud.connect("/lake"), Settings())
    with pytest.raises(StreamUnknown):
        source.describe("*.csv")
