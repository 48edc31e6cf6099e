"""A run begins once, goes on after a crash, and moves its sources forward in one transaction with its end."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text

from data_workbench.errors import RunConflict, StateError
from data_workbench.metastore import Metastore, hold_run, liveness, pipelines, quarantine, runs, stages, states
from data_workbench.metastore.liveness import Stall

NOW = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)


def request(run_id: str = "r1", pipeline: str = "requirements", **changes: Any) -> runs.RunRequest:
    values: dict[str, Any] = {"now": NOW, "definition_hash": "abc", "params": {"project_id": None}, **changes}
    return runs.RunRequest(run_id=run_id, pipeline=pipeline, **values)


def test_a_run_keeps_what_it_was_asked(store: Metastore) -> None:
    begun = runs.begin(store, request(options={"limit": 5, "ratio": math.nan, "cost": Decimal("1.50")}))
    assert begun == runs.get(store, "r1")
    assert begun.state == "running"
    assert begun.now == NOW
    assert begun.options == {"limit": 5, "ratio": "NaN", "cost": "1.50"}
    assert begun.params == {"project_id": None}


def test_beginning_again_takes_up_the_stored_run(store: Metastore) -> None:
    runs.begin(store, request())
    again = runs.begin(store, request(now=NOW + timedelta(hours=1), params={}))
    assert again.now == NOW
    assert again.params == {"project_id": None}
    assert runs.find_unfinished(store, "requirements") == again
    assert runs.find_unfinished(store, "other") is None


def test_a_pipeline_has_one_unfinished_run(store: Metastore) -> None:
    runs.begin(store, request())
    with pytest.raises(RunConflict, match="run r1 of pipeline 'requirements' is not finished") as caught:
        runs.begin(store, request("r2"))
    assert caught.value.run_id == "r1"
    runs.begin(store, request("r3", pipeline="other"))
    runs.finish(store, "r1", state="abandoned")
    assert runs.begin(store, request("r2")).state == "running"


def test_a_run_id_belongs_to_one_pipeline(store: Metastore) -> None:
    runs.begin(store, request())
    runs.finish(store, "r1", state="failed")
    with pytest.raises(RunConflict, match="belongs to pipeline 'requirements'"):
        runs.begin(store, request("r1", pipeline="other"))


def test_a_failed_run_can_be_opened_again_a_successful_one_stays(store: Metastore) -> None:
    runs.begin(store, request())
    failed = runs.finish(store, "r1", state="failed", error={"message": "no"})
    assert failed.ended is not None
    assert failed.error == {"message": "no"}
    again = runs.begin(store, request())
    assert (again.state, again.ended, again.error) == ("running", None, None)
    runs.publish(store, "r1", destinations=[], result={"rows": 1})
    assert runs.begin(store, request()).state == "success"


def test_the_first_plan_counts(store: Metastore) -> None:
    runs.begin(store, request())
    assert runs.load_plan(store, "r1") is None
    runs.save_plan(store, "r1", {"steps": ["a"]})
    runs.save_plan(store, "r1", {"steps": ["b"]})
    assert runs.load_plan(store, "r1") == {"steps": ["a"]}
    with pytest.raises(StateError, match="no run 'r9'"):
        runs.load_plan(store, "r9")
    with pytest.raises(StateError, match="no run 'r9'"):
        runs.save_plan(store, "r9", {})


def test_stages_keep_attempts_and_counts(store: Metastore) -> None:
    runs.begin(store, request())
    assert stages.start_stage(store, "r1", "stage") == 1
    stages.finish_stage(store, "r1", "stage", state="failed", error={"kind": "StoreUnavailable"})
    assert stages.start_stage(store, "r1", "stage") == 2
    stages.finish_stage(store, "r1", "stage", counts={"read": 3})
    stages.start_stage(store, "r1", "load.graph")
    results = stages.stage_results(store, "r1")
    assert list(results) == ["stage", "load.graph"]
    assert (results["stage"].state, results["stage"].attempt, results["stage"].counts) == ("success", 2, {"read": 3})
    assert results["stage"].error is None
    assert results["load.graph"].ended is None
    with pytest.raises(StateError, match="never started"):
        stages.finish_stage(store, "r1", "reconcile")


def test_sources_move_forward_only_when_all_destinations_confirmed(store: Metastore) -> None:
    runs.begin(store, request())
    scope = states.scope_of({"project_id": "p1"})
    states.stage(store, "r1", "requirements", scope, state={"watermark": "1"})
    states.stage(store, "r1", "requirements", scope, state={"watermark": "2"}, overlap=b"\x00seen")
    runs.confirm(store, "r1", "graph", {"inserted": 1})
    with pytest.raises(StateError, match="vectors has not confirmed"):
        runs.publish(store, "r1", destinations=["graph", "vectors"], result={})
    assert states.read(store, "requirements", "requirements", scope) is None
    assert runs.get(store, "r1").state == "running"
    runs.confirm(store, "r1", "vectors", {"inserted": 1})
    runs.confirm(store, "r1", "vectors", {"inserted": 2})
    ended = runs.publish(store, "r1", destinations=["graph", "vectors"], result={"ok": True})
    assert ended.state == "success"
    found = states.read(store, "requirements", "requirements", scope)
    assert found == states.SourceState(state={"watermark": "2"}, overlap=b"\x00seen", run_id="r1")
    assert states.read(store, "requirements", "requirements", states.scope_of({})) is None
    assert runs.confirmed(store, "r1") == {"graph": {"inserted": 1}, "vectors": {"inserted": 2}}
    assert runs.publish(store, "r1", destinations=["graph"], result={"other": 1}) == ended


def test_a_run_that_fails_leaves_its_sources_where_they_were_until_it_is_opened_again(store: Metastore) -> None:
    runs.begin(store, request())
    states.stage(store, "r1", "requirements", "all", state={"watermark": "9"})
    runs.finish(store, "r1", state="failed")
    assert states.read(store, "requirements", "requirements", "all") is None
    assert runs.reopen(store, "r1").state == "running"
    # Its stage is finished and does not run again: the position it reached must still be known.
    runs.publish(store, "r1", destinations=[], result={})
    assert states.read(store, "requirements", "requirements", "all") is not None
    assert runs.reopen(store, "r1").state == "success"


def test_a_run_that_is_given_up_forgets_the_positions_it_reached(store: Metastore) -> None:
    runs.begin(store, request())
    states.stage(store, "r1", "requirements", "all", state={"watermark": "9"})
    runs.finish(store, "r1", state="abandoned")
    runs.begin(store, request())
    runs.publish(store, "r1", destinations=[], result={})
    assert states.read(store, "requirements", "requirements", "all") is None


def test_a_failed_run_is_not_opened_again_beside_another(store: Metastore) -> None:
    runs.begin(store, request())
    runs.finish(store, "r1", state="failed")
    runs.begin(store, request("r2"))
    with pytest.raises(RunConflict, match="run r2"):
        runs.reopen(store, "r1")
    with pytest.raises(StateError, match="no run 'r9'"):
        runs.reopen(store, "r9")


def test_a_load_that_stands_counts_though_reconciliation_fails(store: Metastore) -> None:
    runs.begin(store, request())
    states.stage(store, "r1", "requirements", "all", state={"watermark": "9"})
    ended = runs.publish(
        store, "r1", destinations=[], result={}, state="failed", error={"kind": "ReconciliationFailed"}
    )
    assert ended.state == "failed"
    assert states.read(store, "requirements", "requirements", "all") is not None


def test_resetting_forgets_positions(store: Metastore) -> None:
    runs.begin(store, request())
    for source in ("a", "b"):
        states.stage(store, "r1", source, "all", state={})
    runs.publish(store, "r1", destinations=[], result={})
    assert states.reset(store, "requirements", source="a") == 1
    assert states.reset(store, "requirements") == 1
    assert states.reset(store, "requirements") == 0


def test_publishing_settles_older_quarantine(store: Metastore) -> None:
    def reject(run_id: str, *keys: str) -> None:
        rejected = [
            quarantine.Rejected("clean", ["required"], "no text", {"id": key}, ordinal, key={"id": key})
            for ordinal, key in enumerate(keys)
        ]
        quarantine.add(store, "requirements", run_id, rejected)

    runs.begin(store, request())
    reject("r1", "again", "mended", "quiet")
    runs.publish(store, "r1", destinations=[], result={})
    runs.begin(store, request("r2"))
    reject("r2", "again")
    mended = [one.id for one in quarantine.list_records(store) if one.key == {"id": "mended"}]
    runs.publish(store, "r2", destinations=[], result={}, resolved=mended)
    found = {(one.run_id, one.key["id"]): one.state for one in quarantine.list_records(store, state=None) if one.key}
    assert found == {
        ("r1", "again"): "superseded",
        ("r1", "mended"): "resolved",
        ("r1", "quiet"): "open",
        ("r2", "again"): "open",
    }


def test_a_pipeline_remembers_its_last_definition(store: Metastore) -> None:
    pipelines.register(store, "requirements", definition_hash="1", definition="a")
    pipelines.register(store, "requirements", definition_hash="2", definition="b\x00")
    assert pipelines.names(store) == ["requirements"]
    assert pipelines.definition(store, "requirements") == "b\N{SYMBOL FOR NULL}"
    assert pipelines.definition(store, "other") is None


def test_a_stage_that_waits_says_for_what_until_it_begins_again(store: Metastore) -> None:
    runs.begin(store, request(orchestrator="airflow"))
    stages.start_stage(store, "r1", "load.graph")
    stages.note_waiting(store, "r1", "load.graph", {"message": "waits for connection graph"})
    stages.note_waiting(store, "r1", "never started", {"message": "nobody"})
    assert liveness.stalls(store, ["r1", "r2"]) == {"r1": Stall("waiting", "waits for connection graph")}
    assert stages.start_stage(store, "r1", "load.graph") == 2
    with hold_run(store, "requirements", "r1", shared=True):
        assert liveness.stalls(store, ["r1"]) == {}


# ------------------------------------------------------------------------------------------------- signs of life


def age(store: Metastore, column: str, seconds: int) -> None:
    """As if the stages of r1 had noted this so long ago."""
    statement = f"UPDATE run_stages SET {column} = {column} - make_interval(secs => :seconds) WHERE run_id = 'r1'"
    with store.transaction() as connection:
        connection.execute(text(statement), {"seconds": seconds})


@pytest.mark.parametrize("orchestrator", ["cli", "airflow"])
def test_a_stage_whose_process_is_gone_is_stuck_at_once(store: Metastore, orchestrator: str) -> None:
    runs.begin(store, request(orchestrator=orchestrator))
    assert liveness.stalls(store, ["r1"]) == {}, "it has only just begun"
    with hold_run(store, "requirements", "r1", shared=orchestrator == "airflow"):
        stages.start_stage(store, "r1", "stage")
        assert liveness.stalls(store, ["r1"]) == {}
    stall = liveness.stalls(store, ["r1"])["r1"]
    assert stall.state == "stuck"
    assert "its process is gone" in stall.reason


def test_between_tasks_of_airflow_nobody_need_be_there(store: Metastore) -> None:
    runs.begin(store, request(orchestrator="airflow"))
    stages.start_stage(store, "r1", "stage")
    stages.finish_stage(store, "r1", "stage", counts={})
    assert liveness.stalls(store, ["r1"]) == {}
    runs.finish(store, "r1", state="failed")
    runs.begin(store, request("r2"))
    stages.start_stage(store, "r2", "stage")
    stages.finish_stage(store, "r2", "stage", counts={})
    assert "its process is gone" in liveness.stalls(store, ["r2"])["r2"].reason, "a command drives all its stages"


def test_a_frozen_process_and_one_in_which_nothing_moves_are_stuck_within_a_minute(store: Metastore) -> None:
    runs.begin(store, request())
    with hold_run(store, "requirements", "r1"):
        stages.start_stage(store, "r1", "load.graph")
        stages.start_stage(store, "r1", "load.graph.0")
        age(store, "beat", 30)
        assert liveness.stalls(store, ["r1"]) == {}
        age(store, "beat", 20)
        assert "no sign of life for 5" in liveness.stalls(store, ["r1"])["r1"].reason
        progress = {"phase": "loading Thing", "rows": 5, "expected": 10, "bytes": 99}
        stages.beat(store, "r1", "load.graph", progress, has_moved=True)
        assert liveness.stalls(store, ["r1"]) == {}
        age(store, "moved", 50)
        stages.beat(store, "r1", "load.graph", progress, has_moved=False)
        stall = liveness.stalls(store, ["r1"])["r1"]
        assert stall.state == "stuck"
        assert "nothing has moved for 5" in stall.reason
        assert "(load.graph, loading Thing)" in stall.reason
        stages.beat(store, "r1", "load.graph", progress, has_moved=True)
        assert liveness.stalls(store, ["r1"]) == {}


def test_a_stage_that_ended_keeps_its_measures_and_gives_no_more_signs(store: Metastore) -> None:
    runs.begin(store, request())
    stages.start_stage(store, "r1", "stage")
    stages.finish_stage(store, "r1", "stage", counts={}, measures={"rows_in": 500, "peak_memory": 9})
    stages.beat(store, "r1", "stage", {"phase": "late"}, has_moved=True)
    found = stages.stage_results(store, "r1")["stage"]
    assert (found.progress, found.silent, found.still) == (None, None, None)
    told = found.as_dict()
    assert (told["rows_in"], told["bytes_in"], told["retries"]) == (500, None, 0)
    assert told["rows_per_second"] > 0
    assert stages.start_stage(store, "r1", "stage") == 2
    again = stages.stage_results(store, "r1")["stage"]
    assert (again.measures, again.retries) == (None, 1)
