"""What earlier runs of a pipeline left behind: a plan to judge drift by, a run to go on with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from data_workbench.errors import StateError
from data_workbench.metastore import runs, stages
from data_workbench.metastore.locks import is_alive
from data_workbench.pipelines.options import RunOptions
from data_workbench.pipelines.plan import RunPlan, SourcePlan, is_current, sources_of

if TYPE_CHECKING:
    from data_workbench.metastore import Metastore
    from data_workbench.metastore.runs import Run, RunRequest


def last_plan(metastore: Metastore, pipeline: str) -> RunPlan | None:
    """The plan of the last successful run, unless another version of the workbench stored it."""
    stored = _last_stored(metastore, pipeline)
    return RunPlan.from_json(stored) if stored and is_current(stored) else None


def plan_of(metastore: Metastore, run_id: str) -> RunPlan | None:
    """The plan of a run, unless it is gone or another version of the workbench stored it."""
    try:
        stored = runs.load_plan(metastore, run_id)
    except StateError:
        return None
    return RunPlan.from_json(stored["plan"]) if stored and is_current(stored["plan"]) else None


def last_sources(metastore: Metastore, pipeline: str) -> Mapping[str, SourcePlan] | None:
    """The sources of the last successful run: what schema policies judge drift against."""
    stored = _last_stored(metastore, pipeline)
    return sources_of(stored) if stored else None


def _last_stored(metastore: Metastore, pipeline: str) -> Mapping[str, Any] | None:
    found = runs.list_runs(metastore, pipeline=pipeline, state="success", limit=1)
    stored = runs.load_plan(metastore, found[0].run_id) if found else None
    return stored["plan"] if stored else None


def resumable(metastore: Metastore, wanted: RunRequest) -> Run | None:
    """The interrupted run that does what `wanted` asks for, opened again; None to begin a new one.

    A run whose process is gone goes on. So does a failed one that has appended to a destination already, since
    reading its rows anew would append them twice.

    Raises:
        RunConflict: another run of the pipeline is under way.
        StateError: an interrupted run has appended rows, and the pipeline is asked to do something else now.
    """
    while (unfinished := runs.find_unfinished(metastore, wanted.pipeline, wanted.scope)) is not None:
        taken = _take_up(metastore, unfinished, wanted)
        if taken is not None or unfinished.run_id == wanted.run_id:
            return taken
    latest = runs.list_runs(metastore, pipeline=wanted.pipeline, scope=wanted.scope, limit=1)
    gives_up = wanted.options.get("reset_state")
    if latest and not gives_up and latest[0].state == "failed" and latest[0].run_id != wanted.run_id:
        stored = runs.load_plan(metastore, latest[0].run_id)
        if (
            stored
            and not _is_published(metastore, latest[0], stored)
            and _has_appended(metastore, latest[0], stored["plan"])
        ):
            return _go_on(metastore, latest[0], wanted)
    return None


def _take_up(metastore: Metastore, run: Run, wanted: RunRequest) -> Run | None:
    if run.run_id == wanted.run_id:
        return None
    is_ours = run.orchestrator == "airflow" and wanted.orchestrator == "airflow"
    if is_alive(metastore, run.pipeline, run.run_id) or (run.orchestrator == "airflow" and not is_ours):
        raise runs.unfinished_conflict(run)
    stored = runs.load_plan(metastore, run.run_id)
    if stored is None or wanted.options.get("reset_state"):
        runs.finish(metastore, run.run_id, state="abandoned")
        return None
    if _asks_the_same(run, wanted) and is_current(stored["plan"]):
        return run
    if _has_appended(metastore, run, stored["plan"]):
        return _go_on(metastore, run, wanted)
    runs.finish(metastore, run.run_id, state="abandoned")
    return None


def _go_on(metastore: Metastore, run: Run, wanted: RunRequest) -> Run:
    stored = runs.load_plan(metastore, run.run_id)
    if stored is None or not is_current(stored["plan"]):
        raise StateError(
            f"run {run.run_id} of {run.pipeline!r} was begun by another version of the workbench, and was interrupted "
            "after it had appended rows",
            hint="run it to its end with that version, or give it up with --reset-state (rows may then double)",
            run_id=run.run_id,
        )
    if not _asks_the_same(run, wanted):
        raise StateError(
            f"run {run.run_id} of {run.pipeline!r} was interrupted after it had appended rows, and the pipeline, "
            "its params or options are different now",
            hint="run the earlier version to its end first, or give it up with --reset-state (rows may then double)",
            run_id=run.run_id,
        )
    runs.reopen(metastore, run.run_id)
    return run


def _asks_the_same(run: Run, wanted: RunRequest) -> bool:
    ours, theirs = RunOptions.from_json(run.options), RunOptions.from_json(wanted.options)
    same_options = replace(ours, reset_state=False) == replace(theirs, reset_state=False)
    same = run.definition_hash == wanted.definition_hash and run.params == wanted.params and run.scope == wanted.scope
    return same and same_options


def _is_published(metastore: Metastore, run: Run, stored: Mapping[str, Any]) -> bool:
    """Whether all destinations hold the run's rows: what failed came after, and its sources have moved on."""
    return set(stored["plan"]["destinations"]) <= set(runs.confirmed(metastore, run.run_id))


def _has_appended(metastore: Metastore, run: Run, plan: Mapping[str, Any]) -> bool:
    """Whether rows of this run stand in a destination that cannot take them twice."""
    appends = [name for name, item in plan["destinations"].items() if item["write"] == "append"]
    begun = stages.stage_results(metastore, run.run_id)
    return any(f"{stages.LOAD}{name}" in begun for name in appends)
