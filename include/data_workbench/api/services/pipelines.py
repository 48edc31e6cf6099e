"""How pipelines do, put together from what their runs left in the metastore."""

from __future__ import annotations

from itertools import groupby

from data_workbench.api.datamodels.pipelines import PipelineOut, RunDetailsOut, RunOut, StageOut
from data_workbench.api.services.metastore import metastore
from data_workbench.errors import UsageError
from data_workbench.metastore import liveness, quarantine, runs, stages
from data_workbench.metastore import overview as glance
from data_workbench.metastore.liveness import Stall
from data_workbench.metastore.overview import RunSummary, Waiting
from data_workbench.metastore.quarantine import Record


def overview(count: int) -> list[tuple[PipelineOut, list[RunOut]]]:
    """Every pipeline that ever ran with its latest `count` runs, newest first; those in trouble lead."""
    with metastore() as store:
        found, waiting = glance.latest_runs(store, count=count), glance.open_rows(store)
        running = [one.run_id for one in found if one.state == "running"]
        stalled = liveness.stalls(store, running)
    told = []
    for name, group in groupby(found, key=lambda one: one.pipeline):
        latest = [_told(one, stalled.get(one.run_id)) for one in group]
        told.append((PipelineOut(pipeline=name, latest=latest[0], quarantine=waiting.get(name, 0)), latest))
    rank = {"failed": 0, "stuck": 1, "waiting": 2, "running": 3}
    return sorted(told, key=lambda one: (rank.get(one[0].latest.state, 4), one[0].pipeline))


def history(pipeline: str, count: int) -> tuple[list[RunOut], list[Waiting]]:
    """The latest runs of one pipeline, newest first, and what waits in its quarantine. Raises UsageError."""
    with metastore() as store:
        found = glance.latest_runs(store, count=count, pipeline=pipeline)
        if not found:
            raise UsageError(f"pipeline {pipeline!r} has never run", hint="GET /data/pipelines lists those that have")
        stalled = liveness.stalls(store, [one.run_id for one in found if one.state == "running"])
        return [_told(one, stalled.get(one.run_id)) for one in found], glance.open_by_rule(store, pipeline)


def details(run_id: str, *, rejected: int = 0) -> tuple[RunDetailsOut, list[Record]]:
    """One run with its stages, and the first of the rows it put aside. Raises UsageError if there is none."""
    with metastore() as store:
        summary = glance.summary_of(store, run_id)
        if summary is None:
            raise UsageError(f"no run {run_id!r} is known", hint="GET /data/pipelines/NAME/runs lists a pipeline's")
        run, found = runs.get(store, run_id), stages.stage_results(store, run_id)
        stalled = liveness.stalls(store, [run_id]) if run.state == "running" else {}
        records = quarantine.list_records(store, run_id=run_id, state=None, limit=rejected) if rejected else []
    told = RunDetailsOut(
        run=_told(summary, stalled.get(run_id)),
        requested_by=run.requested_by,
        correlation_id=run.correlation_id,
        params=run.params,
        stages=[StageOut(**one.as_dict()) for one in found.values() if not one.is_part],
        document=run.result,
    )
    return told, records


def _told(one: RunSummary, stalled: Stall | None) -> RunOut:
    values = {name: getattr(one, name) for name in RunOut.model_fields}
    if stalled is not None:
        values |= {"state": stalled.state, "trouble": stalled.reason}
    return RunOut(**values)
