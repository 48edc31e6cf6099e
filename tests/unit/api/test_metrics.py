"""What one scrape holds is bounded, however many pipelines there are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from data_workbench.api.services import metrics
from data_workbench.api.services.metrics import Snapshot, _Collected
from data_workbench.metastore.overview import RunSummary
from data_workbench.metastore.totals import Totals

NOW = datetime(2026, 11, 26, tzinfo=UTC)


def test_beyond_the_latest_thousand_pipelines_are_counted_only() -> None:
    count = metrics.MOST_PIPELINES + 7
    latest = [
        RunSummary(f"r{n}", f"p{n:04}", "success", "cli", NOW + timedelta(minutes=n), NOW, 1, 1, 0, None)
        for n in range(count)
    ]
    totals = [Totals(one.pipeline, "success", 1, 2.0, 1, 1, 0, 0, NOW) for one in latest]
    found = {one.name: one.samples for one in _Collected(Snapshot(totals, latest, {}, [], {}, {}, {})).collect()}
    [left] = found["workbench_pipelines_left_out"]
    assert left.value == 7
    told = {sample.labels["pipeline"] for sample in found["workbench_runs"]}
    assert len(told) == metrics.MOST_PIPELINES
    assert "p0000" not in told, "the oldest are left out"
    for samples in found.values():
        assert len({sample.labels.get("pipeline") for sample in samples}) <= metrics.MOST_PIPELINES
