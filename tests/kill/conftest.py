"""What the kill suite needs: stores on the session's stack, a job runner, and contents to compare."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from data_workbench.metastore import Metastore

if TYPE_CHECKING:
    from neo4j import Driver
    from qdrant_client import QdrantClient
    from tests.conftest import PostgresDatabase

    from data_workbench.servers import Stack

REPOSITORY = Path(__file__).resolve().parents[2]
KILLED = -9


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what lies in this folder."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.kill)
            item.add_marker(pytest.mark.integration)


@dataclass
class Arena:
    """Stores, and processes that die in them."""

    dsn: str
    graph: Driver
    points: QdrantClient
    files: Path
    folder: Path
    variables: dict[str, str]

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """Run SQL."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def start(self, text: str, **job: Any) -> subprocess.Popen[str]:
        """Start the pipeline in a process of its own; `point` and `occurrence` say where it dies."""
        (self.folder / "pipeline.yaml").write_text(text)
        path = self.folder / "job.json"
        path.write_text(json.dumps({"pipeline": str(self.folder / "pipeline.yaml"), **job}))
        return subprocess.Popen(
            [sys.executable, "-m", "tests.kill.runner", str(path)],
            cwd=REPOSITORY,
            env={**os.environ, **self.variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, text: str, **job: Any) -> dict[str, Any] | None:
        """Run to the end or to death: the outcome, or None if it was killed."""
        process = self.start(text, **job)
        out, errors = process.communicate(timeout=240)
        if process.returncode == KILLED:
            return None
        assert process.returncode == 0, errors
        outcome: dict[str, Any] = json.loads(out.splitlines()[-1])
        sys.stderr.write(errors)
        return outcome

    def finish(self, text: str, **job: Any) -> dict[str, Any]:
        """Run again until the end; it must succeed."""
        outcome = self.run(text, **job)
        assert outcome is not None
        assert outcome["state"] == "success", outcome["error"]
        return outcome

    def kill_at_random(self, text: str, chance: random.Random, longest: float) -> float:
        """Start, wait until it works, kill it some time later; when it was killed."""
        process = self.start(text)
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "ready"
        moment = chance.uniform(0, longest)
        time.sleep(moment)
        process.kill()
        process.communicate(timeout=60)
        return moment


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
) -> Iterator[Arena]:
    """Empty stores; small parts, so that a load has several commits."""
    from qdrant_client import QdrantClient

    from data_workbench.metastore.tables import metadata

    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS _workbench CASCADE")
        connection.execute("DROP TABLE IF EXISTS rows, rows_copy")
        connection.execute(f"TRUNCATE {', '.join(metadata.tables)} CASCADE".encode())
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
        "WORKBENCH_PART_ROWS": "400",
        "WORKBENCH_BATCH_ROWS": "200",
    }
    files = Path(json.loads(connections["AIRFLOW_CONN_WORKBENCH_FILES"])["host"].removeprefix("file://"))
    client = QdrantClient(url=qdrant_url, timeout=60, check_compatibility=False)
    try:
        yield Arena(postgres.dsn, neo4j, client, files, tmp_path, variables)
    finally:
        client.close()
