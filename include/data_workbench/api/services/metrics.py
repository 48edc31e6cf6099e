"""The numbers of the metastore as Prometheus takes them, asked anew for each scrape.

Nothing is counted in this process, so it does not matter which of several API servers is asked, or when it started.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Final, get_args

from data_workbench.api.services import backup_metrics
from data_workbench.api.services.backups import observation
from data_workbench.api.services.metastore import metastore
from data_workbench.metastore import backups, connection_checks, liveness, overview, runs, stages, totals
from data_workbench.metastore.connection_checks import ConnectionState
from data_workbench.metastore.runs import Run, RunState

if TYPE_CHECKING:
    from datetime import datetime

    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import GaugeMetricFamily, Metric

    from data_workbench.backup.judging import Observation
    from data_workbench.metastore.liveness import Stall
    from data_workbench.metastore.overview import RunSummary
    from data_workbench.metastore.stages import StageResult
    from data_workbench.metastore.totals import Totals

MOST_PIPELINES: Final = 1_000
"""Told one by one, those that ended a run last; how many are left out is told, too."""
MOST_RUNNING: Final = 10_000
ACTIVE: Final = ("running", "waiting", "stuck")
_ENDED: Final = tuple(state for state in get_args(RunState) if state != "running")
_CONNECTION: Final = ("healthy", "degraded", "broken")


@dataclass(frozen=True)
class Snapshot:
    """What one scrape tells of."""

    totals: list[Totals]
    latest: list[RunSummary]
    stages: dict[str, list[StageResult]]
    running: list[Run]
    stalls: dict[str, Stall]
    waiting: dict[str, int]
    connections: dict[str, ConnectionState]
    backups: Observation | None = None
    backup_troubles: frozenset[str] = frozenset()


def registry() -> CollectorRegistry:
    """A registry that holds what the metastore says now. Raises WorkbenchError if it says nothing."""
    from prometheus_client import CollectorRegistry

    found = CollectorRegistry(auto_describe=False)
    found.register(_Collected(_snapshot()))
    return found


def _snapshot() -> Snapshot:
    with metastore() as store:
        latest = overview.latest_runs(store, count=1)
        running = runs.list_runs(store, state="running", limit=MOST_RUNNING)
        looked = backups.latest_state(store)
        return Snapshot(
            totals=totals.totals(store),
            latest=latest,
            stages=stages.of_runs(store, [one.run_id for one in latest]),
            running=running,
            stalls=liveness.stalls(store, [one.run_id for one in running]),
            waiting=overview.open_rows(store),
            connections=connection_checks.states(store),
            backups=observation(looked),
            backup_troubles=frozenset(one["cause"] for one in looked.state["troubles"]) if looked else frozenset(),
        )


class _Collected:
    """A collector in Prometheus's terms."""

    def __init__(self, found: Snapshot) -> None:
        self._found = found

    def collect(self) -> Iterator[Metric]:
        """Every family, the empty ones too: a dashboard finds them before the first run."""
        told = _gauge("workbench_info", "The version of the workbench.", "version")
        told.add_metric([version("odras-data-workbench")], 1)
        yield told
        kept = _kept(self._found)
        left = _gauge("workbench_pipelines_left_out", "Pipelines beyond those that are told one by one.")
        left.add_metric([], len({one.pipeline for one in self._found.latest} - kept))
        yield left
        yield from _counters([one for one in self._found.totals if one.pipeline in kept])
        latest = [one for one in self._found.latest if one.pipeline in kept]
        yield from _moments(self._found.totals, latest, kept)
        yield from _latest(latest, self._found.stages)
        yield _active(latest, self._found.running, self._found.stalls)
        held = _gauge("workbench_quarantine_rows", "Rows that wait in the quarantine.", "pipeline")
        for one in latest:
            held.add_metric([one.pipeline], self._found.waiting.get(one.pipeline, 0))
        yield held
        yield from _connections(self._found.connections.values())
        yield from backup_metrics.families(self._found.backups, self._found.backup_troubles)


def _kept(found: Snapshot) -> set[str]:
    ordered = sorted(found.latest, key=lambda one: one.started, reverse=True)
    return {one.pipeline for one in ordered[:MOST_PIPELINES]}


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    from prometheus_client.metrics_core import GaugeMetricFamily

    return GaugeMetricFamily(name, text, labels=labels)


def _counters(found: Iterable[Totals]) -> Iterator[Metric]:
    from prometheus_client.metrics_core import CounterMetricFamily

    families = {
        "runs": CounterMetricFamily("workbench_runs", "Runs that ended.", labels=["pipeline", "state"]),
        "seconds": CounterMetricFamily(
            "workbench_run_duration_seconds", "Time that ended runs took.", labels=["pipeline", "state"]
        ),
        "read": CounterMetricFamily("workbench_rows_read", "Rows read from sources.", labels=["pipeline"]),
        "written": CounterMetricFamily(
            "workbench_rows_written", "Rows, nodes and points inserted, updated and deleted.", labels=["pipeline"]
        ),
        "quarantined": CounterMetricFamily("workbench_rows_quarantined", "Rows set aside.", labels=["pipeline"]),
        "retries": CounterMetricFamily("workbench_stage_retries", "Stages begun again.", labels=["pipeline"]),
    }
    by_pipeline: dict[str, list[Totals]] = {}
    for one in found:
        by_pipeline.setdefault(one.pipeline, []).append(one)
    for pipeline, ended in by_pipeline.items():
        states = {one.state: one for one in ended}
        for state in _ENDED:
            known = states.get(state)
            families["runs"].add_metric([pipeline, state], known.runs if known else 0)
            families["seconds"].add_metric([pipeline, state], known.seconds if known else 0)
        for name in ("read", "written", "quarantined", "retries"):
            families[name].add_metric([pipeline], sum(getattr(one, name) for one in ended))
    yield from families.values()


def _moments(ended: Iterable[Totals], latest: Iterable[RunSummary], kept: set[str]) -> Iterator[Metric]:
    success = _gauge("workbench_last_success_timestamp_seconds", "When the last successful run ended.", "pipeline")
    for one in ended:
        if one.state == "success" and one.pipeline in kept:
            success.add_metric([one.pipeline], _epoch(one.latest))
    began = _gauge("workbench_last_run_timestamp_seconds", "When the last run began.", "pipeline")
    for run in latest:
        began.add_metric([run.pipeline], _epoch(run.started))
    yield from (success, began)


def _latest(latest: Iterable[RunSummary], begun: dict[str, list[StageResult]]) -> Iterator[Metric]:
    """Of the last run of each pipeline, once it has ended; what was not measured is left out, never 0."""
    well = _gauge("workbench_last_run_success", "Whether the last run succeeded.", "pipeline")
    took = _gauge("workbench_last_run_duration_seconds", "How long the last run took.", "pipeline")
    lag = _gauge("workbench_lag_seconds", "How far behind its sources the pipeline was at its last run.", "pipeline")
    memory = _gauge("workbench_last_run_peak_memory_bytes", "The most memory a stage's process held.", "pipeline")
    for run in latest:
        if run.seconds is None:
            continue
        well.add_metric([run.pipeline], float(run.state == "success"))
        took.add_metric([run.pipeline], run.seconds)
        for family, name in ((lag, "lag"), (memory, "peak_memory")):
            known = [one.measures[name] for one in begun.get(run.run_id, ()) if one.measures and one.measures.get(name)]
            if known:
                family.add_metric([run.pipeline], max(known))
    yield from (well, took, lag, memory)


def _active(latest: Iterable[RunSummary], running: Iterable[Run], stalls: dict[str, Stall]) -> Metric:
    family = _gauge("workbench_runs_active", "Runs under way, by how they are.", "pipeline", "state")
    found: Counter[tuple[str, str]] = Counter()
    for run in running:
        stall = stalls.get(run.run_id)
        found[run.pipeline, stall.state if stall else "running"] += 1
    for one in latest:
        for name in ACTIVE:
            family.add_metric([one.pipeline, name], found[one.pipeline, name])
    return family


def _connections(found: Iterable[ConnectionState]) -> Iterator[Metric]:
    states = _gauge("workbench_connection_state", "How a connection is.", "connection", "state")
    checked = _gauge("workbench_connection_checked_timestamp_seconds", "When it was checked last.", "connection")
    for one in sorted(found, key=lambda one: one.connection):
        for name in _CONNECTION:
            states.add_metric([one.connection, name], float(one.state == name))
        checked.add_metric([one.connection], _epoch(one.checked))
    yield from (states, checked)


def _epoch(moment: datetime) -> float:
    return moment.timestamp()
