"""Contracts in a run: who is quarantined, why, and what is only counted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from data_workbench.errors import ContractViolated, SchemaConflict, TransformError
from data_workbench.transforms.execute import RuleWarning

if TYPE_CHECKING:
    from .conftest import Bench

ROWS = pa.table(
    {
        "id": [5, 4, 3, 2, 1],
        "name": ["Anna", None, "x" * 500, "Bob", "Anna"],
        "size": [1, 2, -3, None, 5],
        "team": ["red", "blue", "red", None, "green"],
    }
)
ABOUT: dict[str, dict[str, Any]] = {"s": {"key": ("id",)}}


def test_a_row_is_quarantined_once_with_all_its_failures(bench: Bench) -> None:
    contract = {"s": {"columns": {"name": {"required": True, "max_length": 10}, "size": {"min": 0}}}}
    out = bench.run({"s": ROWS}, about=ABOUT, contract=contract)
    assert out.column("s", "id") == [5, 2, 1]
    assert out.counts("s") == {"read": 5, "out": 3, "quarantined": 2}
    by_key = {record["key"]: record for record in out.quarantine}
    assert by_key['{"id":4}']["rules"] == ["required name"]
    assert by_key['{"id":3}']["rules"] == ["max_length name", "min size"]
    reason = by_key['{"id":3}']["reason"]
    assert "size: -3, wanted at least 0" in reason
    assert "x" * 200 + "…" in reason
    assert "x" * 201 not in reason
    assert json.loads(by_key['{"id":3}']["row"])["name"] == "x" * 500


def test_null_passes_every_rule_but_required(bench: Bench) -> None:
    rules = {
        "values": ["a"],
        "pattern": "^a",
        "min_length": 1,
        "max_length": 1,
        "min": "a",
        "max": "a",
        "type": "integer",
    }
    table = pa.table({"id": [1], "v": pa.array([None], pa.string())})
    assert bench.run({"s": table}, contract={"s": {"columns": {"v": rules}}}).counts("s") == {"read": 1, "out": 1}


def test_of_rows_equal_on_unique_the_first_in_key_order_stays(bench: Bench) -> None:
    out = bench.run({"s": ROWS}, about=ABOUT, contract={"s": {"unique": [["name"]]}})
    assert out.column("s", "id") == [4, 3, 2, 1]
    (record,) = out.quarantine
    assert (record["rules"], record["key"]) == (["unique name"], '{"id":5}')
    assert "name = Anna is there more than once" in record["reason"]


def test_null_is_equal_to_nothing_in_unique(bench: Bench) -> None:
    table = pa.table({"id": [1, 2, 3], "a": ["x", "x", "x"], "b": pa.array([None, None, None], pa.string())})
    assert bench.run({"s": table}, contract={"s": {"unique": [["a", "b"]]}}).counts("s")["out"] == 3


def test_a_row_that_breaks_another_rule_does_not_hold_its_unique_value(bench: Bench) -> None:
    contract = {"s": {"columns": {"size": {"min": 2}}, "unique": [["name"]]}}
    out = bench.run({"s": ROWS.slice(0, 5).filter(pa.array([True, False, False, False, True]))}, contract=contract)
    assert out.column("s", "id") == [1]


def test_unique_values_taken_in_the_destination_are_quarantined(bench: Bench) -> None:
    asked: list[tuple[str, tuple[str, ...], list[Any]]] = []

    def find_unique(node: str, columns: tuple[str, ...], values: pa.Table) -> pa.Table:
        asked.append((node, columns, values.to_pylist()))
        # Bob belongs to another key; Anna to the row's own key, and to a key that comes along with a value of its own.
        return pa.table({"id": [77, 1, 3], "name": ["Bob", "Anna", "Anna"]})

    out = bench.run({"s": ROWS}, about=ABOUT, contract={"s": {"unique": [["name"]]}}, find_unique=find_unique)
    assert out.column("s", "id") == [4, 3, 1]
    assert asked[0][:2] == ("s", ("name",))
    taken = next(record for record in out.quarantine if record["key"] == '{"id":2}')
    assert "name = Bob stands under another key in the destination" in taken["reason"]


def test_references_are_looked_up_and_null_passes(bench: Bench) -> None:
    reference = {"connection": "c", "stream": "teams", "column": "team"}
    contract = {"s": {"columns": {"team": {"references": reference}}}}
    sides = {"reference:s:team": pa.table({"team": ["red", "red", "blue", None]})}
    out = bench.run({"s": ROWS}, about=ABOUT, contract=contract, sides=sides)
    assert out.column("s", "id") == [5, 4, 3, 2]
    assert out.quarantine[0]["rules"] == ["references team"]
    assert "team: green, wanted a team of teams" in out.quarantine[0]["reason"]


def test_fail_stops_before_anything_is_written(bench: Bench) -> None:
    contract = {"s": {"columns": {"size": {"min": 0}}, "on_invalid": "fail"}}
    with pytest.raises(ContractViolated, match=r"min size: 1 rows, for example \{\"id\":3\}"):
        bench.run({"s": ROWS}, about=ABOUT, contract=contract)
    with pytest.raises(ContractViolated, match="unique name: 1 rows"):
        bench.run({"s": ROWS}, about=ABOUT, contract={"s": {"unique": [["name"]], "on_invalid": "fail"}})


def test_warn_counts_and_lets_rows_go_on(bench: Bench) -> None:
    contract = {"s": {"columns": {"size": {"min": 0}, "name": {"required": True}}, "on_invalid": "warn"}}
    out = bench.run({"s": ROWS}, about=ABOUT, contract=contract)
    assert out.counts("s") == {"read": 5, "out": 5}
    assert out.report.warnings == [
        RuleWarning("s", "min size", 1, '{"id":3}'),
        RuleWarning("s", "required name", 1, '{"id":4}'),
    ]


def test_rules_of_a_step_see_its_output_and_later_steps_only_valid_rows(bench: Bench) -> None:
    steps = [
        {"name": "d", "derive": {"twice": "size * 2"}},
        {"name": "f", "filter": "twice > 2"},
    ]
    out = bench.run(
        {"s": ROWS}, steps, about=ABOUT, contract={"d": {"columns": {"twice": {"required": True, "min": 0}}}}
    )
    assert out.counts("d") == {"in": 5, "out": 3, "quarantined": 2}
    assert out.counts("f") == {"in": 3, "out": 2, "filtered": 1}
    assert {record["node"] for record in out.quarantine} == {"d"}


def test_rejected_rows_of_a_node_nobody_writes_reach_the_quarantine(bench: Bench) -> None:
    steps = [{"name": "a", "aggregate": {"by": [], "take": {"n": "count(*)"}}}]
    out = bench.run({"s": ROWS}, steps, about=ABOUT, contract={"s": {"columns": {"size": {"min": 0}}}})
    assert out.rows("a") == [{"n": 4}]
    assert [record["key"] for record in out.quarantine] == ['{"id":3}']


def test_a_contract_for_a_column_that_is_not_there_is_refused(bench: Bench) -> None:
    with pytest.raises((SchemaConflict, TransformError), match="nope"):
        bench.run({"s": ROWS}, contract={"s": {"columns": {"nope": {"required": True}}}})
    with pytest.raises((SchemaConflict, TransformError), match="nope"):
        bench.run({"s": ROWS}, contract={"s": {"unique": [["nope"]]}})
