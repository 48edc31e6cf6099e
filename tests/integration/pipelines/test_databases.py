"""Pipelines through SQL databases: every store on both sides, run twice, changed, reconciled and repaired."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest

if TYPE_CHECKING:
    from tests.integration.pipelines.conftest import Site


@pytest.fixture
def workshop(site: Site, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A SQLite file with parts, and connections to it and to a DuckDB file that is not there yet."""
    path = site.files / "workshop.sqlite"
    monkeypatch.setenv("AIRFLOW_CONN_WORKSHOP", f'{{"conn_type": "sqlite", "host": "{path}"}}')
    monkeypatch.setenv("AIRFLOW_CONN_LAB", f'{{"conn_type": "duckdb", "host": "{site.files / "lab.duckdb"}"}}')
    with sqlite3.connect(path) as database:
        database.execute(
            "CREATE TABLE parts (id INTEGER PRIMARY KEY, name TEXT, mass DECIMAL(8,3), changed_at TIMESTAMP)"
        )
        rows = [(i, f"part {i}", i / 8, f"2026-01-01 00:{i // 60:02}:{i % 60:02}") for i in range(1, 1001)]
        database.executemany("INSERT INTO parts VALUES (?, ?, ?, ?)", rows)
    database.close()
    return path


PIPELINE = """
version: 1
pipeline: parts
sources:
  parts: {connection: workshop, stream: parts, key: [id], cursor: {column: changed_at}, deletes: detect}
destinations:
  lab: {connection: lab, table: workshop.parts, key: [id], write: merge}
  copy: {connection: workshop, table: parts_copy, key: [id], write: merge}
  rows: {connection: odras_postgres, table: parts, key: [id], write: merge}
"""


def test_rows_go_from_sqlite_to_duckdb_sqlite_and_postgres_and_stay_equal(site: Site, workshop: Path) -> None:
    first = site.run(PIPELINE)
    assert first["state"] == "success"
    assert {name: one["inserted"] for name, one in first["destinations"].items()} == {
        "lab": 1000,
        "copy": 1000,
        "rows": 1000,
    }
    assert first["reconciliation"]["clean"]
    with sqlite3.connect(workshop) as database:
        database.execute("UPDATE parts SET mass = 5.5, changed_at = '2026-02-01 00:00:00' WHERE id = 7")
        database.execute("DELETE FROM parts WHERE id = 8")
    database.close()
    second = site.run(PIPELINE)
    for one in second["destinations"].values():
        assert (one["inserted"], one["updated"], one["deleted"]) == (0, 1, 1)
    assert second["reconciliation"]["clean"]
    with duckdb.connect(str(site.files / "lab.duckdb")) as lab:
        assert str(lab.execute("SELECT mass FROM workshop.parts WHERE id = 7").fetchall()) == "[(Decimal('5.500'),)]"
        lab.execute("UPDATE workshop.parts SET name = 'by hand' WHERE id = 9")
        lab.execute("DELETE FROM workshop.parts WHERE id = 10")
    found = site.reconcile(PIPELINE)
    assert not found["clean"]
    assert (found["destinations"]["lab"]["stale"], found["destinations"]["lab"]["missing"]) == (1, 1)
    assert site.one("SELECT count(*) FROM parts") == 999
