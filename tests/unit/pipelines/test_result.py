"""The public document of a run, as far as it came, and the options kept with it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_workbench.metastore.runs import Run
from data_workbench.metastore.stages import StageResult
from data_workbench.pipelines.fused import FUSED
from data_workbench.pipelines.options import RunOptions
from data_workbench.pipelines.result import run_document

START = datetime(2026, 11, 23, 12, tzinfo=UTC)
STAGED = {"sources": {"rows": {"read": 3}}, "steps": {"a": {"in": 3}}, "warnings": []}


def stage(name: str, counts: dict[str, Any] | None, state: Any = "success", seconds: float | None = 2) -> StageResult:
    ended = None if seconds is None else START + timedelta(seconds=seconds)
    return StageResult(name, state, 1, counts, None, START, ended)


def run(**changed: Any) -> Run:
    fields = dict.fromkeys(Run.__dataclass_fields__)
    values = {"run_id": "r", "pipeline": "p", "state": "running", "params": {"x": 1}, "started": START}
    return Run(**{**fields, **values, **changed})


def test_a_finished_run_tells_every_stage() -> None:
    found = {
        "stage": stage("stage", STAGED),
        "load.out": stage("load.out", {"inserted": 3}),
        "load.out.0": stage("load.out.0", {"parts": 1}),
        "reconcile": stage("reconcile", {"clean": True}, seconds=0.5),
    }
    document = run_document(run(state="success"), found, ["out"], {"clean": True})
    assert (document["sources"], document["steps"]) == (STAGED["sources"], STAGED["steps"])
    assert document["destinations"] == {"out": {"inserted": 3}}
    assert document["timings"] == {"stage": 2, "load.out": 2, "reconcile": 0.5}
    assert document["reconciliation"] == {"clean": True}


def test_what_a_run_did_not_come_to_is_left_out_and_never_zero() -> None:
    assert run_document(run(), {}, ["out"], None)["destinations"] == {}
    found = {"stage": stage("stage", STAGED), "load.out": stage("load.out", {}, "failed")}
    document = run_document(run(state="failed"), found, ["out", "other"], None)
    assert document["destinations"] == {}
    assert document["reconciliation"] is None
    unfinished = run_document(run(), {"stage": stage("stage", None, "running", None)}, ["out"], None)
    assert (unfinished["sources"], unfinished["steps"], unfinished["timings"]) == ({}, {}, {})


def test_a_streamed_source_is_counted_once_its_load_has_ended() -> None:
    staged = {**STAGED, FUSED: "rows", "sources": {}}
    found = {"stage": stage("stage", staged)}
    assert run_document(run(), found, ["out"], None)["sources"] == {}
    found["load.out"] = stage("load.out", {"out": 7, "inserted": 7})
    counts = run_document(run(), found, ["out"], None)["sources"]["rows"]
    assert (counts["read"], counts["out"], counts["quarantined"]) == (7, 7, 0)


OPTIONS = st.builds(
    RunOptions,
    full_refresh=st.booleans(),
    reset_state=st.booleans(),
    limit=st.none() | st.integers(1),
    dry_run=st.booleans(),
    allow=st.sampled_from([(), ("model",), ("key", "replace"), ("all",)]),
    only_keys=st.dictionaries(
        st.text(max_size=3), st.lists(st.dictionaries(st.text(max_size=3), st.integers())), max_size=2
    ),
)


@given(OPTIONS)
def test_options_are_the_same_after_a_trip_through_the_metastore(options: RunOptions) -> None:
    assert RunOptions.from_json(json.loads(json.dumps(options.to_json()))) == options


@pytest.mark.parametrize(
    ("options", "moves"),
    [
        (RunOptions(), True),
        (RunOptions(full_refresh=True, reset_state=True), True),
        (RunOptions(limit=1), False),
        (RunOptions(dry_run=True), False),
        (RunOptions(only_keys={"rows": [{"id": 1}]}), False),
    ],
)
def test_only_a_whole_run_moves_the_cursors(options: RunOptions, moves: bool) -> None:
    assert options.moves_state is moves
