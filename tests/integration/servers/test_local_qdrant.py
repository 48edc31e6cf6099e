"""What only the local Qdrant promises: 501 by name, the key, and that acknowledged writes survive SIGKILL."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from qdrant_client import QdrantClient, models

Start = Callable[..., tuple[subprocess.Popen[bytes], str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts the server over the test's folder, as often as the test likes."""
    started: list[subprocess.Popen[bytes]] = []

    def run(**environment: str) -> tuple[subprocess.Popen[bytes], str]:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [sys.executable, "-m", "data_workbench.servers.qdrant_local", "--data", str(tmp_path / "data")]
        with (tmp_path / "log").open("ab") as log:
            process = subprocess.Popen(
                [*command, "--port", str(port)], stdout=log, stderr=log, env={**os.environ, **environment}
            )
        started.append(process)
        _wait(f"http://127.0.0.1:{port}/readyz")
        return process, f"http://127.0.0.1:{port}"

    yield run
    for process in started:
        process.kill()
        process.wait()


def _wait(url: str) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            httpx.get(url).raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(url)


def _points(first: int, count: int) -> list[models.PointStruct]:
    return [models.PointStruct(id=n, vector=[n, 1.0], payload={"n": n}) for n in range(first, first + count)]


def test_acknowledged_writes_aliases_and_deletes_survive_a_kill(start: Start) -> None:
    process, url = start()
    client = QdrantClient(url=url, check_compatibility=False)
    client.create_collection("kept", vectors_config=models.VectorParams(size=2, distance=models.Distance.DOT))
    client.create_collection("gone", vectors_config=models.VectorParams(size=2, distance=models.Distance.DOT))
    alias = models.CreateAlias(collection_name="kept", alias_name="alias")
    client.update_collection_aliases([models.CreateAliasOperation(create_alias=alias)])
    for first in range(0, 500, 100):
        client.upsert("kept", _points(first, 100), wait=True)
    client.delete("kept", points_selector=[3], wait=True)
    client.delete_collection("gone")
    process.send_signal(signal.SIGKILL)
    process.wait()
    client.close()

    _, url = start()
    client = QdrantClient(url=url, check_compatibility=False)
    assert client.count("alias").count == 499
    assert client.retrieve("kept", [499], with_vectors=True)[0].vector == [499.0, 1.0]
    assert [one.name for one in client.get_collections().collections] == ["kept"]
    client.close()


def test_many_clients_write_side_by_side(start: Start) -> None:
    _, url = start()
    client = QdrantClient(url=url, check_compatibility=False)
    client.create_collection("shared", vectors_config=models.VectorParams(size=2, distance=models.Distance.DOT))

    def write(worker: int) -> None:
        own = QdrantClient(url=url, check_compatibility=False)
        for batch in range(5):
            own.upsert("shared", _points(worker * 1000 + batch * 100, 100), wait=True)
        own.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    assert client.count("shared").count == 4000
    client.close()


def test_with_a_key_requests_without_it_are_refused(start: Start) -> None:
    _, url = start(WORKBENCH_QDRANT_API_KEY="k3y")
    assert httpx.get(f"{url}/collections").status_code == 401
    assert httpx.get(f"{url}/collections", headers={"api-key": "wrong"}).status_code == 401
    assert httpx.get(f"{url}/collections", headers={"api-key": "k3y"}).status_code == 200
    assert httpx.get(f"{url}/collections", headers={"Authorization": "Bearer k3y"}).status_code == 200
    assert httpx.get(f"{url}/readyz").status_code == 200


def test_what_it_does_not_know_is_501_by_name(start: Start) -> None:
    _, url = start()
    config = {"vectors": {"size": 2, "distance": "Dot"}}
    assert httpx.put(f"{url}/collections/c", json=config).status_code == 200
    asked = [
        ("POST", "/collections/c/snapshots", {}, "POST /collections/c/snapshots"),
        ("POST", "/collections/c/points/query/groups", {}, "groups"),
        ("POST", "/collections/c/points/query", {"prefetch": []}, "prefetch"),
        ("POST", "/collections/c/points/query", {"query": {"recommend": {"positive": [1]}}}, "recommend"),
        ("PUT", "/collections/d", config | {"quantization_config": {"scalar": {}}}, "quantization_config"),
        ("PUT", "/collections/d", config | {"shard_number": 2}, "shard"),
        ("GET", "/cluster", None, "/cluster"),
    ]
    for method, path, body, words in asked:
        answer = httpx.request(method, url + path, json=body)
        assert (answer.status_code, words in answer.json()["status"]["error"]) == (501, True), path
    assert httpx.get(f"{url}/nowhere").status_code == 404


def test_a_body_beyond_32_mb_is_refused_as_by_the_real_server(start: Start) -> None:
    _, url = start()
    assert httpx.put(f"{url}/collections/c/points", content=b" " * (33 * 1024**2)).status_code == 413


def test_it_says_what_it_is(start: Start) -> None:
    _, url = start()
    about = httpx.get(url).json()
    assert "trying and testing only" in about["title"]
    assert about["version"].count(".") == 2
