"""How a run ends: compared with its stores and published, or failed; and the document that tells what came out."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from data_workbench.metastore import runs, stages
from data_workbench.pipelines import direct, fused, records, standing
from data_workbench.pipelines.plan import RunPlan, is_current
from data_workbench.pipelines.reconcile import Remedy
from data_workbench.pipelines.result import note_kept_out, run_document
from data_workbench.pipelines.retention import expire
from data_workbench.pipelines.verdicts import broken, unclean
from data_workbench.quality.keeping import keep_results

if TYPE_CHECKING:
    from data_workbench.errors import WorkbenchError
    from data_workbench.metastore import Metastore
    from data_workbench.pipelines.noting import Noted
    from data_workbench.pipelines.run import Runner
    from data_workbench.pipelines.work import Work


@dataclass(frozen=True)
class Verdict:
    """What the stores say of a run's load."""

    answer: dict[str, Any]
    """The comparison."""
    checks: list[dict[str, Any]]
    """Of the contracts, on what it has read back."""
    failure: WorkbenchError | None
    """Why the run fails though its data stands."""


def judge(runner: Runner, work: Work) -> Verdict:
    """Compare what was loaded with what stands in the stores."""
    answer, checks = _compare(runner, work)
    failure = unclean(work.run_id, answer) if answer["clean"] is False else broken(work.run_id, checks)
    return Verdict(answer, checks, failure)


def _compare(runner: Runner, work: Work) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The comparison, and the contracts' checks on what it has read back."""
    scope = work.plan.after_load
    if work.options.full_refresh and scope != "none":
        scope = "full"
    if scope == "none":
        skipped = standing.not_evaluated(work.plan, "after_load: none reads nothing back")
        return {"clean": None, "scope": "none", "destinations": {}}, skipped
    if direct.was_decided(runner.metastore, work.run_id):
        return fused.reconciliation(work.plan), []  # a pipeline with a contract is never streamed
    whole = scope == "full" and not any(work.begins.values()) and work.options.moves_state
    remedy = Remedy(delete=True, force=True) if work.options.full_refresh else Remedy()
    reconciler = replace(runner.assembly.reconciler(work), checks=True)
    answer = reconciler.reconcile(full=whole, remedy=remedy)
    return answer.as_dict(), answer.checks


def publish(runner: Runner, work: Work, noted: Noted, verdict: Verdict, *, started: float) -> None:
    """Publish a run that was judged, and remove what nobody needs once it is.

    Args:
        started: when judging began, by the monotonic clock.
    """
    metastore, failure = runner.metastore, verdict.failure
    keep_results(metastore, verdict.checks, run_id=work.run_id)
    result = document(metastore, work.run_id, reconciliation=verdict.answer, checks=verdict.checks)
    result["timings"][stages.RECONCILE] = round(time.monotonic() - started, 3)
    note_kept_out(result, noted.lineage)
    staging = runner.assembly.staging(work)
    before = staging.keeping.standing()
    runs.publish(
        metastore,
        work.run_id,
        destinations=list(work.plan.destinations),
        result=result,
        state="failed" if failure else "success",
        error=failure.as_dict() if failure else None,
        resolved=_resolved(runner, work),
        replayed=[] if failure else work.options.replays,
    )
    staging.keeping.tidy(before)
    shutil.rmtree(staging.work_folder, ignore_errors=True)
    expire(metastore, runner.artifacts, runner.settings, now=datetime.now(UTC))


def _resolved(runner: Runner, work: Work) -> list[int]:
    """Quarantined records that this run settles; a replay closes those it was asked for."""
    if work.options.only_keys:
        return []
    found = records.resolved(runner.metastore, runner.settings, work, runner.artifacts)
    return sorted(set(found) - set(work.options.replays))


def published(metastore: Metastore, run_id: str) -> dict[str, Any] | None:
    """The comparison of a run that was published by a process that died before it could say so."""
    run = runs.get(metastore, run_id)
    if run.state != "success" or run.result is None:
        return None
    stages.close_stage(metastore, run_id, stages.RECONCILE)
    return dict(run.result["reconciliation"])


def fail(metastore: Metastore, run_id: str, error: WorkbenchError) -> None:
    """Note that a run failed; positions stay where they were."""
    checks = _unchecked(metastore, run_id, error)
    told = document(metastore, run_id, reconciliation=None, checks=checks)
    run = runs.finish(metastore, run_id, state="failed", result=told, error=error.as_dict())
    if run.error == error.as_dict():
        keep_results(metastore, checks, run_id=run_id)


def _unchecked(metastore: Metastore, run_id: str, error: WorkbenchError) -> list[dict[str, Any]]:
    """The checks of a run that ended before they were made."""
    stored = runs.load_plan(metastore, run_id)
    if stored is None or not is_current(stored["plan"]):
        return []
    return standing.not_evaluated(RunPlan.from_json(stored["plan"]), f"the run failed: {error.message}")


def public_document(metastore: Metastore, run_id: str) -> dict[str, Any]:
    """What a run tells of itself now, whether it has ended or not."""
    run = runs.get(metastore, run_id)
    told = dict(run.result or document(metastore, run_id, reconciliation=None))
    ended = run.ended or datetime.now(UTC)
    return {**told, "state": run.state, "seconds": round((ended - run.started).total_seconds(), 3)}


def document(
    metastore: Metastore,
    run_id: str,
    *,
    reconciliation: dict[str, Any] | None,
    checks: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """The run's document, of the stages as they stand."""
    found = stages.stage_results(metastore, run_id)
    run = runs.get(metastore, run_id)
    stored = runs.load_plan(metastore, run_id)
    names = list(stored["plan"]["destinations"]) if stored else []
    return run_document(run, found, names, reconciliation, checks)
