"""Conditions that PostgreSQL evaluates itself: it keeps the rows that DuckDB keeps, or the condition is not pushed."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pyarrow as pa
import pytest
from tests.golden.bench import SharedEngine
from tests.golden.cases import Case, load_cases

from data_workbench.connectors.base import ReadRequest
from data_workbench.records.names import quoted

TEXTS = ["", "a", "A", "ab", "a%", "a_", "a\\%", "a\\b", "%", "_", "ä", "ä", "🙂b", "b🙂", "x'y", "  a", "NULL", None]
PUSHED = [
    "t like 'a%'",
    "t not like 'a%'",
    "t like '_b'",
    "t like '%b%'",
    "t like 'a\\%'",
    "t like 'ä'",
    "t like ''",
    "t like $pattern",
    "not t like '%a%' or n = 3",
    "starts_with(t, 'a')",
    "prefix(t, 'ä')",
    "starts_with(t, '')",
    "length(t) > 1",
    "length(t) = 2",
    "3 >= length(t)",
    "t = 'a' and n between 1 and 9",
    "t in ('a', 'ä')",
]
NOT_PUSHED = [
    "t ilike 'a'",
    "t like 'a!%' escape '!'",
    "t like n::text",
    "lower(t) = 'a'",
    "length(t) > 1.5",
    "n like '1'",
]


@pytest.fixture(scope="module")
def engine() -> Iterator[SharedEngine]:
    shared = SharedEngine()
    yield shared
    shared.database.close()


def kept(source, stream: str, where: str, **params: object) -> list[tuple[object, ...]]:
    reading = source.read(ReadRequest(stream, where=where, params=params))
    rows = pa.Table.from_batches(list(reading), schema=reading.schema).to_pylist()
    return sorted((tuple(row.values()) for row in rows), key=repr)


@pytest.mark.parametrize("where", PUSHED)
def test_a_condition_on_texts_keeps_the_rows_that_duckdb_keeps(source, execute, where: str) -> None:
    execute("CREATE TABLE there (n int, t text)")
    execute("INSERT INTO there SELECT * FROM unnest(%s::int[], %s::text[])", list(range(len(TEXTS))), TEXTS)
    assert source.pushes_where(where, source.describe("there").schema)
    rows = pa.table({"n": pa.array(range(len(TEXTS)), pa.int32()), "t": TEXTS})
    with duckdb.connect() as database:
        database.register("there", rows)
        given = {"pattern": "a_"} if "$pattern" in where else None
        wanted = database.execute(f"SELECT * FROM there WHERE {where}", given).fetchall()
    assert kept(source, "there", where, pattern="a_") == sorted(wanted, key=repr)


@pytest.mark.parametrize("where", NOT_PUSHED)
def test_a_condition_that_may_mean_something_else_is_not_pushed(source, execute, where: str) -> None:
    execute("CREATE TABLE there (n int, t text)")
    assert not source.pushes_where(where, source.describe("there").schema)


def filters() -> list[Case]:
    return [case for case in load_cases() if "filter" in case.steps[0] and "error" not in case.expect]


def test_conditions_of_golden_cases_keep_the_same_rows_where_they_are_pushed(
    source, execute, engine: SharedEngine
) -> None:
    pushed = 0
    for number, case in enumerate(filters()):
        given = next(iter(case.given.values()))
        name, where = f"there_{number}", case.steps[0]["filter"]
        columns = ", ".join(f"{quoted(column)} {kind}" for column, kind in _kinds(given.columns).items())
        execute(f"CREATE TABLE {name} ({columns})")
        for row in given.rows:
            execute(f"INSERT INTO {name} VALUES ({', '.join(['%s'] * len(row))})", *row)
        if not source.pushes_where(where, source.describe(name).schema):
            continue
        pushed += 1
        table = engine.table(given)
        with duckdb.connect() as database:
            database.register("there", table)
            wanted = database.execute(f"SELECT * FROM there WHERE {where}").fetchall()
        assert kept(source, name, where) == sorted(wanted, key=repr), case.name
    assert pushed >= 4


def _kinds(columns) -> dict[str, str]:
    names = {"number": "float8", "integer": "int4", "bigint": "int8", "boolean": "bool"}
    return {name: names.get(kind, kind) for name, kind in columns.items()}
