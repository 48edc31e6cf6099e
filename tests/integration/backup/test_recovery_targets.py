"""All stores brought back to random moments of a busy time, each held against what PostgreSQL itself says was written.

The oracle knows nothing of sets and logs: every write says in a table what it did, so the restored table must be what
the restored ledger makes of it, and the ledger must end at the moment. Graph and vectors must be what that table makes.

`make recovery-targets` asks for 20 moments, CI for one. Both tell how many writes a second there were.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psycopg
import pytest
from psycopg import sql
from tests.integration.backup import workload
from tests.integration.backup.test_all_stores import succeeded
from tests.integration.cli.conftest import Shell

from data_workbench.embedding import open_embedder
from data_workbench.settings import Settings

if TYPE_CHECKING:
    from neo4j import Driver
    from qdrant_client import QdrantClient
    from tests.conftest import PostgresDatabase

    from data_workbench.servers import Stack

TARGETS = int(os.environ.get("WORKBENCH_RECOVERY_TARGETS", "1"))
SECONDS = 3.0 if TARGETS < 10 else 40.0
SEED = int(os.environ.get("WORKBENCH_RECOVERY_SEED", "0")) or random.randrange(10**6)
PER_SECOND = 200.0

PIPELINE = """\
version: 1
pipeline: requirements
sources: {rows: {connection: odras_postgres, stream: public.requirements, key: [id], deletes: detect}}
destinations:
  graph:
    connection: odras_neo4j
    nodes: [{input: rows, label: Requirement, key: id}]
    relationships:
      - type: DERIVES_FROM
        input: rows
        from: {label: Requirement, key: id}
        to: {label: Requirement, key: parent}
        missing: skip
  points: {connection: odras_qdrant, collection: requirements, key: id, embed: {text: body, model: hashing-384}}
  copy: {connection: odras_postgres, table: public.requirements_copy, key: [id]}
"""


@dataclass
class Place:
    """The stores, and a command line over them."""

    shell: Shell
    database: str
    dsn: str
    meta: str
    graph: Driver
    points: QdrantClient

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Of the database in use."""
        with psycopg.connect(self.dsn) as connection:
            return connection.execute(statement.encode()).fetchall()


@pytest.fixture
def place(
    shell: Shell,
    stack: Stack,
    postgres: PostgresDatabase,
    connections: dict[str, str],
    neo4j: Driver,
    qdrant_url: str,
    tmp_path: Path,
) -> Iterator[Place]:
    """A database with requirements, and its metastore beside it in the same server, whose log is kept."""
    from qdrant_client import QdrantClient

    meta = f"{postgres.name}_meta"
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute(workload.TABLES)
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(meta)))
    shell.variables = {
        **shell.variables,
        **connections,
        "AIRFLOW_CONN_ODRAS_POSTGRES": json.dumps(postgres.airflow),
        "AIRFLOW_CONN_WORKBENCH_METASTORE": json.dumps({**postgres.airflow, "schema": meta}),
        "WORKBENCH_POINT_IN_TIME": "odras_postgres",
        "WORKBENCH_FENCE_WAIT_SECONDS": "2",
        "WORKBENCH_CACHE": str(stack.settings.cache_folder),
    }
    (tmp_path / "letters.yaml").unlink()
    (tmp_path / "requirements.yaml").write_text(PIPELINE, encoding="utf-8")
    assert shell("db", "upgrade").code == 0
    client = QdrantClient(url=qdrant_url, timeout=60, check_compatibility=False)
    yield Place(shell, postgres.name, postgres.dsn, meta, neo4j, client)
    client.close()
    assert shell("backup", "wal", "--stop", "--drop-slot").code == 0
    _drop_replaced(postgres.dsn, postgres.name)
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(meta)))


def _drop_replaced(dsn: str, name: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        pattern = f"{name}%replaced%"
        found = connection.execute("SELECT datname FROM pg_database WHERE datname LIKE %s", (pattern,)).fetchall()
        for (one,) in found:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(one)))


@dataclass(frozen=True)
class Busy:
    """What happened in a busy time: writes of the ledger, how many a second, sets, and rows that pipelines wrote."""

    writes: workload.Told
    per_second: float
    sets: list[dict[str, Any]]
    through_pipelines: float


def busy_time(place: Place) -> Busy:
    """Writers and pipelines at work while sets are made."""
    command = [sys.executable, "-m", workload.__name__, place.dsn, str(PER_SECOND), str(SEED)]
    writers = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    stop = threading.Event()
    sets = []
    with ThreadPoolExecutor(1) as beside:
        began = time.monotonic()
        pipelines = beside.submit(_pipelines, place, stop)
        try:
            sets.append(succeeded(place.shell("backup", "create", "--json")))
            while time.monotonic() < began + SECONDS:
                time.sleep(min(2.0, SECONDS / 3))
                some = ["--store", "odras_neo4j", "--store", "odras_qdrant"]
                sets.append(succeeded(place.shell("backup", "create", *some, "--json")))
            time.sleep(1.0)
        finally:
            stop.set()
            told, _ = writers.communicate(timeout=60)
        through = pipelines.result() / (time.monotonic() - began)
    assert through
    found = json.loads(told)
    return Busy(found["writes"], found["per_second"], sets, through)


def _pipelines(place: Place, stop: threading.Event) -> int:
    """Run one after the other until told to stop; how many rows, nodes and points were written."""
    command = [sys.executable, "-c", "from data_workbench.cli import main; main()", "run", "requirements", "--json"]
    environment, written = dict(place.shell.variables), 0
    while not stop.is_set():
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, cwd=place.shell.folder, check=False
        )
        # What is written while a run compares is a difference, and told as one.
        assert "Traceback" not in done.stderr, done.stderr
        destinations = json.loads(done.stdout).get("destinations") or {}
        written += sum(one[kind] for one in destinations.values() for kind in ("inserted", "updated", "deleted"))
    return written


@pytest.mark.timeout(300 + 180 * TARGETS)
def test_all_stores_go_back_to_random_moments_of_a_busy_time(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    nothing = place.shell("backup", "restore", "--to", "2026-01-01T00:00:00Z", "--json")
    assert (nothing.code, nothing.document["error"]["kind"]) == (1, "StateError")
    succeeded(place.shell("run", "requirements", "--json"))
    assert succeeded(place.shell("backup", "wal", "--json"))["recoverable_from"] is None
    succeeded(place.shell("backup", "create", "--json"))
    busy = busy_time(place)
    span = succeeded(place.shell("backup", "wal", "--json"))
    begin, end = (datetime.fromisoformat(span[name]) for name in ("recoverable_from", "recoverable_to"))
    moments = [begin + (end - begin) * random.Random(SEED + at).random() for at in range(TARGETS)]

    early, late = begin - timedelta(seconds=1), end + timedelta(hours=1)
    for outside in (early, late):
        refused = place.shell("backup", "restore", "--to", outside.isoformat(), "--yes", "--json")
        assert (refused.code, refused.document["error"]["kind"]) == (2, "UsageError")
        assert begin.isoformat()[:16] in refused.document["error"]["message"], "it says the window"

    fences = [one["fence_ms"] for one in busy.sets if one["quiet"]]
    longest = max(fences, default=0.0)
    with capsys.disabled():
        print(
            f"\nseed {SEED}: {busy.per_second:.0f} writes/s into PostgreSQL and {busy.through_pipelines:.0f} rows/s "
            f"through pipelines; {len(busy.sets)} sets, {len(fences)} of them quiet, fence at most {longest} ms"
        )
        for moment in moments:
            print(json.dumps(restored(place, moment, busy.writes)), flush=True)
    if TARGETS >= 10:  # where the machine is ours
        assert longest <= 500
    hold_beside(place, moments[0], busy.writes)
    hold_log(place, busy.sets[0]["set"], moments[0])


def hold_beside(place: Place, moment: datetime, writes: workload.Told) -> None:
    """The database as of a moment beside the one in use."""
    some = ("--store", "odras_postgres", "--beside", "then")
    told = succeeded(place.shell("backup", "restore", "--to", moment.isoformat(), *some, "--json"))
    name = f"then_{place.database}"
    assert (told["stores"]["odras_postgres"]["database"], told["agree"]) == (name, None)
    beside = replace(place, dsn=place.dsn.rpartition("/")[0] + f"/{name}")
    _hold_rows(beside, moment, writes, "beside")
    with psycopg.connect(place.dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))


def hold_log(place: Place, newest: str, moment: datetime) -> None:
    """What verifying says of a base backup and the log that goes on from it; and of the log once it is lost."""
    only = ("--drill", "--store", "odras_postgres.cluster")
    checked = succeeded(place.shell("backup", "verify", *only, "--json"))
    assert (checked["set"], checked["log"]["problems"]) == (newest, [])
    assert checked["drill"]["stores"]["odras_postgres.cluster"]["outcome"] == "passed"

    log = next((Path(place.shell.variables["WORKBENCH_HOME"]) / "backups" / "wal").iterdir())
    for segment in log.glob("*.age"):
        segment.unlink()
    refused = place.shell("backup", "restore", "--to", moment.isoformat(), "--yes", "--json")
    assert (refused.code, refused.document["error"]["kind"]) == (1, "StateError")
    assert "of the log is lost" in refused.document["error"]["message"]
    failed = place.shell("backup", "verify", "--json")
    assert failed.code == 1
    assert "of the log is lost" in failed.document["problems"][0]


def restored(place: Place, moment: datetime, writes: workload.Told) -> dict[str, Any]:
    """Go back to a moment, and hold everything against the oracle."""
    told = succeeded(place.shell("backup", "restore", "--to", moment.isoformat(), "--yes", "--json"))
    where = f"seed {SEED}, {moment.isoformat()}"
    assert told["agree"], f"{where}: {told['reconciled']}"
    wanted = _hold_rows(place, moment, writes, where)
    assert sorted(place.rows("SELECT id, parent, body, level FROM requirements_copy")) == sorted(wanted.values()), where
    _hold_graph(place, wanted, where)
    _hold_points(place, wanted, where)
    _drop_replaced(place.dsn, place.database)
    keys = ("written", "as_written", "moved_on", "gone", "unknown")
    since = {one["dataset"]: {key: one[key] for key in keys} for one in told["written_since"]}
    assert all(one["written"] == sum(one[key] for key in keys[1:]) for one in since.values()), where
    return {"to": told["to"], "seconds": told["seconds"], "sets": sorted(set(told["sets"].values())), "since": since}


def _hold_rows(place: Place, moment: datetime, writes: workload.Told, where: str) -> dict[int, tuple[Any, ...]]:
    """Every write before the moment is there, none after it; the table is what the ledger makes. Its rows by id."""
    entries = place.rows("SELECT seq, op, id, parent, body, level FROM ledger ORDER BY seq")
    there = {entry[0] for entry in entries}
    assert all(seq in there for seq, _, after in writes if datetime.fromisoformat(after) <= moment), where
    assert not any(seq in there for seq, before, _ in writes if datetime.fromisoformat(before) > moment), where
    wanted: dict[int, tuple[Any, ...]] = {}
    for _, op, *row in entries:
        wanted.pop(row[0], None)
        if op == "put":
            wanted[row[0]] = tuple(row)
    assert sorted(place.rows("SELECT id, parent, body, level FROM requirements")) == sorted(wanted.values()), where
    return wanted


def _hold_graph(place: Place, wanted: dict[int, tuple[Any, ...]], where: str) -> None:
    with place.graph.session() as session:
        nodes = {
            row["id"]: row["body"] for row in session.run("MATCH (n:Requirement) RETURN n.id AS id, n.body AS body")
        }
        pairs = sorted(
            (row["a"], row["b"]) for row in session.run("MATCH (a)-[:DERIVES_FROM]->(b) RETURN a.id AS a, b.id AS b")
        )
    assert nodes == {key: row[2] for key, row in wanted.items()}, where
    assert pairs == sorted((key, row[1]) for key, row in wanted.items() if row[1] in wanted), where


def _hold_points(place: Place, wanted: dict[int, tuple[Any, ...]], where: str) -> None:
    records, _ = place.points.scroll("requirements", limit=10_000, with_vectors=True)
    assert sorted(int(record.id) for record in records) == sorted(wanted), where
    vectors = open_embedder("hashing-384", Settings()).embed([wanted[int(record.id)][2] for record in records])
    for record, vector in zip(records, vectors, strict=True):
        assert (record.payload or {})["parent"] == wanted[int(record.id)][1], where
        assert np.allclose(record.vector, vector / np.linalg.norm(vector), atol=1e-6), where
