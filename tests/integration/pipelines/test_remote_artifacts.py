"""Staged files on object storage: any worker goes on with any stage, on whatever of it is on its own disk (nothing)."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from s3fs import S3FileSystem
from tests.integration.connectors.files.stores import KEY, S3, SECRET, moto
from tests.integration.pipelines.conftest import Site

from data_workbench.errors import StoreUnavailable, StreamUnknown
from data_workbench.pipelines.options import RunOptions
from data_workbench.pipelines.run import Runner

PIPELINE = """
version: 1
pipeline: orders
sources:
  orders: {connection: pg, stream: public.orders, key: [id]}
  customers: {connection: pg, stream: public.customers, key: [id]}
steps:
  - {name: large, input: orders, filter: "amount >= 0"}
  - {name: named, join: {with: customers, on: {customer: id}, how: left}}
  - {name: looked, lookup: {connection: pg, stream: public.regions, on: {region: id}, take: {place: title}}}
contract:
  looked: {columns: {amount: {max: 900}}, on_invalid: quarantine}
destinations:
  table: {connection: pg, input: looked, table: public.large_orders, key: [id], write: merge}
  graph: {connection: graph, nodes: [{input: looked, label: Order, key: id}]}
  file: {connection: files, input: orders, folder: copy, format: parquet, write: replace}
"""
KILLED = """
import os, signal
from data_workbench.connectors.connections import Connections, from_environment
from data_workbench.connectors.metastore import open_metastore
from data_workbench.events import subscribed
from data_workbench.pipelines.run import Runner
from data_workbench.settings import load

def listen(event):
    if event.name == os.environ["KILL_AT"]:
        os.kill(os.getpid(), signal.SIGKILL)

settings, connections = load(), Connections(from_environment)
with open_metastore(connections.get(settings.metastore)) as metastore, subscribed(listen):
    Runner(settings=settings, connections=connections, metastore=metastore).stage(os.environ["RUN"])
"""


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with moto() as server:
        yield server


@pytest.fixture
def bucket(s3: S3, monkeypatch: pytest.MonkeyPatch) -> str:
    """A new bucket; keys and address come from where S3's clients look for them."""
    name = f"staged-{uuid.uuid4().hex[:12]}"
    s3.client().create_bucket(Bucket=name)
    for variable, value in (
        ("AWS_ACCESS_KEY_ID", KEY),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
        ("AWS_ENDPOINT_URL", s3.endpoint),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(variable, value)
    S3FileSystem.clear_instance_cache()  # a process keeps the address that it began with
    return name


@pytest.fixture
def remote(site: Site, bucket: str) -> Site:
    """The site with its staged files in the bucket, and rows to move."""
    site.sql("CREATE TABLE regions (id int PRIMARY KEY, title text)")
    site.sql("CREATE TABLE customers (id int PRIMARY KEY, name text, region int)")
    site.sql("CREATE TABLE orders (id int PRIMARY KEY, customer int, amount numeric(12, 2))")
    site.sql("INSERT INTO regions SELECT n, 'region ' || n FROM generate_series(0, 9) n")
    site.sql("INSERT INTO customers SELECT n, 'customer ' || n, n % 10 FROM generate_series(1, 100) n")
    site.sql("INSERT INTO orders SELECT n, n % 100 + 1, n % 1000 - 10 FROM generate_series(1, 5000) n")
    # Several parts, so that more than one file is fetched for a source.
    settings = replace(site.settings, artifacts=f"s3://{bucket}/staged", part_rows=1500, batch_rows=500)
    return replace(site, settings=settings)


def _worker(site: Site, name: str) -> Runner:
    """A runner on a machine of its own, as far as its folders tell."""
    home = site.folder / name
    assert not home.exists()
    return site.runner(home=home)


def _files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def _end_state(site: Site) -> list[Any]:
    table = site.sql("SELECT id, customer, amount, name, region, place FROM large_orders ORDER BY id")
    nodes = site.cypher("MATCH (n:Order) RETURN n.id, n.place ORDER BY n.id")
    return [table, nodes, len(list((site.files / "copy").glob("*.parquet")))]


def _expected(site: Site) -> list[tuple[Any, ...]]:
    return site.sql(
        "SELECT o.id, customer, amount, c.name, c.region, r.title "
        "FROM orders o LEFT JOIN customers c ON c.id = customer "
        "LEFT JOIN regions r ON r.id = c.region WHERE amount >= 0 AND amount <= 900 ORDER BY o.id"
    )


def test_a_run_stages_in_the_bucket_and_leaves_nothing_here(remote: Site, s3: S3, bucket: str) -> None:
    document = remote.run(PIPELINE)
    assert document["reconciliation"]["clean"] is True
    assert document["steps"]["looked"]["quarantined"] > 0
    table, nodes, parts = _end_state(remote)
    assert table == _expected(remote)
    assert [row[0] for row in nodes] == [row[0] for row in table]
    assert parts >= 1
    assert not (remote.settings.home / "artifacts").exists()
    assert [one for one in _files(remote.settings.home) if one.endswith(".parquet")] == []
    keys = [item["Key"] for item in s3.client().list_objects_v2(Bucket=bucket)["Contents"]]
    assert {key.split("/")[3] for key in keys if key.endswith("manifest.json")} >= {"source.orders", "step.looked"}


def test_each_stage_on_a_worker_of_its_own_ends_the_same(remote: Site) -> None:
    run_id = _worker(remote, "scheduler").begin(remote.definition(PIPELINE), params={}, options=RunOptions())
    _worker(remote, "one").stage(run_id)
    for name in ("table", "graph", "file"):
        _worker(remote, f"load-{name}").load(run_id, name)
    answer = _worker(remote, "last").reconcile(run_id)
    assert answer["clean"] is True
    assert _end_state(remote)[0] == _expected(remote)


def test_ranges_read_on_workers_of_their_own_are_put_together_on_another(
    remote: Site, monkeypatch: pytest.MonkeyPatch, s3: S3, bucket: str
) -> None:
    monkeypatch.setattr("data_workbench.connectors.postgres.key_ranges.LEAST_PAGES", 4)
    text = PIPELINE.replace("public.orders, key: [id]", "public.orders, key: [id], ranges: 3")
    run_id = _worker(remote, "scheduler").begin(remote.definition(text), params={}, options=RunOptions())
    assert len(_worker(remote, "splitter").split(run_id)["orders"].ranges) == 3
    _worker(remote, "first").stage_range(run_id, 0)
    _worker(remote, "third").stage_range(run_id, 2)
    remote.sql("UPDATE orders SET amount = 5 WHERE id = 20")  # the first range holds it as it was
    counts = _worker(remote, "stage").stage(run_id)
    assert counts["sources"]["orders"]["read"] == 5000
    for name in ("table", "graph", "file"):
        _worker(remote, f"load-{name}").load(run_id, name)
    assert _worker(remote, "last").reconcile(run_id)["clean"] is True
    assert _end_state(remote)[0] == _expected(remote)
    keys = [item["Key"].split("/")[3:] for item in s3.client().list_objects_v2(Bucket=bucket)["Contents"]]
    copied = [file for artifact, file in keys if artifact == "source.orders" and file.endswith(".parquet")]
    assert len(copied) == 1, "one part was written anew, with what has changed; the others are the ranges' own"


@pytest.mark.parametrize("moment", ["stage.landed", "stage.checked"])
def test_a_stage_killed_on_one_worker_goes_on_on_another(remote: Site, moment: str, bucket: str) -> None:
    run_id = _worker(remote, "scheduler").begin(remote.definition(PIPELINE), params={}, options=RunOptions())
    environment = remote.environment(
        KILL_AT=moment,
        RUN=run_id,
        WORKBENCH_HOME=str(remote.folder / "killed"),
        WORKBENCH_ARTIFACTS=f"s3://{bucket}/staged",
    )
    done = subprocess.run([sys.executable, "-c", KILLED], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr[-2000:]
    remote.sql("UPDATE orders SET amount = 1 WHERE id = 7")  # what landed before the kill is what is loaded
    worker = _worker(remote, "other")
    worker.stage(run_id)
    for name in ("table", "graph", "file"):
        worker.load(run_id, name)
    assert worker.reconcile(run_id)["clean"] is True
    table = _end_state(remote)[0]
    assert [row for row in table if row[0] != 7] == [row for row in _expected(remote) if row[0] != 7]
    assert 7 not in {row[0] for row in table}, "it was below zero when it was read"


def test_a_bucket_that_is_not_there_and_a_server_that_is_away_are_named(
    remote: Site, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StreamUnknown, match="s3://nobody-has-this"):
        _stage(remote, artifacts="s3://nobody-has-this/staged")
    assert "nobody-has-this" not in [one["Name"] for one in s3.client().list_buckets()["Buckets"]]
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    S3FileSystem.clear_instance_cache()
    with pytest.raises(StoreUnavailable, match="s3://elsewhere"):
        _stage(remote, artifacts="s3://elsewhere/staged")


def _stage(site: Site, artifacts: str) -> None:
    runner = site.runner(artifacts=artifacts)
    runner.stage(runner.begin(site.definition(PIPELINE), params={}, options=RunOptions()))


def test_the_keys_stand_in_no_file_and_no_message(remote: Site) -> None:
    remote.run(PIPELINE)
    assert SECRET in os.environ.values()
    for path in remote.folder.rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path
