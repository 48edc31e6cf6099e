"""Runs that ended long ago go, but those that somebody needs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import text

from data_workbench.metastore import Metastore, quarantine, run_retention, runs

NOW = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)


def request(run_id: str, pipeline: str = "requirements", **more: Any) -> runs.RunRequest:
    return runs.RunRequest(run_id=run_id, pipeline=pipeline, now=NOW, definition_hash="abc", **more)


def test_old_runs_expire_but_the_last_of_each_pipeline(store: Metastore) -> None:
    for number in range(3):
        runs.begin(store, request(f"r{number}"))
        runs.publish(store, f"r{number}", destinations=[], result={})
    runs.begin(store, request("r9"))
    later = datetime.now(UTC) + timedelta(days=1)
    assert set(run_retention.finished_before(store, later)) == {("requirements", f"r{number}") for number in range(3)}
    assert run_retention.finished_before(store, NOW - timedelta(days=999)) == {}
    assert run_retention.expire(store, later) == 2, "the last that succeeded stays"
    assert [run.run_id for run in runs.list_runs(store, pipeline="requirements")] == ["r9", "r2"]
    runs.finish(store, "r9", state="success")
    assert run_retention.expire(store, later) == 1
    assert runs.list_runs(store, state="running") == []


def test_old_runs_that_somebody_needs_stay(store: Metastore) -> None:
    for run_id, state in (("r1", "success"), ("r2", "success"), ("r3", "failed"), ("r4", "failed")):
        runs.begin(store, request(run_id))
        runs.finish(store, run_id, state=state)  # type: ignore[arg-type]
    runs.begin(store, request("p1", scope="2026-01-01"))
    runs.finish(store, "p1", state="failed")
    runs.begin(store, request("p2", scope="2026-01-02"))
    runs.finish(store, "p2", state="abandoned")
    runs.begin(store, request("q1", pipeline="other"))
    held = quarantine.Rejected(node="a", rules=["min"], reason="too small", row={"a": 1}, ordinal=1, key={"a": 1})
    quarantine.add(store, "other", "q1", [held])
    for run_id in ("q1", "q2"):
        runs.begin(store, request(run_id, pipeline="other"))
        runs.finish(store, run_id, state="success")
    later = datetime.now(UTC) + timedelta(days=1)
    assert run_retention.expire(store, datetime.now(UTC) - timedelta(days=1)) == 0
    assert run_retention.expire(store, later) == 2
    kept = {run.run_id for run in runs.list_runs(store)}
    # The last success, what may be gone on with (per scope), the last of all, and what holds an open record.
    assert kept == {"r2", "r4", "p1", "p2", "q1", "q2"}
    with store.transaction() as connection:
        connection.execute(text("UPDATE quarantine SET state = 'discarded'"))
    assert run_retention.expire(store, later) == 1
    assert "q1" not in {run.run_id for run in runs.list_runs(store)}
