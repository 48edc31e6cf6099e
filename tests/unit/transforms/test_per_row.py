"""Which queries are done row by row, and what is asked of a row."""

from __future__ import annotations

import pytest
from sqlglot import exp

from data_workbench.transforms.dialect import read_duckdb
from data_workbench.transforms.per_row import PerRow, per_row

COLUMNS = {"id", "n", "tags"}


def found(sql: str) -> PerRow | None:
    tree = read_duckdb(sql)
    assert isinstance(tree, exp.Query)
    return per_row(tree, table="rows", columns=COLUMNS)


def test_a_query_of_one_row_at_a_time_stands_without_the_name_of_its_table() -> None:
    asked = found("select r.ID, r.n + 1 as m from rows r where r.n > 0 order by m desc, 1, n nulls first")
    assert asked is not None
    assert {name: tree.sql() for name, tree in asked.columns.items()} == {"ID": "ID", "m": "n + 1"}
    assert asked.where is not None
    assert asked.where.sql() == "n > 0"
    order = [item.this.sql() for item in asked.order]
    assert order == ["(n + 1)", "(ID)", "n"]
    assert [bool(item.args.get("desc")) for item in asked.order] == [True, False, False]


def test_a_lambda_has_variables_of_its_own() -> None:
    assert found("select list_transform(tags, lambda t: upper(t)) as tags from rows") is not None


@pytest.mark.parametrize(
    "sql",
    [
        "select count(*) as n from rows",
        "select n from rows group by n",
        "select distinct n from rows",
        "select n from rows limit 1",
        "select row_number() over (order by n) as n from rows",
        "select n from rows qualify rank() over (order by n) = 1",
        "select a.n from rows a join rows b on a.id = b.id",
        "select a.n from rows a, rows b",
        "select n from other",
        "select n from (select n from rows) rows",
        "with a as (select n from rows) select n from a",
        "select n from rows union all select n from rows",
        "select n from rows where n in (select id from rows)",
        "select n - 1 as m, 10 // m as q from rows",
        "select rows.n.part as p from rows",
    ],
)
def test_a_query_that_looks_around_is_none(sql: str) -> None:
    assert found(sql) is None
