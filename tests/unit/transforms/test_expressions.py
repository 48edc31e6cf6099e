"""Expressions: what is allowed keeps its meaning, what is refused says where and why."""

from __future__ import annotations

import time
from contextlib import suppress

import duckdb  # the engine whose meaning is compared
import pytest

from data_workbench.transforms.expressions import Checked, ExpressionError, check_expression, check_order
from data_workbench.transforms.functions import AGGREGATES, ENGINE_FUNCTIONS, REFUSED, SCALARS, WINDOWS

COLUMNS = {"a", "b", "x", "xs", "s", "Order Id", "identifier", "project_id"}
_NOW = "_wb_now"
_ROW = (
    "(select 7 as a, 3 as b, 'Text, here' as x, [3, 1, 2] as xs, {'foo': {'bar': 5}} as s, 9 as \"Order Id\","
    " 'REQ-1' as identifier, 'b5a1c2ee-4f06-4c6b-8f3e-6a7fd4e10c11' as project_id)"
)


def check(sql: str, *, allow_aggregates: bool = False) -> Checked:
    return check_expression(
        sql, columns=COLUMNS, params={"project_id": "uuid"}, allow_aggregates=allow_aggregates, what="filter"
    )


def refusal(sql: str, *, allow_aggregates: bool = False) -> ExpressionError:
    with pytest.raises(ExpressionError) as caught:
        check(sql, allow_aggregates=allow_aggregates)
    return caught.value


KEPT = [
    "a + b * 2 - a % b",
    "a // b",
    "a ** b",
    "a ^ 2",
    "@(-a)",
    "a / b",
    "not a > b",
    "a is distinct from null",
    "a is not null and b is null",
    "a between 1 and 9",
    "a in (1, 7)",
    "x like 'Text%' or x ilike '%HERE'",
    "x not like '%_%' escape '_'",
    "x similar to '[A-Z].*'",
    "x glob 'T*'",
    "x || '-' || a",
    "'it''s'",
    "$$dollar$$",
    "1_000 + 1e3",
    "xs[1] + xs[-1]",
    "xs[1:2]",
    "list_transform(xs, lambda y: y + a)",
    "list_filter(xs, lambda y, i: y > i)",
    "[y * 2 + b for y in xs if y > 1]",
    "list_reduce(xs, lambda p, q: p + q)",
    "list_contains(xs, 2)",
    "len(xs) + length(x)",
    "s.foo.bar",
    "s.foo",
    "struct_insert(s, k := 2)",
    "{'k': a, 'l': x}",
    "struct_pack(k := a)",
    "map {'k': a}['k']",
    "map([1], [2])",
    "case when a > b then 'more' else 'less' end",
    "case a when 7 then 1 end",
    "coalesce(null, a)",
    "ifnull(null, a)",
    "nullif(a, 7)",
    "if(a > b, 1, 2)",
    "cast(a as decimal(10, 2))",
    "a::varchar::text",
    "a::int8 + a::int2 + a::hugeint",
    "a::float / 3",
    "a::real / 3",
    "a::double / 3",
    "try_cast(x as integer)",
    "project_id::uuid",
    "'[1]'::json",
    "['1']::int[]",
    "date '2020-02-29' + interval 1 day",
    "timestamp '2020-01-01 10:00:00' at time zone 'UTC' at time zone 'Europe/Berlin'",
    "date_trunc('month', date '2020-02-29')",
    "date_part('week', date '2020-02-29')",
    "extract(isodow from date '2020-02-29')",
    "date_diff('day', date '2020-01-01', date '2020-02-29')",
    "datediff('month', date '2020-01-31', date '2020-02-29')",
    "date_add(date '2020-01-01', interval 1 month)",
    "strftime(date '2020-02-29', '%d.%m.%Y')",
    "strptime('29.02.2020', '%d.%m.%Y')",
    "epoch(timestamp '2020-01-01') + epoch_ms(timestamp '2020-01-01')",
    "epoch_ms(1000)",
    "to_timestamp(10)",
    "make_date(2020, 2, 29)",
    "dayofweek(date '2020-02-29') + weekday(date '2020-02-29') + isodow(date '2020-02-29')",
    "last_day(date '2020-02-01')",
    "age(timestamp '2020-02-01', timestamp '2020-01-01')",
    "substring(x from 2 for 3) || substr(x, 2, 3)",
    "position('e' in x) + strpos(x, 'e') + instr(x, 'e')",
    "trim(both 'T' from x) || ltrim(x, 'T') || rtrim(x) || trim(x)",
    "upper(x) || lower(x) || reverse(x) || left(x, 2) || right(x, 2)",
    "lpad(x, 20, '.') || rpad(x, 20, '.') || repeat('a', 3)",
    "concat(x, null, 'y') || concat_ws('-', 'a', null, 'b')",
    "replace(x, 'T', 't') || translate(x, 'T', 't')",
    "split(x, ',')",
    "string_split(x, ',')[1] || split_part(x, ',', 2)",
    "regexp_matches(x, '^t', 'i')",
    "regexp_replace(x, '[aeiou]', '', 'g')",
    "regexp_extract(x, '(T)(e)', 2)",
    "regexp_extract_all(x, '[a-z]')",
    "md5(x) || sha256(x)",
    "starts_with(x, 'T') and ends_with(x, 'e') and contains(x, 'ext')",
    "format('{} {}', a, x) || printf('%d', a)",
    "chr(65) || ascii('A') || ord('A')",
    "round(a / b, 2) + floor(2.5) + ceil(2.5) + trunc(2.5)",
    "greatest(a, b) + least(a, b) + abs(-3) + sign(-2)",
    "log(100) + ln(2) + log2(8) + log10(100) + exp(1) + sqrt(4) + power(2, 3)",
    "mod(a, b) + a & b | 4",
    "a << 2",
    "xor(a, b)",
    "to_json({'k': 1}) ->> '$.k'",
    "json_extract_string('{\"k\": [1, 2]}', '$.k[0]')",
    "('{\"k\": 1}'::json -> 'k')::varchar",
    "json_array_length('[1, 2]')",
    "to_base64(encode(x)) || hex(x)",
    "array_to_string(['a', 'b'], '-')",
    "list_sort(xs) || list_distinct(xs) || list_reverse(xs)",
    "list_sum(xs) + list_max(xs) + list_avg(xs)",
    "array_position(xs, 1)",
    "array_contains(xs, 1)",
    "flatten([[1], [2]])",
    "range(1, 4)",
    "a = any(xs)",
    '"order id" + A',
    "typeof(a)",
    "a::decimal",
    "isnan(a::double) or isinf(a::double)",
    "strip_accents('é') || nfc_normalize('é') || 'héé'",
]


@pytest.mark.parametrize("sql", KEPT)
def test_what_is_written_again_means_the_same(sql: str) -> None:
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    wanted = connection.execute(f"select {sql} from {_ROW}").fetchall()
    got = connection.execute(f"select {check(sql).sql} from {_ROW}").fetchall()
    assert repr(got) == repr(wanted)


AGGREGATED = [
    "sum(a)",
    "count(*)",
    "count(distinct a)",
    "string_agg(x, ',' order by b desc)",
    "sum(a) filter (where b > 1)",
    "arg_max(x, b)",
    "max(a) - min(b)",
    "list(a order by b)",
    "array_agg(a)",
    "any_value(a)",
    "first(x order by b)",
    "quantile_cont(a, 0.5)",
    "median(a) + avg(b)",
    "bool_and(a > 1)",
    "stddev(a)",
    "mode(x)",
    "count_if(a > 1)",
    "approx_count_distinct(a)",
]


@pytest.mark.parametrize("sql", AGGREGATED)
def test_an_aggregate_written_again_means_the_same(sql: str) -> None:
    connection = duckdb.connect()
    rows = "(select i % 7 as a, i as b, 'v' || i % 5 as x from range(101) t(i))"
    wanted = connection.execute(f"select {sql} from {rows}").fetchall()
    checked = check(sql, allow_aggregates=True)
    assert repr(connection.execute(f"select {checked.sql} from {rows}").fetchall()) == repr(wanted)
    assert checked.is_aggregate
    assert not checked.bare_columns


@pytest.mark.slow
def test_examples_of_duckdb_itself_keep_their_meaning() -> None:
    connection = duckdb.connect()
    listed = connection.execute(
        "select distinct function_name, unnest(examples) from duckdb_functions() where len(examples) > 0"
    ).fetchall()
    compared = 0
    for name, example in listed:
        if name not in SCALARS | AGGREGATES:
            continue
        try:
            wanted = connection.execute(f"select {example}").fetchall()
            checked = check_expression(example, columns=None, params={}, allow_aggregates=True)
        except (duckdb.Error, ExpressionError):
            continue
        if _NOW not in checked.params:
            assert repr(connection.execute(f"select {checked.sql}").fetchall()) == repr(wanted), example
            compared += 1
    assert compared > 250


def test_every_listed_function_exists() -> None:
    connection = duckdb.connect()
    known = {name for (name,) in connection.execute("select function_name from duckdb_functions()").fetchall()}
    grammar = {"cast", "coalesce", "current_timestamp", "extract", "ifnull", "try", "try_cast"}
    assert (SCALARS | AGGREGATES | WINDOWS) - known - grammar - set(ENGINE_FUNCTIONS) == set()


def test_no_function_is_both_allowed_and_refused() -> None:
    assert (SCALARS | AGGREGATES) & set(REFUSED) == set()


REFUSALS = [
    ("read_csv('/etc/passwd')", 1, "read_csv"),
    ("a = 1 and read_parquet('x') is null", 11, "read_parquet"),
    ("\"read_csv\"('x')", 1, "read_csv"),
    ("main.getenv('HOME')", 6, "after a dot"),
    ("getenv('HOME')", 1, "settings"),
    ("current_setting('x')", 1, "settings"),
    ("query('select 1')", 1, "settings"),
    ("glob('/*')", 1, "files"),
    ("current_user", 1, "current_user"),
    ("current_user()", 1, "current_user"),
    ("localtimestamp", 1, "now()"),
    ("uuid()", 1, "another value each time"),
    ("random() < 0.5", 1, "another value each time"),
    ("nextval('s')", 1, "another value"),
    ("pg_sleep(10)", 1, "waits"),
    ("hash(a)", 1, "md5"),
    ("frobnicate(a)", 1, "unknown function"),
    ("a; drop table x", 2, "';'"),
    ("select 1", 1, "select"),
    ("(select 1)", 2, "select"),
    ("a in (select 1)", 7, "select"),
    ("exists (from x)", 9, "subqueries"),
    ("a from x", 1, "FROM"),
    ("a order by b", 1, "ORDER"),
    ("1 = 1) or (1 = 1", 6, "')'"),
    ("distinct a", 1, "DISTINCT"),
    ("*", 1, "'*'"),
    ("columns('x')", 1, "columns"),
    ("unnest(xs)", 1, "step"),
    ("sum(a)", 1, "folds"),
    ("row_number() over ()", 1, "window"),
    ("a, b", 1, "here are 2"),
    ("a b", 1, "'b'"),
    ("a as b", 1, "'b'"),
    ("x := 1", 1, "':='"),
    ("a.upper()", 3, "after a dot"),
    ("a = $1", 1, "$name"),
    ("a = ?", 1, "$name"),
    ("a = $projct_id", 5, "not declared"),
    ("a + idntifier", 5, "unknown column 'idntifier'"),
    ('x = "foo"', 5, "unknown column 'foo'"),
    ("q.foo", 1, "unknown column 'q'"),
    ("list_transform(xs, lambda y: y + z)", 34, "unknown column 'z'"),
    ("cast(a as frob)", 6, "unknown type"),
    ("a::regclass", 1, "type"),
    ("a is null or", 11, "missing"),
    ("a +", 3, "missing"),
    ("'abc", 1, "quote"),
    ("a + (", 5, "missing"),
    ("", 1, "empty"),
    ("-- only a comment", 1, "empty"),
    ("(from x)", 2, "subqueries"),
    ("(values (1))", 2, "values"),
    ("[y for y in (from z)]", 14, "subqueries"),
    ("a = any(from x)", 9, "subqueries"),
    ("try(getenv('x'))", 5, "getenv"),
    ("xs[getenv('x')]", 4, "getenv"),
    ("read_csv/* */('x')", 1, "read_csv"),
    ("at('x')", 1, "no function"),
    ("lambda(x)", 1, "no function"),
    ("#1", 1, "'#'"),
    ("a::integer array", 12, "array"),
    ("4!", 2, "'!'"),
    ("x ~ 'T'", 3, "'~'"),
    ("x !~ 'T'", 3, "'!'"),
    ("a\x00b", 1, "NUL"),
]


@pytest.mark.parametrize(("sql", "column", "word"), REFUSALS)
def test_what_is_refused_says_where_and_why(sql: str, column: int, word: str) -> None:
    error = refusal(sql)
    assert word in error.message
    assert (error.line, error.column) == (1, column)
    assert "sqlglot" not in str(error).lower()


def test_the_place_counts_lines() -> None:
    error = refusal("a = 1\n  and bogus > 2")
    assert (error.line, error.column) == (2, 7)


def test_a_near_name_is_offered() -> None:
    assert refusal("identifer = 'x'").hint == "did you mean identifier?"
    assert refusal("a = $project").hint == "did you mean $project_id?"
    assert "upper" in str(refusal("uper(x)").hint)


def test_columns_take_the_known_spelling() -> None:
    checked = check('ORDER_ID is null or "ORDER ID" = A'.replace("ORDER_ID", "a"))
    assert checked.columns == {"Order Id", "a"}
    assert '"Order Id"' in checked.sql


def test_unknown_columns_pass_when_nothing_is_known() -> None:
    assert check_expression("foo + bar", columns=None, params={}).columns == {"foo", "bar"}


def test_the_params_used_are_told() -> None:
    checked = check("$project_id is null or project_id = $project_id")
    assert checked.params == {"project_id"}
    assert checked.columns == {"project_id"}


@pytest.mark.parametrize("sql", ["now()", "current_timestamp", "today()", "current_date", "age(date '2020-01-01')"])
def test_now_is_the_time_of_the_run(sql: str) -> None:
    checked = check(sql)
    assert checked.params == {_NOW}
    connection = duckdb.connect()
    first = connection.execute(f"select ({checked.sql})::varchar", {_NOW: "2026-01-02T03:04:05+00:00"}).fetchone()
    assert first is not None
    assert "2026-01-02" in first[0] or "6 years" in first[0]


@pytest.mark.parametrize(
    ("sql", "columns"),
    [
        ("from_json(doc -> '$.lines', '[\"VARCHAR\"]')", {"doc"}),
        ("coalesce(doc -> 'a' -> 'b', other)", {"doc", "other"}),
        ("array_length(from_json(doc -> 0, '[\"VARCHAR\"]'))", {"doc"}),
        ("list_transform(tags, x -> x || suffix)", {"tags", "suffix"}),
        ("list_reduce(tags, (x, y) -> x || y)", {"tags"}),
        ("list_transform(tags, lambda x: x || suffix)", {"tags", "suffix"}),
    ],
)
def test_an_arrow_looks_into_a_document_unless_a_function_takes_a_lambda(sql: str, columns: set[str]) -> None:
    assert check_expression(sql, columns=None, params={}).columns == columns
    assert refusal("from_json(dok -> '$.lines', '[]')").message.startswith("filter: unknown column 'dok'")


def test_bare_columns_are_those_outside_aggregates() -> None:
    assert check("sum(a) + b", allow_aggregates=True).bare_columns == {"b"}


def test_an_aggregate_inside_an_aggregate_is_refused() -> None:
    assert "inside" in refusal("sum(max(a))", allow_aggregates=True).message


def test_an_order_may_end_in_a_direction() -> None:
    assert check_order("a desc", columns=COLUMNS, params={}, what="order").sql == '"a" DESC'
    assert check_order("lower(x)", columns=COLUMNS, params={}, what="order").sql == 'LOWER("x")'
    with pytest.raises(ExpressionError, match="here are 2"):
        check_order("a desc, b", columns=COLUMNS, params={}, what="order")


@pytest.mark.parametrize(
    "sql",
    [
        "(" * 9000,
        "(" * 3000 + "a" + ")" * 3000,
        "not " * 2000 + "a",
        "- " * 4500 + "a",
        "a" + "+a" * 4000,
        "[" * 500,
        "case when " * 900,
        "{'a': " * 1200,
        "x" * 10_001,
        "a." * 4000 + "a",
        "list_transform(" * 600,
        "xs" + "[1]" * 1000,
        "a" + "::int" * 1500,
    ],
)
def test_deep_and_long_expressions_end_in_a_named_error_or_a_result(sql: str) -> None:
    began = time.process_time()
    with suppress(ExpressionError):
        check_expression(sql, columns=None, params={})
    assert time.process_time() - began < 3


def test_an_exclamation_mark_in_a_text_is_no_operator() -> None:
    assert check_expression("name || '!'", columns={"name"}, params={}).sql == "\"name\" || '!'"
