"""Archiving by Airflow's own scheduler: rows move, archives are verified, and a shelf that is away is red and told."""

from __future__ import annotations

from tests.end_to_end.conftest import Running
from tests.end_to_end.test_scheduling import sql

DAGS = ("archive_expired", "verify_archives", "watch_archives")


def ran(airflow: Running, dag_id: str, run_id: str) -> str:
    """How a run ended."""
    airflow.client.trigger(dag_id, dag_run_id=run_id)
    return airflow.client.wait(dag_id, run_id, timeout=300).state


def told(airflow: Running) -> list[str]:
    found = sql(airflow, "SELECT topic FROM alerts WHERE topic LIKE 'archive.%' ORDER BY created", "workbench")
    return [topic for (topic,) in found]


def test_rows_are_archived_and_verified_and_a_shelf_that_is_away_is_red_and_told(airflow: Running) -> None:
    sql(airflow, "CREATE TABLE olds (id int PRIMARY KEY, at timestamptz NOT NULL)")
    sql(airflow, "INSERT INTO olds SELECT n, '2020-01-01' FROM generate_series(1, 40) n")
    for dag_id in DAGS:
        airflow.client.wait_for_dag(dag_id)
        airflow.client.unpause(dag_id)
    assert ran(airflow, "archive_expired", "first") == "success", airflow.client.failures("archive_expired", "first")
    # An unpaused DAG may have run by its own clock before.
    assert sql(airflow, "SELECT sum(live)::int FROM archives WHERE policy = 'olds'", "workbench") == [(40,)]
    assert sql(airflow, "SELECT count(*) FROM olds") == [(0,)]
    assert ran(airflow, "verify_archives", "first") == "success"
    assert airflow.client.xcom("verify_archives", "first", "check")["rows"] == 40

    sql(airflow, "INSERT INTO olds SELECT n, '2020-02-01' FROM generate_series(41, 50) n")
    shelf = airflow.stack.settings.home / "archives"
    away = shelf.with_name("archives-away")
    shelf.rename(away)
    try:
        assert ran(airflow, "archive_expired", "away") == "failed"
        assert ran(airflow, "verify_archives", "away") == "failed"
        assert sql(airflow, "SELECT count(*) FROM olds") == [(10,)]
        assert not shelf.exists()
        assert ran(airflow, "watch_archives", "away") == "success"
        assert told(airflow)[-1] == "archive.unreachable"
    finally:
        away.rename(shelf)
    assert ran(airflow, "archive_expired", "back") == "success"
    assert ran(airflow, "watch_archives", "back") == "success"
    assert told(airflow)[-1] == "archive.recovered"
    assert sql(airflow, "SELECT count(*) FROM olds") == [(0,)]
