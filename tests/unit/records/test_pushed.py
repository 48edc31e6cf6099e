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
    retracts=True,
)


def test_a_statement_comes_back_out_of_a_stored_plan_as_it_went_in() -> None:
    assert PushedStatement.from_json(json.loads(json.dumps(STATEMENT.to_json()))) == STATEMENT
