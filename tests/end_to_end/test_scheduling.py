"""Backfills, catching up, deadlines and overlaps, through Airflow's own scheduler."""

from __future__ import annotations

import ast
import json
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from tests.end_to_end.conftest import Running
from tests.end_to_end.test_rest_page import example, executed

import local_kafka
from data_workbench.connectors.connections import from_environment
from data_workbench.connectors.metastore import open_metastore
from data_workbench.metastore import hold_run, runs
from data_workbench.servers import postgres_dsn


def sql(airflow: Running, statement: str, database: str = "odras") -> list[tuple[Any, ...]]:
    with psycopg.connect(postgres_dsn(airflow.stack.settings, database), autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def eventually(look: Callable[[], Any], *, seconds: float = 300) -> Any:
    """What a look gives once it gives something."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(1)
    raise AssertionError(f"still nothing after {seconds} s")


@pytest.fixture(scope="module")
def caller(airflow: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=airflow.url, trust_env=False, timeout=60) as client:
        answer = client.post("/auth/token", json=dict(zip(("username", "password"), airflow.access, strict=True)))
        client.headers["authorization"] = f"Bearer {answer.json()['access_token']}"
        yield client


@pytest.fixture(scope="module")
def readings(airflow: Running) -> Running:
    """Three days of ten readings; the DAGs that copy them are unpaused."""
    sql(airflow, "CREATE TABLE readings (id int PRIMARY KEY, at timestamptz NOT NULL)")
    sql(
        airflow,
        "INSERT INTO readings SELECT n, '2026-01-01Z'::timestamptz + n * interval '144 min'"
        " FROM generate_series(0, 29) n",
    )
    for dag_id in ("backfill__readings", "pipeline__readings"):
        airflow.client.wait_for_dag(dag_id)
        airflow.client.unpause(dag_id)
    return airflow


def test_the_example_of_a_backfill_runs_once_however_often_it_is_asked(readings: Running) -> None:
    for _ in range(2):
        said = executed(readings, "by-rest", sys.executable, "-c", example("backfill"), PIPELINE="readings")
        state, _, parts = said.partition(" ")
        assert state == "success", said
        assert ast.literal_eval(parts) == [(f"2026-01-0{day}", "success") for day in (1, 2, 3)]
    assert sql(readings, "SELECT count(*), count(DISTINCT id) FROM readings_copy") == [(30, 30)]
    states = readings.client.task_states("backfill__readings", "by-rest")
    assert states == dict.fromkeys(("prepare", "work[0]", "work[1]", "finish"), "success")


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ({"pipeline": "planets"}, 404, "no partitions"),
        ({"pipeline": "readings", "params": {"colour": "red"}}, 400, "'colour'"),
        ({"pipeline": "readings", "from": "'; DROP TABLE x"}, 400, "from"),
        ({"pipeline": "readings", "parallel": 99}, 422, "parallel"),
        ({"pipeline": "readings", "colour": 1}, 422, "colour"),
        ({"pipeline": "readings", "from": "2026-01-02", "idempotency_key": "by-rest"}, 409, "another request"),
    ],
)
def test_a_backfill_that_does_not_fit_is_refused(
    readings: Running, caller: httpx.Client, body: dict[str, Any], status: int, told: str
) -> None:
    answer = caller.post("/data/backfills", json=body)
    assert (answer.status_code, told in answer.text) == (status, True), answer.text


def test_who_may_not_and_what_comes_from_elsewhere_begins_no_backfill(readings: Running, caller: httpx.Client) -> None:
    body = {"pipeline": "readings"}
    token = caller.headers["authorization"].removeprefix("Bearer ")
    with httpx.Client(base_url=readings.url, trust_env=False) as stranger:
        assert stranger.post("/data/backfills", json=body).status_code in (401, 403)
        assert stranger.get("/data/backfills").status_code == 401
        stranger.cookies.set("_token", token)
        elsewhere = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
        assert stranger.post("/data/backfills", json=body, headers=elsewhere).status_code == 403
        assert stranger.post("/data/backfills", json=body).status_code == 403
    assert caller.get("/data/backfills/readings__nothing").status_code == 404
    assert [one["backfill"] for one in caller.get("/data/backfills").json()["backfills"]] == ["readings__by-rest"]


def test_one_key_is_one_run_even_asked_ten_times_at_once(readings: Running, caller: httpx.Client) -> None:
    path, conf = "/api/v2/dags/pipeline__planets/dagRuns", {"idempotency_key": "storm", "requested_by": "ten"}
    readings.client.wait_for_dag("pipeline__planets")
    readings.client.unpause("pipeline__planets")
    with ThreadPoolExecutor(10) as pool:
        asked = [pool.submit(caller.post, path, json={"logical_date": None, "conf": conf}) for _ in range(10)]
    answers = [one.result() for one in asked]
    assert {one.status_code for one in answers} == {200}, [one.text[:200] for one in answers]
    assert {one.json()["dag_run_id"] for one in answers} == {"storm"}
    other = caller.post(path, json={"logical_date": None, "conf": {**conf, "requested_by": "eleven"}})
    assert (other.status_code, "another conf" in other.text) == (409, True)
    assert readings.client.wait("pipeline__planets", "storm", timeout=300).state == "success"
    assert sql(readings, "SELECT count(*) FROM runs WHERE run_id = 'planets__storm'", "workbench") == [(1,)]


def test_a_schedule_catches_up_partition_by_partition_and_late_runs_are_told_once(airflow: Running) -> None:
    first = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=2)
    sql(airflow, "CREATE TABLE late_readings (id int PRIMARY KEY, at timestamptz NOT NULL)")
    sql(
        airflow,
        "INSERT INTO late_readings SELECT n, "
        f"'{first.isoformat()}'::timestamptz + n * interval '6 h' FROM generate_series(-4, 11) n",
    )
    airflow.client.wait_for_dag("pipeline__caught_up")
    airflow.client.unpause("pipeline__caught_up")
    ended = "SELECT run_id, params->>'since' FROM runs WHERE pipeline = 'caught_up' AND state = 'success' ORDER BY 2"
    found = eventually(lambda: [rows for rows in [sql(airflow, ended, "workbench")] if len(rows) == 2])[0]
    assert [since[:10] for _, since in found] == [f"{first + timedelta(days=day):%Y-%m-%d}" for day in (0, 1)]
    # Two days of four readings; those of the day before the first, and of today, are in no partition that is over.
    assert sql(airflow, "SELECT min(id), max(id), count(*) FROM late_copy") == [(0, 7, 8)]
    late = "SELECT detail->>'run_id' FROM alerts WHERE topic = 'run.late' ORDER BY 1"
    told = eventually(lambda: [rows for rows in [sql(airflow, late, "workbench")] if len(rows) == 2])[0]
    assert sorted(run_id for run_id, _ in found) == [run_id for (run_id,) in told]


def test_a_run_whose_pipeline_is_busy_elsewhere_waits_and_goes_on(airflow: Running) -> None:
    client, found = airflow.client, from_environment("workbench_metastore", airflow.stack.environment())
    assert found is not None
    client.wait_for_dag("pipeline__planets")
    client.unpause("pipeline__planets")
    with open_metastore(found) as metastore:
        request = runs.RunRequest("by_hand", "planets", now=datetime.now(UTC), definition_hash="")
        runs.begin(metastore, request)
        with hold_run(metastore, "planets", "by_hand"):
            client.trigger("pipeline__planets", dag_run_id="behind")
            eventually(lambda: client.task_states("pipeline__planets", "behind").get("stage") == "deferred")
            runs.finish(metastore, "by_hand", state="abandoned")
    assert client.wait("pipeline__planets", "behind", timeout=300).state == "success"


def test_messages_on_a_topic_run_the_pipeline_with_what_they_name(
    airflow: Running, caller: httpx.Client, tmp_path: Path
) -> None:
    batch = "7d0f1c52-93a5-4be1-8c7e-0e3a5d0c9b11"
    with local_kafka.running(tmp_path / "kafka", airflow.stack.settings.cache_folder) as broker:
        admin = AdminClient({"bootstrap.servers": broker})
        admin.create_topics([NewTopic("planets", 1, 1)])["planets"].result(60)
        extra = json.dumps({"bootstrap.servers": broker})
        known = {"connection_id": "events", "conn_type": "kafka", "extra": extra}
        assert caller.post("/api/v2/connections", json=known).status_code == 201
        producer = Producer({"bootstrap.servers": broker})
        for body in (json.dumps({"batch": {"id": batch}}), "poison", json.dumps({"batch": {"id": batch}})):
            producer.produce("planets", body.encode())
        assert producer.flush(60) == 0
        airflow.client.wait_for_dag("pipeline__told")
        airflow.client.unpause("pipeline__told")
        ended = "SELECT params->>'batch_id' FROM runs WHERE pipeline = 'told' AND state = 'success'"
        found = eventually(lambda: sql(airflow, ended, "workbench"))
        caller.patch("/api/v2/dags/pipeline__told", json={"is_paused": True})
    assert set(found) == {(batch,)}
    assert sql(airflow, "SELECT count(*) FROM told_planets") == [(4,)]
