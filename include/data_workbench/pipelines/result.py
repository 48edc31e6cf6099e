"""The public JSON document of a run (fields may be added, none renamed)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from data_workbench.metastore.stages import LOAD, STAGE
from data_workbench.pipelines.fused import FUSED, source_counts
from data_workbench.pipelines.pushing import NOT_PUSHED, PUSHED

if TYPE_CHECKING:
    from data_workbench.metastore.runs import Run
    from data_workbench.metastore.stages import StageResult


def run_document(
    run: Run,
    found: Mapping[str, StageResult],
    destinations: Sequence[str],
    reconciliation: Mapping[str, Any] | None,
    checks: Sequence[Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """What came out of a run, as far as it came; what was not measured is null."""
    staged = _counts(found, STAGE) or {}
    loads = {name: _counts(found, f"{LOAD}{name}") for name in destinations}
    pushed = next((one.pop(PUSHED) for one in loads.values() if one and one.get(PUSHED)), None)
    read = pushed or staged
    sources = source_counts(staged, loads) if FUSED in staged else read.get("sources", {})
    return {
        "pipeline": run.pipeline,
        "run_id": run.run_id,
        "state": run.state,
        "params": run.params,
        "sources": sources,
        "steps": read.get("steps", {}),
        "pushed_down": True if pushed is not None else False if NOT_PUSHED in staged else None,
        "not_pushed_down": staged.get(NOT_PUSHED),
        "destinations": {name: counts for name, counts in loads.items() if counts is not None},
        "reconciliation": reconciliation,
        "checks": checks,
        "warnings": staged.get("warnings", []),
        "lineage_kept_out": sum(_kept_out(stage) for stage in found.values()),
        "timings": {name: _seconds(stage) for name, stage in found.items() if stage.ended and not stage.is_part},
        "seconds": None,
    }


def note_kept_out(document: dict[str, Any], lineage: Mapping[str, Any] | None) -> None:
    """Add what a stage that has not ended yet could not write of its lineage."""
    document["lineage_kept_out"] += (lineage or {}).get("kept_out", 0)


def _kept_out(stage: StageResult) -> int:
    return int(((stage.measures or {}).get("lineage") or {}).get("kept_out", 0))


def _counts(found: Mapping[str, StageResult], name: str) -> dict[str, Any] | None:
    stage = found.get(name)
    return dict(stage.counts) if stage is not None and stage.counts and stage.state == "success" else None


def _seconds(stage: StageResult) -> float | None:
    return round((stage.ended - stage.started).total_seconds(), 3) if stage.ended else None
