"""What is measured of each stage, kept with it when it ends: rows, bytes, memory, lag behind the sources.

    rows_in       read from the sources; handed to a destination
    rows_out      staged for destinations; inserted, updated and deleted in the store
    bytes_in      the same rows as Arrow holds them
    bytes_out     of the staged files
    filtered      rows that steps left out
    quarantined   rows set aside; of a load, those that its store refused
    peak_memory   the most the process held, in bytes
    lag           of a source with a cursor of times: seconds from the position before to the newest row that was read

What was not measured is null: bytes of a stage that went on where a killed one stopped, the lag of a first read.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from data_workbench.metastore.stages import MEASURES
from data_workbench.pipelines.direct import is_direct
from data_workbench.pipelines.pulse import Pulse, peak_memory

if TYPE_CHECKING:
    from data_workbench.artifacts import ArtifactStore, Manifest
    from data_workbench.pipelines.plan import RunPlan
    from data_workbench.pipelines.staging import Stage


def of_process(**known: Any) -> dict[str, Any]:
    """Measures of which these are known."""
    return {**dict.fromkeys(MEASURES), "peak_memory": peak_memory(), **known}


def of_failed(pulse: Pulse) -> dict[str, Any]:
    """Of a stage that came no further than this."""
    return of_process(rows_in=pulse.rows, bytes_in=pulse.bytes)


def of_stage(plan: RunPlan, pulse: Pulse, counts: Mapping[str, Any], staging: Stage) -> dict[str, Any]:
    """Of the stage that reads, transforms and validates."""
    if is_direct(counts):  # its load reads
        return of_process()
    sources, steps = counts["sources"], counts["steps"]
    outputs = {target.input for one in plan.destinations.values() for target in one.targets}
    tallies = [*sources.values(), *steps.values()]
    return of_process(
        rows_in=sum(one["read"] for one in sources.values()),
        rows_out=sum({**sources, **steps}[name]["out"] for name in outputs),
        bytes_in=pulse.bytes if pulse.begun >= set(plan.sources) else None,
        bytes_out=sum(staging.inputs(name).manifest.bytes for name in outputs),
        filtered=sum(one["filtered"] for one in steps.values()),
        quarantined=sum(one["quarantined"] for one in tallies),
        lag=_lag(plan, staging),
    )


def of_range(pulse: Pulse, landed: Manifest) -> dict[str, Any]:
    """Of one range of a source."""
    was_read = bool(pulse.begun)  # and not landed by a process that died before it could say so
    return of_process(
        rows_in=landed.rows,
        rows_out=landed.rows,
        bytes_in=pulse.bytes if was_read else None,
        bytes_out=landed.bytes,
    )


def of_load(pulse: Pulse, counts: Mapping[str, Any]) -> dict[str, Any]:
    """Of the load of one destination."""
    related = counts.get("relationships") or {}
    written = [one.get(name, 0) for one in (counts, related) for name in ("inserted", "updated", "deleted")]
    is_whole = pulse.attempt == 1 and (pulse.bytes or not counts["out"])
    return of_process(
        rows_in=counts["out"],
        rows_out=sum(written),
        bytes_in=pulse.bytes if is_whole else None,
        quarantined=counts["rejected"] + related.get("rejected", 0),
    )


def _lag(plan: RunPlan, staging: Stage) -> float | None:
    """The largest of the sources that have one."""
    lags = []
    for name, source in plan.sources.items():
        before, landed = staging.base.get(name), _landed(staging.artifacts, plan, staging.context.run_id, name)
        if source.cursor is None or before is None:
            continue
        reached, stood = moment(landed.get("watermark")), moment(before.state["position"].get("watermark"))
        if reached is not None and stood is not None:
            lags.append(max(0.0, (reached - stood).total_seconds()))
    return max(lags, default=None)


def _landed(artifacts: ArtifactStore, plan: RunPlan, run_id: str, name: str) -> Mapping[str, Any]:
    found = artifacts.find(plan.pipeline, run_id, f"source.{name}")
    return (found.extra.get("position") if found else None) or {}


def moment(watermark: Any) -> datetime | None:
    """A position that is a time; None for numbers and other text."""
    if not isinstance(watermark, str) or not watermark[:4].isdigit() or "-" not in watermark:
        return None
    try:
        found = datetime.fromisoformat(watermark)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
