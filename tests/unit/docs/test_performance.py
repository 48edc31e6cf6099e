"""The page of figures says what was measured, and how a figure that is missing is told."""

from __future__ import annotations

import json
from pathlib import Path

from tests.bench import performance, report
from tests.bench.figures import Figure


def test_the_tables_are_those_of_the_results() -> None:
    figures = json.loads(performance.RESULTS.read_text(encoding="utf-8"))["figures"]
    page = performance.PAGE.read_text(encoding="utf-8")
    made = page.partition(performance.BEGIN)[2].partition(performance.END)[0].strip()
    assert made == performance.tables(figures), "make bench-page writes it"


def test_a_peer_that_is_not_there_is_told_as_such() -> None:
    missing = Figure("parquet_adbc", "  beside ADBC", None, 1.0, details={"peer": "ADBC", "missing": "no such module"})
    [told] = report.document([missing], rows=5, rounds=1)["figures"]
    assert told["met"] is None
    page = performance.tables([told])
    assert "| beside ADBC (no such module) | ≥ 1 | not available | – |" in page


def test_figures_of_one_run_take_the_place_of_their_older_ones(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    for measured, rows in ((0.5, 10), (0.7, 20)):
        figures = [Figure("csv", "CSV", measured, 0.8), Figure(f"only_{rows}", "of one run", 1)]
        report.keep(path, report.document(figures, rows=rows, rounds=1))
    kept = {one["name"]: one for one in json.loads(path.read_text())["figures"]}
    assert list(kept) == ["csv", "only_10", "only_20"]
    assert (kept["csv"]["measured"], kept["csv"]["run"]["rows"]) == (0.7, 20)
    assert kept["only_10"]["run"]["rows"] == 10
