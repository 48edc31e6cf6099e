"""How pipelines do, put together from what their runs left in the metastore."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import groupby

from data_workbench.api.datamodels.pipelines import PipelineOut, RunDetailsOut, RunOut, StageOut
from data_workbench.api.services.metastore import metastore
from data_workbench.errors import UsageError
from data_workbench.metastore import overview as glance
from data_workbench.metastore import quarantine, runs, stages
from data_workbench.metastore.overview import RunSummary, Waiting
from data_workbench.metastore.quarantine import Record
from data_workbench.metastore.stages import StageResult


def overview(count: int) -> list[tuple[PipelineOut, list[RunOut]]]:
    """Every pipeline that ever ran with its latest `count` runs, newest first; those in trouble lead."""
    with metastore() as store:
        found, waiting = glance.latest_runs(store, count=count), glance.open_rows(store)
        running = [one.run_id for one in found if one.state == "running"]
        stalled = stages.waiting(store, running)
    told = []
    for name, group in groupby(found, key=lambda one: one.pipeline):
        latest = [_told(one, stalled.get(one.run_id)) for one in group]
        told.append((PipelineOut(pipeline=name, latest=latest[0], quarantine=waiting.get(name, 0)), latest))
    rank = {"failed": 0, "waiting": 1, "running": 2}
    return sorted(told, key=lambda one: (rank.get(one[0].latest.state, 3), one[0].pipeline))


def history(pipeline: str, count: int) -> tuple[list[RunOut], list[Waiting]]:
    """The latest runs of one pipeline, newest first, and what waits in its quarantine. Raises UsageError."""
    with metastore() as store:
        found = glance.latest_runs(store, count=count, pipeline=pipeline)
        if not found:
            raise UsageError(f"pipeline {pipeline!r} has never run", hint="GET /data/pipelines lists those that have")
        stalled = stages.waiting(store, [one.run_id for one in found if one.state == "running"])
        return [_told(one, stalled.get(one.run_id)) for one in found], glance.open_by_rule(store, pipeline)


def details(run_id: str, *, rejected: int = 0) -> tuple[RunDetailsOut, list[Record]]:
    """One run with its stages, and the first of the rows it put aside. Raises UsageError if there is none."""
    with metastore() as store:
        summary = glance.summary_of(store, run_id)
        if summary is None:
            raise UsageError(f"no run {run_id!r} is known", hint="GET /data/pipelines/NAME/runs lists a pipeline's")
        run, found = runs.get(store, run_id), stages.stage_results(store, run_id)
        stalled = stages.waiting(store, [run_id]) if run.state == "running" else {}
        records = quarantine.list_records(store, run_id=run_id, state=None, limit=rejected) if rejected else []
    told = RunDetailsOut(
        run=_told(summary, stalled.get(run_id)),
        requested_by=run.requested_by,
        correlation_id=run.correlation_id,
        params=run.params,
        stages=[_stage(one) for one in found.values() if not one.is_part],
        document=run.result,
    )
    return told, records


def _told(one: RunSummary, stalled: str | None) -> RunOut:
    values = {name: getattr(one, name) for name in RunOut.model_fields}
    if stalled is not None:
        values |= {"state": "waiting", "trouble": stalled}
    return RunOut(**values)


def _stage(one: StageResult) -> StageOut:
    error = one.error or {}
    end = one.ended or (datetime.now(UTC) if one.state == "running" else None)
    return StageOut(
        stage=one.stage,
        state=one.state,
        attempt=one.attempt,
        started=one.started,
        ended=one.ended,
        seconds=(end - one.started).total_seconds() if end else None,
        trouble=error.get("message"),
        hint=error.get("hint"),
    )
