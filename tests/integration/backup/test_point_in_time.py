"""PostgreSQL back to moments between writes, by its base backup and its log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from tests.integration.backup.test_all_stores import succeeded
from tests.integration.cli.conftest import Shell

if TYPE_CHECKING:
    from tests.conftest import PostgresDatabase

    from data_workbench.servers import Stack


@pytest.fixture
def site(shell: Shell, stack: Stack, postgres: PostgresDatabase) -> Iterator[Shell]:
    """One database whose server's log is kept, and a metastore beside."""
    shell.variables = {
        **shell.variables,
        "AIRFLOW_CONN_ODRAS_POSTGRES": json.dumps(postgres.airflow),
        "AIRFLOW_CONN_WORKBENCH_METASTORE": stack.environment()["AIRFLOW_CONN_WORKBENCH_METASTORE"],
        "WORKBENCH_BACKUP_STORES": "odras_postgres",
        "WORKBENCH_POINT_IN_TIME": "odras_postgres",
    }
    assert shell("db", "upgrade").code == 0
    yield shell
    assert shell("backup", "wal", "--stop", "--drop-slot").code == 0


def moment(connection: psycopg.Connection) -> datetime:
    """The server's clock between two commits."""
    connection.execute("SELECT pg_sleep(0.05)")
    row = connection.execute("SELECT clock_timestamp()").fetchone()
    connection.execute("SELECT pg_sleep(0.05)")
    assert row is not None
    found: datetime = row[0]
    return found


def test_postgres_goes_back_to_a_moment(site: Shell, postgres: PostgresDatabase) -> None:
    assert site("backup", "restore", "--to", "2026-01-01T00:00:00Z", "--json").document["error"]["kind"] == "StateError"
    assert succeeded(site("backup", "wal", "--json"))["recoverable_from"] is None
    made = succeeded(site("backup", "create", "--json"))
    moments = []
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE steps (n int)")
        for number in range(1, 4):
            connection.execute("INSERT INTO steps SELECT %s FROM generate_series(1, 100)", (number,))
            moments.append((moment(connection), number * 100))
        connection.execute("DROP TABLE letters; DROP TABLE steps")
        late = moment(connection)
    beyond = site("backup", "restore", "--to", late.isoformat(), "--yes", "--json")
    assert (beyond.code, beyond.document["error"]["kind"]) == (2, "UsageError")
    assert "outside of what can be gone back to" in beyond.document["error"]["message"]
    assert succeeded(site("backup", "wal", "--json"))["shipped"] >= 1
    checked = succeeded(site("backup", "verify", "--json"))
    assert (checked["set"], checked["log"]["problems"]) == (made["set"], [])

    drilled = succeeded(site("backup", "verify", "--drill", "--store", "odras_postgres.cluster", "--json"))["drill"]
    assert drilled["stores"]["odras_postgres.cluster"]["outcome"] == "passed"

    for at, (when, rows) in enumerate(moments[1:2]):
        told = succeeded(site("backup", "restore", "--to", when.isoformat(), "--beside", f"at{at}", "--json"))
        assert told["to"] == when.isoformat()
        name = f"at{at}_{postgres.name}"
        with psycopg.connect(postgres.dsn.rpartition("/")[0] + f"/{name}") as connection:
            assert connection.execute("SELECT count(*), max(n) FROM steps").fetchone() == (rows, rows // 100)
            assert connection.execute("SELECT count(*) FROM letters").fetchone() == (3,)
        with psycopg.connect(postgres.dsn, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}"'.encode())

    log = next((Path(site.variables["WORKBENCH_HOME"]) / "backups" / "wal").iterdir())
    for segment in log.glob("*.age"):
        segment.unlink()
    refused = site("backup", "restore", "--to", moments[0][0].isoformat(), "--yes", "--json")
    assert (refused.code, refused.document["error"]["kind"]) == (1, "StateError")
    assert "of the log is lost" in refused.document["error"]["message"]
    failed = site("backup", "verify", "--json")
    assert failed.code == 1
    assert "of the log is lost" in failed.document["problems"][0]
