"""From a REST call to a finished DAG run of the smallest pipeline."""

from __future__ import annotations

import shutil
import subprocess
import sys
import uuid

from tests.bench.figures import Figure, middle
from tests.bench.ground import REPOSITORY, Ground, seconds

from data_workbench.provider.local import airflow_credentials
from data_workbench.provider.rest import AirflowClient

TABLE = """
DROP TABLE IF EXISTS smallest;
CREATE TABLE smallest (id bigint PRIMARY KEY, name text);
INSERT INTO smallest VALUES (1, 'one');
"""
PIPELINE = """\
version: 1
pipeline: smallest
description: One row from table to table.
sources:
  smallest: {connection: odras_postgres, stream: public.smallest}
destinations:
  copy: {connection: odras_postgres, table: public.smallest_copied, key: id, write: merge}
"""
DAG = "pipeline__smallest"
STAGES = 3
"""Tasks of the DAG, one after the other."""


def measure(ground: Ground) -> list[Figure]:
    """The DAG is known and not paused before the clock starts."""
    ground.sql(TABLE)
    pipelines = ground.settings.pipelines
    (pipelines / "smallest.yaml").write_text(PIPELINE)
    shutil.copy(REPOSITORY / "dags" / "workbench_pipelines.py", pipelines.parent)
    ground.say("Airflow starts")
    start = seconds(lambda: ground.stack.up(["airflow"]))
    with AirflowClient(*airflow_credentials(ground.settings)) as client:
        client.wait_for_dag(DAG, timeout=300)
        client.unpause(DAG)
        runs = [seconds(lambda: _run(ground, client)) for _ in range(ground.rounds)]
    ground.stack.down(["airflow"])
    path = str(ground.write("smallest_alone", PIPELINE.replace("pipeline: smallest", "pipeline: smallest_alone")))
    alone = [seconds(lambda: _command(ground, path)) for _ in range(ground.rounds + 1)][1:]
    details = {"samples": [round(one, 2) for one in runs], "airflow_start_seconds": round(start, 1)}
    what = "Airflow: REST trigger to finished DAG run of the smallest pipeline"
    beside = {"dag_run_seconds": middle(runs), "command_seconds": middle(alone), "stages": STAGES}
    over = (middle(runs) - middle(alone)) / STAGES
    told = "Airflow: what a stage takes longer than in `workbench run`, its way through the scheduler included"
    return [
        Figure("airflow", what, middle(runs), 30.0, "less", "s", details),
        Figure("airflow_stage", told, round(over, 3), 3.0, "less", "s", beside),
    ]


def _command(ground: Ground, path: str) -> None:
    ground.say("workbench run")
    command = [sys.executable, "-c", "from data_workbench.cli import main; main()", "run", path, "--json"]
    subprocess.run(command, env=ground.environment(), cwd=REPOSITORY, capture_output=True, check=True)


def _run(ground: Ground, client: AirflowClient) -> None:
    ground.say("DAG run")
    run_id = f"bench__{uuid.uuid4().hex[:8]}"
    client.trigger(DAG, dag_run_id=run_id)
    ended = client.wait(DAG, run_id, timeout=300)
    if ended.state != "success":
        raise RuntimeError(f"DAG run {ended.state}: {client.failures(DAG, run_id)}")
