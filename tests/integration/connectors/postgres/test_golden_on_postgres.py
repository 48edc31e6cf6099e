"""Golden cases (tests/golden) computed by PostgreSQL, wherever all of their steps mean the same there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.golden.bench import NOW, Bench, SharedEngine, about
from tests.golden.cases import Case, load_cases, same

from data_workbench.errors import Unsupported
from data_workbench.mapping.targets import LoadContext, TableTarget
from data_workbench.pipelines.pushing import tally
from data_workbench.records.names import quoted
from data_workbench.records.pushed import PushedStatement
from data_workbench.transforms.clock import NOW_PARAM
from data_workbench.transforms.plan import TransformPlan
from data_workbench.transforms.pushdown.statement import Read, push
from data_workbench.transforms.pushdown.values import NotPushed
from data_workbench.transforms.spec import Step


def is_read_whole(case: Case) -> bool:
    """Whether every row of its inputs is a row of the pipeline, as a pushed source has it."""
    return all(one.deletes is None and (not one.key or one.unique) for one in case.given.values())


CASES = [
    one for one in load_cases() if "error" not in one.expect and not one.merge and not one.beside and is_read_whole(one)
]
PUSHED = 36
"""So many of them are computed there, so that a step that no longer is does not go unnoticed; the documents say so."""
_NATIVE = {"number": "float8", "double": "float8", "integer": "int4", "bigint": "int8", "boolean": "bool"}


@dataclass
class Compiled:
    """Stands where a run's plan does for counting."""

    transform: TransformPlan


@pytest.fixture(scope="module")
def engine() -> Iterator[SharedEngine]:
    shared = SharedEngine()
    yield shared
    shared.database.close()


def stored(case: Case, execute) -> dict[str, str]:
    """A case's inputs as tables."""
    made = {}
    for name, given in case.given.items():
        table = f"public.{quoted(f'given_{name}')}"
        columns = [f"{quoted(column)} {_NATIVE.get(kind, kind)}" for column, kind in given.columns.items()]
        key = [f"PRIMARY KEY ({', '.join(map(quoted, given.key))})"] if given.unique else []
        execute(f"DROP TABLE IF EXISTS {table}")
        execute(f"CREATE TABLE {table} ({', '.join([*columns, *key])})")
        if given.rows:
            row = f"({', '.join(['%s'] * len(columns))})"
            values = [value for one in given.rows for value in one]
            execute(f"INSERT INTO {table} VALUES {', '.join([row] * len(given.rows))}", *values)
        made[name] = table
    return made


def compiled(case: Case, tables: Mapping[str, str], source, folder: Path, engine: SharedEngine):
    """The plan and its statement over the tables."""
    bench = Bench(folder, opener=engine)
    schemas = {name: source.describe(table).schema for name, table in tables.items()}
    empty = {name: schema.empty_table() for name, schema in schemas.items()}
    last = case.steps[-1]["name"]
    transform = bench.compile(empty, case.steps, about(case), None, {}, dict(case.params), {last}, None)
    reads = {name: Read(table, schemas[name].names, schemas[name]) for name, table in tables.items()}
    steps = [Step.model_validate(step) for step in case.steps]
    return transform, push(transform, steps, reads, target=last)


def check_rows(case: Case, found: list[dict[str, Any]]) -> None:
    """The rows of a case, in whatever order."""
    wanted = list(case.expect.get("rows", []))
    assert len(found) == len(wanted), found
    for row in found:
        match = next((one for one in wanted if all(same(one[name], row[name]) for name in one)), None)
        assert match is not None, f"{row} is none of {wanted}"
        wanted.remove(match)


def load(statement: PushedStatement, transform: TransformPlan, params: Mapping[str, Any], destination, number: int):
    target = TableTarget(statement.last, f"public.out_{number}", (), "replace")
    context = LoadContext("golden", "out", f"run-{number}", 0, NOW.isoformat())
    schema = transform.node(statement.last).columns
    return destination.run_steps(statement, {**params, NOW_PARAM: NOW}, target, schema, context, compares=True)


def test_golden_cases_come_out_of_postgresql_as_written_wherever_they_are_pushed(
    source, destination, execute, tmp_path: Path, engine: SharedEngine
) -> None:
    pushed = 0
    for number, case in enumerate(CASES):
        try:
            tables = stored(case, execute)
        except psycopg.Error:  # PostgreSQL has no such type or value: nothing to read from it
            continue
        try:
            transform, statement = compiled(case, tables, source, tmp_path, engine)
        except NotPushed:
            continue
        params = {name: value for name, (_, value) in case.params.items()}
        try:
            counts, counted = load(statement, transform, params, destination, number)
        except Unsupported:
            is_about_rows = case.expect.get("quarantined") or "on_failure" in str(case.steps)
            assert is_about_rows, f"{case.name}: only a value that cannot be made ends the attempt"
            continue
        pushed += 1
        names = [name for name, _ in statement.columns]
        rows = execute(f"SELECT {', '.join(map(quoted, names))} FROM public.out_{number}")
        check_rows(case, [dict(zip(names, row, strict=True)) for row in rows])
        assert counts.inserted == len(rows)
        told = tally(Compiled(transform), counted)["steps"][case.steps[-1]["name"]]  # type: ignore[arg-type]
        if "counts" in case.expect:
            assert {name: count for name, count in told.items() if count} == case.expect["counts"], case.name
    assert pushed == PUSHED
