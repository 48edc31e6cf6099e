"""A source in ranges: mapped tasks that pass addresses on, and none where there is nothing to map over."""

from __future__ import annotations

import psycopg
from tests.end_to_end.conftest import Running

from data_workbench.artifacts import ArtifactStore
from data_workbench.servers import postgres_dsn

DAG = "pipeline__ranged"
ROWS = 4_000


def test_ranges_are_read_by_tasks_of_their_own_and_later_runs_by_none(airflow: Running) -> None:
    client, dsn = airflow.client, postgres_dsn(airflow.stack.settings, "odras")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE wide_rows (id int PRIMARY KEY, seen int, filler text)")
        wide = f"SELECT n * 7919 % {ROWS}, n, repeat('x', 800) FROM generate_series(1, {ROWS}) n"
        connection.execute(f"INSERT INTO wide_rows {wide}".encode())
    client.wait_for_dag(DAG)
    client.unpause(DAG)
    client.trigger(DAG, dag_run_id="first")
    assert client.wait(DAG, "first", timeout=300).state == "success", client.failures(DAG, "first")
    ranges = [f"stage_range[{number}]" for number in range(3)]
    others = ("split", "stage", "load.out", "reconcile")
    assert client.task_states(DAG, "first") == dict.fromkeys((*ranges, *others), "success")
    assert client.xcom(DAG, "first", "split")[2] == {"number": 2, "run_id": "ranged__first", "told": "rows 3"}
    document = client.xcom(DAG, "first", "reconcile")
    assert document["sources"]["rows"]["read"] == ROWS
    assert document["destinations"]["out"]["inserted"] == ROWS
    assert document["reconciliation"]["clean"] is True
    landed = ArtifactStore(airflow.stack.settings).find("ranged", "ranged__first", "source.rows")
    assert landed is not None
    assert {part.of for part in landed.parts} == {f"range.rows.{number:03d}" for number in range(3)}

    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("UPDATE wide_rows SET seen = seen + 10000 WHERE id < 5")
    client.trigger(DAG, dag_run_id="second")
    assert client.wait(DAG, "second", timeout=300).state == "success", client.failures(DAG, "second")
    assert client.task_states(DAG, "second")["stage_range"] == "skipped"
    assert client.xcom(DAG, "second", "reconcile")["destinations"]["out"]["updated"] == 5
    with psycopg.connect(dsn) as connection:
        differs = (
            "SELECT count(*) FROM wide_rows a FULL JOIN wide_copy b USING (id) WHERE a.seen IS DISTINCT FROM b.seen"
        )
        assert connection.execute(differs).fetchone() == (0,)
