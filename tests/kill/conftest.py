"""What the kill suite needs: stores on the session's stack, a job runner, and contents to compare."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from tests.kill import others

from data_workbench.metastore import Metastore

if TYPE_CHECKING:
    from neo4j import Driver
    from qdrant_client import QdrantClient
    from tests.conftest import PostgresDatabase

    from data_workbench.servers import Stack

REPOSITORY = Path(__file__).resolve().parents[2]
KILLED = -9
KILLS: Counter[str] = Counter()
"""How many processes were killed, by what they did; told at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what lies in this folder."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.kill)
            item.add_marker(pytest.mark.integration)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell how many were killed."""
    if KILLS:
        terminalreporter.write_line(f"killed: {KILLS.total()}, {dict(KILLS)}")


class Nursery:
    """The parent of all runs; see nursery.py."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.kill.nursery"],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._answer() == "ready"

    def bear(self, job: Path) -> int:
        """Start a job; its process id."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{job}\n")
        self._process.stdin.flush()
        return int(self._answer())

    def wait(self) -> int:
        """The exit code of the job under way."""
        return int(self._answer())

    def kill(self, child: int) -> bool:
        """Kill the job under way, unless it ended in the meantime; whether it died of it."""
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        return self.wait() == KILLED

    def close(self) -> None:
        """Bear no more."""
        self._process.communicate(timeout=60)

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


def _deed(job: dict[str, Any]) -> str:
    """What a job does."""
    if "command" in job:
        return " ".join(job["command"][:2])
    if "archive" not in job:
        return "load"
    return next((one for one in ("compacts", "restores", "expires", "verifies") if job.get(one)), "archives")


@dataclass
class Arena:
    """Stores, and processes that die in them."""

    dsn: str
    graph: Driver
    points: QdrantClient
    files: Path
    folder: Path
    variables: dict[str, str]
    nursery: Nursery
    at: dict[str, Any] = field(default_factory=dict)
    """Further stores, by name: what looks into each."""

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """Run SQL."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def start(self, text: str, **job: Any) -> int:
        """Start the pipeline in a process of its own; `point` and `occurrence` say where it dies."""
        pipeline, path = self.folder / "pipeline.yaml", self.folder / "job.json"
        pipeline.write_text(text)
        outputs = {"out": str(self._out), "errors": str(self.folder / "errors.txt")}
        path.write_text(json.dumps({"pipeline": str(pipeline), "variables": self.variables, **outputs, **job}))
        return self.nursery.bear(path)

    def run(self, text: str, **job: Any) -> dict[str, Any] | None:
        """Run to the end or to death: the outcome, or None if it was killed."""
        self.start(text, **job)
        code = self.nursery.wait()
        if code == KILLED:
            KILLS[_deed(job)] += 1
            return None
        errors = (self.folder / "errors.txt").read_text()
        assert code == 0, errors
        outcome: dict[str, Any] = json.loads(self._out.read_text().splitlines()[-1])
        sys.stderr.write(errors)
        return outcome

    def finish(self, text: str, **job: Any) -> dict[str, Any]:
        """Run again until the end; it must succeed."""
        outcome = self.run(text, **job)
        assert outcome is not None
        assert outcome["state"] == "success", outcome["error"]
        return outcome

    def kill_after(self, text: str, moment: float, **job: Any) -> bool:
        """Start, wait until it works, kill it so many seconds later if it has not ended; whether it was killed."""
        self._out.unlink(missing_ok=True)
        child = self.start(text, **job)
        while not (self._out.exists() and self._out.read_text().startswith("ready")):
            time.sleep(0.005)
        time.sleep(moment)
        is_killed = self.nursery.kill(child)
        KILLS[_deed(job)] += is_killed
        return is_killed

    def is_published(self) -> bool:
        """Whether a run came to its end: what it did must stand as it is."""
        return bool(self.sql("SELECT 1 FROM runs WHERE state = 'success'"))

    @property
    def _out(self) -> Path:
        return self.folder / "out.txt"


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    found = Nursery()
    yield found
    found.close()


@pytest.fixture(scope="module")
def metastore(postgres: PostgresDatabase) -> Iterator[Metastore]:
    with Metastore.open(postgres.dsn) as store:
        store.upgrade()
        yield store


@pytest.fixture
def arena(
    stack: Stack,
    postgres: PostgresDatabase,
    metastore: Metastore,
    connections: dict[str, str],
    neo4j: Driver,
    qdrant_url: str,
    tmp_path: Path,
    nursery: Nursery,
) -> Iterator[Arena]:
    """Empty stores; small parts, so that a load has several commits."""
    from qdrant_client import QdrantClient

    from data_workbench.metastore.tables import metadata

    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS _workbench CASCADE")
        connection.execute("DROP TABLE IF EXISTS rows, rows_copy, hooked")
        emptied = [name for name in metadata.tables if name != "audit_entries"]  # the audit trail only ever grows
        connection.execute(f"TRUNCATE {', '.join(emptied)} CASCADE".encode())
    variables = {
        "AIRFLOW_CONN_PG": json.dumps(postgres.airflow),
        "AIRFLOW_CONN_META": json.dumps(postgres.airflow),
        "AIRFLOW_CONN_GRAPH": connections["AIRFLOW_CONN_ODRAS_NEO4J"],
        "AIRFLOW_CONN_VECTORS": connections["AIRFLOW_CONN_ODRAS_QDRANT"],
        "AIRFLOW_CONN_FILES": connections["AIRFLOW_CONN_WORKBENCH_FILES"],
        "WORKBENCH_HOME": str(tmp_path / "home"),
        "WORKBENCH_CACHE": str(stack.settings.cache_folder),
        "WORKBENCH_METASTORE": "meta",
        "WORKBENCH_MIN_FREE_DISK": "1",
        "WORKBENCH_HOOKS": "pg",
        "WORKBENCH_PART_ROWS": "400",
        "WORKBENCH_BATCH_ROWS": "200",
    }
    files = Path(json.loads(connections["AIRFLOW_CONN_WORKBENCH_FILES"])["host"].removeprefix("file://"))
    client = QdrantClient(url=qdrant_url, timeout=60, check_compatibility=False)
    try:
        yield Arena(postgres.dsn, neo4j, client, files, tmp_path, variables, nursery)
    finally:
        client.close()


@pytest.fixture
def need(arena: Arena, request: pytest.FixtureRequest) -> Iterator[Callable[[str | None], None]]:
    """Add a store to the arena."""
    with ExitStack() as opened:

        def add(name: str | None) -> None:
            if name == "mysql":
                store: Any = others.mysql(arena, request.getfixturevalue("mariadb"))
            elif name == "rdf":
                store = others.rdf(arena, request.getfixturevalue("fuseki"))
            elif name == "lake":
                store = others.lake(arena)
            else:
                return
            arena.at[name] = opened.enter_context(store)

        yield add
