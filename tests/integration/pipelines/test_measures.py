"""What is measured of stages, and what others see of a run while it works, waits for an answer, or is killed."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from data_workbench.metastore import liveness, runs, stages
from data_workbench.pipelines.upkeep import Upkeep

if TYPE_CHECKING:
    from tests.integration.pipelines.conftest import Site

TEXT = """
version: 1
pipeline: measured
sources:
  rows: {connection: pg, stream: public.rows, key: [id], cursor: {column: seen}}
steps:
  - {name: some, filter: "id % 10 <> 0"}
contract: {some: {columns: {name: {pattern: "^row"}}, on_invalid: quarantine}}
destinations: {there: {connection: pg, table: public.rows_copy, key: id}}
"""


@pytest.fixture
def rows(site: Site) -> None:
    site.sql("CREATE TABLE rows (id int PRIMARY KEY, name text, seen timestamptz)")
    site.sql(
        "INSERT INTO rows SELECT n, CASE WHEN n > 995 THEN 'no' ELSE 'row ' || n END,"
        " timestamptz '2026-11-01 00:00Z' + n * interval '1 second' FROM generate_series(1, 1000) n"
    )


QUICK = (
    "from functools import partial\n"
    "from data_workbench.pipelines import noting, pulse\n"
    "noting.beating = partial(pulse.beating, every=1.0)\n"
    "from data_workbench.cli import main; main()"
)
"""The command with a sign of life every second, in a process of its own: what a test computes is no movement of it."""


def measured(site: Site, run_id: str) -> dict[str, dict[str, Any]]:
    return {name: one.as_dict() for name, one in stages.stage_results(site.metastore, run_id).items()}


def until(found: Callable[[], Any], what: str) -> Any:
    """Wait for something that will come; what it is."""
    for _ in range(1200):
        if answer := found():
            return answer
        time.sleep(0.05)
    raise AssertionError(f"{what} did not come in a minute")


def test_each_stage_tells_rows_bytes_memory_and_how_far_behind_it_was(site: Site, rows: None) -> None:
    first = site.run(TEXT)
    found = measured(site, first["run_id"])
    staged, loaded, compared = found["stage"], found["load.there"], found["reconcile"]
    counts = ("rows_in", "rows_out", "filtered", "quarantined", "retries")
    assert [staged[name] for name in counts] == [1000, 896, 100, 4, 0]
    assert [loaded[name] for name in counts] == [896, 896, None, 0, 0]
    assert staged["bytes_in"] > 1000 * 12
    assert 0 < staged["bytes_out"] < staged["bytes_in"]
    assert loaded["bytes_in"] > 896 * 12
    assert staged["lag"] is None, "the first read has nothing to be behind of"
    for one in (staged, loaded, compared):
        assert one["peak_memory"] > 20_000_000
        assert one["seconds"] > 0
    assert staged["rows_per_second"] == pytest.approx(1000 / staged["seconds"], rel=0.01)
    assert compared["rows_in"] is None

    site.sql("INSERT INTO rows VALUES (1001, 'row', '2026-11-01 01:00Z')")
    second = measured(site, site.run(TEXT)["run_id"])["stage"]
    assert second["lag"] == 3600 - 1000
    [row] = Upkeep(site.runner()).list_runs("measured", 1)
    assert [one["stage"] for one in row["stages"]] == ["stage", "load.there", "reconcile"]
    assert (row["waiting"], row["stuck"]) == (None, None)


def test_a_stage_that_failed_tells_how_far_it_came(site: Site, rows: None) -> None:
    text = TEXT.replace("on_invalid: quarantine", "on_invalid: fail")
    document, error = site.try_run(text)
    assert error is not None
    failed = measured(site, document["run_id"])["stage"]
    assert (failed["state"], failed["rows_in"], failed["rows_out"]) == ("failed", 1000, None)
    assert failed["trouble"]


def test_others_see_a_run_advance_and_that_it_hangs(site: Site, rows: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock on the destination's table holds the load up; what is seen comes from the metastore alone."""
    monkeypatch.setattr(liveness, "STUCK_SECONDS", 3.0)
    site.run(TEXT)
    site.sql("UPDATE rows SET name = 'row again', seen = seen + interval '1 day'")
    with psycopg.connect(site.dsn) as other:
        other.execute("LOCK TABLE rows_copy IN ACCESS EXCLUSIVE MODE")
        process = _started(site, QUICK)
        row = until(lambda: _stuck(site, "nothing has moved for"), "the alarm")
        assert row["state"] == "running"
        [under_way] = [one for one in row["stages"] if one["state"] == "running"]
        assert set(under_way["progress"]) == {"phase", "rows", "expected", "bytes"}
        shown = _shown([row])
        assert "stuck: nothing has moved" in shown.replace("\n", " ")
        assert under_way["stage"] in shown
    assert process.wait() == 0
    assert liveness.stalls(site.metastore, [row["run_id"]]) == {}
    assert runs.get(site.metastore, row["run_id"]).state == "success"


def test_a_killed_run_is_seen_at_once(site: Site, rows: None) -> None:
    site.run(TEXT)
    with psycopg.connect(site.dsn) as other:
        other.execute("LOCK TABLE rows_copy IN ACCESS EXCLUSIVE MODE")
        command = [sys.executable, "-c", "from data_workbench.cli import main; main()", "run", site.file(TEXT)]
        process = subprocess.Popen(
            command, env=site.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            run_id = until(lambda: _begun(site), "a stage")
            assert liveness.stalls(site.metastore, [run_id]) == {}
        finally:
            process.kill()
            process.wait()
        stall = until(lambda: liveness.stalls(site.metastore, [run_id]).get(run_id), "the alarm")
        assert "its process is gone" in stall.reason
    code, told, _ = site.command("runs", "measured")
    assert code == 0
    assert told["runs"][0]["stuck"] == stall.reason
    document = site.run(TEXT)
    assert document["run_id"] == run_id, "the run goes on"


def test_a_bar_tells_how_much_of_what_is_expected_has_come() -> None:
    from datetime import UTC, datetime

    progress = {"phase": "reading [rows]", "rows": 250, "expected": 1000, "bytes": 1}
    stage = dict.fromkeys(("rows_in", "peak_memory", "quarantined", "rows_per_second"))
    stage |= {"stage": "stage", "state": "running", "started": datetime.now(UTC), "retries": 2, "progress": progress}
    run = dict.fromkeys(("result", "stuck", "waiting", "seconds"))
    run |= {"run_id": "r1", "pipeline": "p", "state": "running", "orchestrator": "cli", "started": datetime.now(UTC)}
    shown = _shown([{**run, "stages": [stage]}])
    assert "250 of about 1,000 rows" in shown
    assert "reading [rows]" in shown
    assert "\N{BOX DRAWINGS HEAVY HORIZONTAL}" in shown
    assert "250 rows" in _shown([{**run, "stages": [{**stage, "progress": {**progress, "expected": None}}]}])


def _started(site: Site, program: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", program, "run", site.file(TEXT)]
    nowhere: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, env=site.environment(), **nowhere)


def _begun(site: Site) -> str | None:
    run = runs.find_unfinished(site.metastore, "measured")
    return run.run_id if run and stages.stage_results(site.metastore, run.run_id) else None


def _stuck(site: Site, words: str) -> dict[str, Any] | None:
    """The latest run, once it is stuck for this reason; on a busy machine it may be silent for a moment before."""
    [row] = Upkeep(site.runner()).list_runs("measured", 1)
    return row if words in (row["stuck"] or "") else None


def _shown(rows: list[dict[str, Any]]) -> str:
    from rich.console import Console

    from data_workbench.cli import run_list

    console = Console(width=220, highlight=False)
    with console.capture() as captured:
        console.print(run_list._shown(rows))
    return captured.get()
