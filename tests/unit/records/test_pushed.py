"""Statements that a database computes by itself, as a plan keeps them."""

from __future__ import annotations

import json

from data_workbench.records.pushed import PushedStatement

STATEMENT = PushedStatement(
    queries=(("things", "SELECT 1"), ("out", "SELECT 2")),
    last="out",
    columns=(("id", "int4"),),
    ends=("out",),
    params={"most": "int4"},
    guards=("_wb_again_0",),
    refusals=((1 << 22, "rows break"),),
    unique=(("a", "b"), ("c",)),
    promises=(("required a", '"a" IS NULL'),),
)


def test_a_statement_comes_back_out_of_a_stored_plan_as_it_went_in() -> None:
    assert PushedStatement.from_json(json.loads(json.dumps(STATEMENT.to_json()))) == STATEMENT


def test_a_statement_of_a_plan_stored_before_there_were_contracts_in_it_is_read() -> None:
    stored = {
        name: value
        for name, value in STATEMENT.to_json().items()
        if name not in ("guards", "refusals", "unique", "promises")
    }
    found = PushedStatement.from_json(json.loads(json.dumps(stored)))
    assert (found.guards, found.refusals, found.unique, found.promises) == ((), (), (), ())
