"""Queries of sql steps: what may be read, and what each column is made of."""

from __future__ import annotations

import pytest

from data_workbench.transforms.queries import check_query
from data_workbench.transforms.words import ExpressionError

TABLES = {"orders": {"id", "Item", "n"}, "prices": {"item", "price"}}

REFUSED = [
    ("select * from orders", "'*'"),
    ("select o.* from orders o", "'*'"),
    ("from orders", "one SELECT"),
    ("select id from 'x.csv'", "unknown source or step 'x.csv'"),
    ("select id from main.orders", "one name"),
    ("select id from read_csv('x')", "read_csv"),
    ("select id from sniff_csv('x')", "sniff_csv"),
    ("select id from glob('*')", "glob"),
    ("select id from duckdb_secrets()", "duckdb_secrets"),
    ("select id from range(5)", "RANGE(0, 5)"),
    ("select x from (with t as (select 1 as x) select x from t) y", "WITH within"),
    ("with a as (select x from b), b as (select id as x from orders) select x from a", "unknown source or step 'b'"),
    ("with t as (select id from t) select id from t", "unknown source or step 't'"),
    ("select id from orders, lateral (select 1 as x)", "lateral"),
    ("select id from orders where n > (select count(*) from read_text('x'))", "read_text"),
    ("with t as (select content from read_text('x')) select content from t", "read_text"),
    ("select getenv('x') as y from orders", "getenv"),
    ("select getvariable('x') as y from orders", "getvariable"),
    ("select current_user as u from orders", "current_user"),
    ("select random() as r from orders", "random"),
    ("select nextval('s') as x from orders", "nextval"),
    ("select unnest([1, 2]) as x from orders", "unnest"),
    ("select columns('a') from orders", "columns"),
    ("select id from (values (1)) t(id)", "values"),
    ("select id from orders tablesample 5%", "TABLESAMPLE"),
    ("select id into x from orders", "one SELECT"),
    ("insert into orders select id from orders", "one SELECT"),
    ("copy orders to 'x'", "one SELECT"),
    ("attach 'x'", "one SELECT"),
    ("pragma version", "one SELECT"),
    ("explain select id from orders", "one SELECT"),
    ("select id from orders; drop table orders", "';'"),
    ("with recursive t as (select id from orders) select id from t", "recursive"),
    ("with orders as (select 1 as id) select id from orders", "WITH gives the name 'orders'"),
    ("select id + 1 from orders", "column 1 has no name"),
    ("select id, n as ID from orders", "two columns are named 'ID'"),
    ("select idd from orders", "unknown column 'idd'"),
    ("select id from orders where prise > 1", "unknown column 'prise'"),
    ("select x.n from (select id from orders) x", "unknown column"),
    ("select id::intger as x from orders", "unknown type 'intger'"),
    ("select id from orders where n > $nope", "param $nope is not declared"),
    ("select id from orders where", "not SQL"),
    ("select (id from orders", "not SQL"),
    ("", "is empty"),
    ("select " + "(" * 60 + "1" + ")" * 60 + " as x", "nested"),
    ("select 1 as x" + " union all select 1" * 2000, "characters"),
]


@pytest.mark.parametrize(("sql", "word"), REFUSED, ids=[sql[:60] for sql, _ in REFUSED])
def test_what_is_no_query_over_the_steps_is_refused(sql: str, word: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        check_query(sql, tables=TABLES, params=set())
    assert word in caught.value.message


TRACED = [
    ("select id from orders", {"id": "orders.id"}, ""),
    ("select ITEM as x from orders", {"x": "orders.Item"}, ""),
    ("select n + id as x from orders where n > 1", {"x": "orders.id orders.n"}, "orders.n"),
    (
        "select o.id, p.price from orders o join prices p on o.item = p.item",
        {"id": "orders.id", "price": "prices.price"},
        "orders.Item prices.item",
    ),
    (
        "with t as (select item, sum(n) as s from orders group by item) select s / 2 as half from t",
        {"half": "orders.n"},
        "orders.Item",
    ),
    (
        "with a as (select n as x from orders), b as (select x + 1 as y from a) select y * 2 as z from b where y > 3",
        {"z": "orders.n"},
        "orders.n",
    ),
    ("select x.m from (select n as m, id from orders) x where x.id = 1", {"m": "orders.n"}, "orders.id"),
    (
        "select (select max(price) from prices p where p.item = o.item) as best from orders o",
        {"best": "orders.Item prices.item prices.price"},
        "orders.Item prices.item",
    ),
    ("select n as v from orders union all select price from prices", {"v": "orders.n prices.price"}, ""),
    (
        "select item, row_number() over (partition by item order by n) as r from orders qualify r = 1",
        {"item": "orders.Item", "r": "orders.Item orders.n"},
        "orders.Item orders.n",
    ),
    ("select id from orders where item in (select item from prices)", {"id": "orders.id"}, "orders.Item prices.item"),
    ("select count(*) as c from orders", {"c": ""}, ""),
    ("select case when n > 1 then id else 0 end as x from orders", {"x": "orders.id orders.n"}, ""),
    ("select distinct item from orders", {"item": "orders.Item"}, ""),
    ("select id from orders order by n desc limit 3", {"id": "orders.id"}, "orders.n"),
]


@pytest.mark.parametrize(("sql", "made_of", "decided_by"), TRACED, ids=[sql[:60] for sql, _, _ in TRACED])
def test_columns_are_followed_to_sources_and_steps(sql: str, made_of: dict[str, str], decided_by: str) -> None:
    query = check_query(sql, tables=TABLES, params=set())
    assert query.made_of is not None
    assert {name: " ".join(sorted(map(".".join, found))) for name, found in query.made_of.items()} == made_of
    assert " ".join(sorted(map(".".join, query.decided_by))) == decided_by


def test_without_known_columns_names_alone_are_told() -> None:
    query = check_query("select a, b as c from x", tables={"x": None}, params=set())
    assert query.columns == ("a", "c")
    assert query.made_of is None
