"""Tables at the end of task logs."""

from __future__ import annotations

from data_workbench.provider.report import as_table, load_table, reconcile_table, stage_table


def test_numbers_stand_to_the_right_and_the_unmeasured_is_a_dash() -> None:
    table = as_table("step", {"clean": {"in": 1234567, "out": None}, "x": {"in": 1, "filtered": 2}})
    assert table.splitlines() == [
        "step          in  out  filtered",
        "-----  ---------  ---  --------",
        "clean  1,234,567    –         –",
        "x              1    –         2",
    ]


def test_a_stage_without_steps_tells_its_sources() -> None:
    assert stage_table({"sources": {"rows": {"read": 3}}, "steps": {}}).splitlines()[-1] == "rows       3"


def test_relationships_stand_below_their_destination() -> None:
    told = load_table("graph", {"inserted": 2, "relationships": {"inserted": 5, "skipped": 1}})
    assert "destination  inserted" in told
    assert told.splitlines()[-1].split() == ["graph", "5", "1"]


def test_the_verdict_ends_a_reconciliation() -> None:
    counts = {"missing": 1, "stale": 0, "relationships": {"dangling": 2}, "vectors": None}
    told = reconcile_table({"clean": False, "scope": "changed", "destinations": {"graph": counts}})
    assert "rel. dangling" in told
    assert told.endswith("reconciliation (changed): NOT clean")
