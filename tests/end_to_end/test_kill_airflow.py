"""kill -9 of a worker, the scheduler, the API server or PostgreSQL at named points of a run through a real Airflow.

After each, what stands in the destinations is what an unbroken run leaves: every row once, where rows are appended and
where they are merged. `make kill-airflow` goes over all points with WORKBENCH_KILL_AIRFLOW_SEEDS seeds; without it one
of them is tried.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from tests.end_to_end.conftest import Running

from data_workbench.errors import WorkbenchError
from data_workbench.servers import postgres_dsn

DAG = "pipeline__killed"
SEEDS = int(os.environ.get("WORKBENCH_KILL_AIRFLOW_SEEDS", "0"))
MOST_SECONDS = 600.0
POINTS = [
    ("load.after_commit", "task"),
    ("stage.reading", "task"),
    ("stage.landed", "scheduler"),
    ("load.before_commit", "worker"),
    ("load.after_commit", "api-server"),
    ("load.before_commit", "postgres"),
    ("reconcile.compared", "task"),
    ("run.published", "worker"),
]
"""Where, and who: `task` is the process of the task, `worker` the one that supervises it as well."""
ROUNDS = [(*point, seed) for seed in range(SEEDS) for point in POINTS] or [(*POINTS[0], 0)]


@pytest.fixture(scope="module")
def arena(airflow: Running) -> Running:
    """The pipeline's DAG, unpaused, over a table of rows."""
    sql(airflow, "CREATE TABLE IF NOT EXISTS kill_rows (id int, round int, word text, PRIMARY KEY (round, id))")
    airflow.client.wait_for_dag(DAG)
    airflow.client.unpause(DAG)
    return airflow


def sql(airflow: Running, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(postgres_dsn(airflow.stack.settings, "odras"), autocommit=True) as connection:
        cursor = connection.execute(statement.encode(), values or None)
        return cursor.fetchall() if cursor.description else []


def victims(airflow: Running, who: str) -> list[int]:
    """Process ids; 0 is the process that the point is in."""
    if who in ("task", "worker"):
        return [0]
    run = airflow.stack.settings.home / "run"
    if who == "postgres":
        return [json.loads((run / "postgres.pid").read_text())["pid"]]
    supervisor = psutil.Process(json.loads((run / "airflow.pid").read_text())["pid"])
    return [child.pid for child in supervisor.children() if who in child.cmdline()]


@pytest.mark.parametrize(("point", "who", "seed"), ROUNDS)
def test_killed_anywhere_a_run_ends_as_an_unbroken_one(arena: Running, point: str, who: str, seed: int) -> None:
    chance, number = random.Random(f"{point} {who} {seed}"), seed * len(POINTS) + POINTS.index((point, who))
    rows = chance.randint(800, 2_000)
    sql(arena, "INSERT INTO kill_rows SELECT n, %s, md5(n::text) FROM generate_series(1, %s) n", number, rows)
    order = Path(arena.stack.settings.home).absolute() / "kill-order.json"
    done = order.with_suffix(".done")
    done.unlink(missing_ok=True)
    many = chance.randint(1, 3) if point.startswith("load.") else 1
    said = {"point": point, "occurrence": many, "pids": victims(arena, who), "and_parent": who == "worker"}
    order.write_text(json.dumps(said))
    run_id = f"round-{number}"
    arena.client.trigger(DAG, conf={"round": number}, dag_run_id=run_id)
    state = ended(arena, run_id, revive=who == "postgres", done=done)
    assert done.exists(), f"nothing was killed: {point} never came, {many} times"
    assert state == "success", arena.client.failures(DAG, run_id)
    fingerprint = (
        "SELECT count(*), count(DISTINCT id), md5(string_agg(word, ',' ORDER BY id, word)) FROM {} WHERE round = %s"
    )
    wanted = sql(arena, fingerprint.format("kill_rows"), number)
    assert wanted[0][0] == rows
    for copy in ("kill_appended", "kill_merged"):
        assert sql(arena, fingerprint.format(copy), number) == wanted, copy


def ended(airflow: Running, run_id: str, *, revive: bool, done: Path) -> str:
    """The state the DAG run ends with; a server that was killed and has no supervisor is started again."""
    deadline = time.monotonic() + MOST_SECONDS
    state = "queued"
    while time.monotonic() < deadline:
        time.sleep(1)
        if revive and done.exists():
            airflow.stack.up(["postgres"])
            airflow.stack.up(["airflow"])
            revive = False
        try:
            found = airflow.client._ask("GET", f"/api/v2/dags/{DAG}/dagRuns/{run_id}")
        except WorkbenchError as error:  # it is being started again
            sys.stderr.write(f"{error.message[:120]}\n")
            continue
        state = str((found or {}).get("state"))
        if state in ("success", "failed"):
            return state
    raise AssertionError(f"{run_id} is {state} after {MOST_SECONDS:.0f} s: {airflow.client.task_states(DAG, run_id)}")
