"""How pipelines do, put together from what their runs left in the metastore."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from data_workbench.api.datamodels.pipelines import PipelineOut, RunDetailsOut, RunOut, StageOut
from data_workbench.api.services.metastore import metastore
from data_workbench.errors import UsageError
from data_workbench.metastore import liveness, quarantine, runs, stages
from data_workbench.metastore import overview as glance
from data_workbench.metastore.liveness import Stall
from data_workbench.metastore.overview import RunSummary, Waiting
from data_workbench.metastore.quarantine import Record
from data_workbench.pipelines.masking import Masks


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


@dataclass(frozen=True)
class MeasuredRun:
    """A run with what was measured of its stages."""

    run: RunOut
    stages: list[StageOut]


def measured(shown: Sequence[RunOut]) -> list[MeasuredRun]:
    """These runs with the measures of their stages, in their order."""
    with metastore() as store:
        found = stages.of_runs(store, [one.run_id for one in shown])
    return [
        MeasuredRun(one, [StageOut(**stage.as_dict()) for stage in found.get(one.run_id, ()) if not stage.is_part])
        for one in shown
    ]


def history(pipeline: str, count: int) -> tuple[list[RunOut], list[tuple[Waiting, str]]]:
    """The latest runs of one pipeline, newest first, and what waits in its quarantine with the newest row's reason.

    Raises:
        UsageError: it has never run.
    """
    with metastore() as store:
        found = glance.latest_runs(store, count=count, pipeline=pipeline)
        if not found:
            raise UsageError(f"pipeline {pipeline!r} has never run", hint="GET /data/pipelines lists those that have")
        stalled = liveness.stalls(store, [one.run_id for one in found if one.state == "running"])
        masks = Masks(store)
        held = glance.open_by_rule(store, pipeline)
        newest = quarantine.get_all(store, {one.newest for one in held})
        reasons = {one.id: masks.masked(one).record.reason for one in newest}
        return [_told(one, stalled.get(one.run_id)) for one in found], [(one, reasons[one.newest]) for one in held]


def waiting(pipeline: str) -> list[Waiting]:
    """What waits in a pipeline's quarantine, by step and rule."""
    with metastore() as store:
        return glance.open_by_rule(store, pipeline)


def details(run_id: str, *, rejected: int = 0) -> tuple[RunDetailsOut, list[Record]]:
    """One run with its stages, and the first of the rows it put aside. Raises UsageError if there is none."""
    with metastore() as store:
        summary = glance.summary_of(store, run_id)
        if summary is None:
            raise UsageError(f"no run {run_id!r} is known", hint="GET /data/pipelines/NAME/runs lists a pipeline's")
        run, found = runs.get(store, run_id), stages.stage_results(store, run_id)
        stalled = liveness.stalls(store, [run_id]) if run.state == "running" else {}
        records = quarantine.list_records(store, run_id=run_id, state=None, limit=rejected) if rejected else []
        masks = Masks(store)
        records = [masks.masked(one).record for one in records]
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
