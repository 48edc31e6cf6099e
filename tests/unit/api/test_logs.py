"""A run's page leads to the log of each of its tasks, where there is one."""

from __future__ import annotations

from datetime import UTC, datetime

from data_workbench.api.datamodels.pipelines import RunDetailsOut, RunOut, StageOut
from data_workbench.api.pages.pipelines import logs

NOW = datetime(2026, 11, 26, tzinfo=UTC)


def told(run_id: str, orchestrator: str) -> RunDetailsOut:
    run = RunOut(
        run_id=run_id, pipeline="planets", state="success", orchestrator=orchestrator, started=NOW, ended=NOW,
        seconds=1.0, read=1, written=1, quarantined=0, trouble=None,
    )  # fmt: skip
    measures = dict.fromkeys(name for name in StageOut.model_fields)
    stage = {"stage": "load.table", "state": "success", "attempt": 1, "retries": 0, "started": NOW}
    stages = [StageOut(**{**measures, **stage})]
    return RunDetailsOut(run=run, requested_by=None, correlation_id=None, params={}, stages=stages, document=None)


def test_a_stage_of_a_dag_run_has_the_log_of_its_task() -> None:
    found = logs(told("planets__scheduled__2026-11-26T00:00:00+00:00", "airflow"))
    path = "../../../dags/pipeline__planets/runs/scheduled__2026-11-26T00%3A00%3A00%2B00%3A00/tasks/load.table"
    assert found == {"load.table": path}


def test_a_range_has_the_log_of_its_mapped_task() -> None:
    run = told("planets__x", "airflow")
    run.stages[0].stage = "stage_range.3"
    assert logs(run)["stage_range.3"].endswith("/runs/x/tasks/stage_range/mapped/3")


def test_a_commands_run_and_a_partitions_have_none() -> None:
    assert logs(told("20261126T000000-1a2b", "cli")) == {}
    assert logs(told("planets__x__2026-11", "backfill")) == {}
