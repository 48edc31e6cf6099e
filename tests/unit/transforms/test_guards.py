"""Conditions are asked from left to right."""

from __future__ import annotations

import pytest

from data_workbench.transforms.dialect import read_duckdb
from data_workbench.transforms.guards import in_turn


def written(sql: str) -> str:
    return in_turn(read_duckdb(sql)).sql(dialect="duckdb")


@pytest.mark.parametrize("sql", ["a > 1", "a AND b", "a > 1 OR b IS NULL", "a > 1 AND NOT (b)"])
def test_what_cannot_fail_stays_as_it_is(sql: str) -> None:
    assert written(sql) == sql


def test_what_stands_behind_is_asked_for_where_nothing_before_decides() -> None:
    assert written("n <> 0 and 10 // n > 1") == "CASE WHEN NOT (n <> 0) THEN FALSE ELSE n <> 0 AND 10 // n > 1 END"
    assert written("n = 0 or 10 // n > 1") == "CASE WHEN n = 0 THEN TRUE ELSE n = 0 OR 10 // n > 1 END"


def test_a_chain_is_one_case_with_a_branch_for_each_side() -> None:
    assert written("a > 1 and b > 1 and c > 1").count("CASE") == 1
    assert written("a > 1 and b > 1 and c > 1").count("WHEN") == 2


def test_conditions_in_conditions_are_asked_in_turn_too() -> None:
    assert written("a > 1 and (b = 0 or 1 // b > 1)").count("CASE") == 2


def test_the_tree_given_stays_as_it_is() -> None:
    tree = read_duckdb("a > 1 and b > 1")
    in_turn(tree)
    assert tree.sql() == "a > 1 AND b > 1"


def test_conditions_nested_without_end_do_not_grow_without_end() -> None:
    sql = "x > 0"
    for depth in range(40):
        sql = f"({sql} {'and' if depth % 2 else 'or'} x / {depth} > 1) {'or' if depth % 2 else 'and'} y > {depth}"
    assert len(written(sql)) < 200 * len(sql)
