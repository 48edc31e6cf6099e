"""The pages "Pipelines": all at a glance, one with its runs and its quarantine, one run with its stages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from fastapi import APIRouter, Response

from data_workbench.api.pages.plots import HEIGHT as PLOT_HEIGHT
from data_workbench.api.pages.plots import WIDTH as PLOT_WIDTH
from data_workbench.api.pages.plots import plots
from data_workbench.api.pages.rendering import milliseconds, page, trouble
from data_workbench.api.pages.strips import HEIGHT, WIDTH, Bar, Entry, strip
from data_workbench.api.services import backfills as backfill_service
from data_workbench.api.services import pipelines as service
from data_workbench.errors import WorkbenchError
from data_workbench.metastore.stages import range_number

if TYPE_CHECKING:
    from data_workbench.api.datamodels.pipelines import RunDetailsOut, RunOut, StageOut

SHOWN = 48
"""Runs in a strip."""
RENEWED = 10
"""Seconds: a stuck run is to be seen within a minute (`metastore.liveness`)."""
LISTED = 100
BACKFILLS, CELLS = 3, 400
"""Backfills on a pipeline's page, and partitions of one."""
REJECTED = 50
"""Quarantined rows of a run on its page; the command line lists all."""
COLOURS = {"success": "healthy", "failed": "broken", "stuck": "broken", "running": "degraded", "waiting": "degraded"}
"""A state's class; an abandoned run has none."""


@dataclass(frozen=True)
class Span:
    """One stage on the run's time line, in per cent of the whole."""

    stage: StageOut
    seconds: float | None
    """Until now, if it has not ended."""
    colour: str
    left: float
    width: float


def router() -> APIRouter:
    """Who includes it says who may look."""
    found = APIRouter(prefix="/pages")

    @found.get("/pipelines")
    def pipelines() -> Response:
        return _shown("Pipelines", _overview)

    @found.get("/pipelines/{name}")
    def pipeline(name: str) -> Response:
        return _shown(name, lambda: _pipeline(name))

    @found.get("/runs/{run_id}")
    def run(run_id: str) -> Response:
        return _shown(run_id, lambda: _run(run_id))

    return found


def _shown(title: str, make: Callable[[], Response]) -> Response:
    try:
        return make()
    except WorkbenchError as error:
        return trouble(title, error)


def _overview() -> Response:
    items = service.overview(SHOWN)
    states = [one.latest.state for one, _ in items]
    return page(
        "pipelines.html",
        title="Pipelines",
        pipelines=[(one, bars(latest), quote(one.pipeline, safe="")) for one, latest in items],
        counts={state: states.count(state) for state in ("failed", "stuck", "waiting", "running", "success")},
        colours=COLOURS,
        size=(WIDTH, HEIGHT),
        renewed=RENEWED,
    )


def _pipeline(name: str) -> Response:
    runs, waiting = service.history(name, LISTED)
    return page(
        "pipeline.html",
        title=name,
        place=quote(name, safe=""),
        runs=[(one, quote(one.run_id, safe="")) for one in runs],
        bars=bars(runs[:SHOWN]),
        plots=plots(service.measured(runs[:SHOWN]), COLOURS, SHOWN),
        plot_size=(PLOT_WIDTH, PLOT_HEIGHT),
        waiting=waiting,
        backfills=[(one, *cells(one)) for one in backfill_service.latest(name, BACKFILLS)],
        colours=COLOURS,
        size=(WIDTH, HEIGHT),
        renewed=RENEWED,
    )


def cells(backfill: Mapping[str, Any]) -> tuple[list[tuple[str, str]], int]:
    """A class and words for each of its first partitions, and how many are left out."""
    parts = backfill["partitions"]
    told = []
    for one in parts[:CELLS]:
        trouble = (one["error"] or {}).get("message")
        told.append(
            (COLOURS.get(one["state"], ""), f"{one['key']}: {one['state']}" + (f". {trouble}" if trouble else ""))
        )
    return told, max(0, len(parts) - CELLS)


def _run(run_id: str) -> Response:
    told, rejected = service.details(run_id, rejected=REJECTED)
    document = told.document or {}
    reconciliation = document.get("reconciliation") or {}
    return page(
        "run.html",
        title=run_id,
        told=told,
        spans=spans(told),
        logs=logs(told),
        place=quote(told.run.pipeline, safe=""),
        sources=_table(document.get("sources") or {}),
        steps=_table(document.get("steps") or {}),
        destinations=_table(document.get("destinations") or {}),
        reconciliation=reconciliation,
        compared=_table(reconciliation.get("destinations") or {}),
        rejected=rejected,
        colours=COLOURS,
        renewed=RENEWED,
    )


def bars(runs: Sequence[RunOut]) -> list[Bar]:
    """Runs given newest first, as high as they took long; one under way over the whole height."""
    return strip([_entry(one) for one in reversed(runs)], SHOWN)


def _entry(one: RunOut) -> Entry:
    rows = "" if one.read is None else f", {one.read:,} rows read"
    title = f"{one.started:%Y-%m-%d %H:%M} UTC: {one.state}, {milliseconds(one.seconds)}{rows}. {one.trouble or ''}"
    return Entry(one.seconds if one.ended else None, COLOURS.get(one.state, ""), title)


def spans(told: RunDetailsOut) -> list[Span]:
    """The stages of a run on its time line; loads lie beside each other."""
    now = datetime.now(UTC)
    begin = min((one.started for one in told.stages), default=told.run.started)
    took = [_seconds(one, now) for one in told.stages]
    ends = [
        (one.started - begin).total_seconds() + (seconds or 0.0) for one, seconds in zip(told.stages, took, strict=True)
    ]
    whole = max(ends, default=0.0) or 1.0
    made = []
    for one, seconds in zip(told.stages, took, strict=True):
        left, width = (one.started - begin).total_seconds() / whole, (seconds or 0.0) / whole
        shown = max(0.5, min(100 * width, 100.0))
        made.append(Span(one, seconds, COLOURS.get(one.state, ""), round(min(100 * left, 99.5), 2), round(shown, 2)))
    return made


def logs(told: RunDetailsOut) -> dict[str, str]:
    """Where Airflow shows the log of each stage, from the run's page; none for a run that is not a DAG run's."""
    dag_run = told.run.run_id.removeprefix(f"{told.run.pipeline}__")
    if told.run.orchestrator != "airflow" or dag_run == told.run.run_id:
        return {}
    dag = quote(f"pipeline__{told.run.pipeline}", safe="")
    tasks = f"../../../dags/{dag}/runs/{quote(dag_run, safe='')}/tasks"
    return {one.stage: f"{tasks}/{_task(one.stage)}" for one in told.stages}


def _task(stage: str) -> str:
    """A stage's task in Airflow's addresses."""
    number = range_number(stage)
    return quote(stage, safe="") if number is None else f"stage_range/mapped/{number}"


def _seconds(one: StageOut, now: datetime) -> float | None:
    return (now - one.started).total_seconds() if one.state == "running" else one.seconds


def _table(found: dict[str, Any]) -> tuple[list[str], dict[str, dict[str, Any]]]:
    """Names of the numbers that are there, and the rows; what is nested is told as its parts."""
    rows = {name: _flat(counts) for name, counts in found.items()}
    names = dict.fromkeys(name for row in rows.values() for name in row)
    return list(names), rows


def _flat(counts: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in counts.items():
        if isinstance(value, dict):
            flat |= {f"{name}: {part}": number for part, number in value.items()}
        elif value is not None:
            flat[name] = value
    return flat
