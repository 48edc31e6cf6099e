"""Plans rehearsed for Spark: written in its SQL, without Spark and without its packages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from tests.golden.bench import SharedEngine, compiled
from tests.golden.cases import load_cases

from data_workbench.errors import TransformError
from data_workbench.transforms.compile import compile_plan
from data_workbench.transforms.sources import SourceInput
from data_workbench.transforms.spark.rehearsal import rehearse
from data_workbench.transforms.spark.types import NoSparkType, spark_type
from data_workbench.transforms.spec import Step

if TYPE_CHECKING:
    from data_workbench.transforms.plan import TransformPlan


@pytest.fixture(scope="module")
def engine() -> Iterator[SharedEngine]:
    shared = SharedEngine()
    yield shared
    shared.database.close()


def plan(schema: pa.Schema, *steps: dict[str, object]) -> TransformPlan:
    models = [Step.model_validate(step) for step in steps]
    names = ["rows", *(step.name for step in models)]
    inputs = {step.name: names[index] for index, step in enumerate(models)}
    return compile_plan(sources={"rows": SourceInput(schema)}, steps=models, step_inputs=inputs, needed={names[-1]})


@pytest.mark.slow
def test_no_golden_case_is_refused(engine: SharedEngine) -> None:
    """The last of each file; tests/spark runs them all."""
    last = {case.file: case for case in load_cases() if "error" not in case.expect and not case.is_for_duckdb}
    for case in last.values():
        rehearse(compiled(case, engine))


def test_steps_that_ask_for_each_row_are_refused() -> None:
    asks: dict[str, object] = {
        "name": "found",
        "enrich": {"connection": "api", "given": {"id": "id"}, "rest": {"path": "{id}"}, "take": {"a": "a"}},
    }
    for step in (asks, {"name": "found", "embed": {"text": "t"}}):
        found = plan(pa.schema([("id", pa.int32()), ("t", pa.string())]), step)
        with pytest.raises(TransformError, match=r"^found: (enrich|embed) asks for each row, which executors of Spark"):
            rehearse(found)


def test_a_column_of_a_type_that_spark_has_not_is_refused_by_name() -> None:
    schema = pa.schema([("id", pa.int32()), ("at", pa.timestamp("ns"))])
    found = plan(schema, {"name": "few", "select": ["id", "at"]})
    with pytest.raises(TransformError, match=r"^rows: column 'at': Spark has no type for") as caught:
        rehearse(found)
    assert "engine: duckdb" in str(caught.value.hint)


def test_a_derived_column_of_such_a_type_is_refused_with_its_step() -> None:
    schema = pa.schema([("a", pa.timestamp("us")), ("b", pa.timestamp("us"))])
    with pytest.raises(TransformError, match=r"^between: .*Spark has no type for interval"):
        rehearse(plan(schema, {"name": "between", "derive": {"apart": "b - a"}}))


def test_what_spark_computes_alike_stays_with_spark() -> None:
    """Comparisons, sums and lossless casts leave nothing for DuckDB but the words for the quarantine."""
    from data_workbench.transforms.spark import rehearsal

    asked: list[str] = []

    class Noting(rehearsal._Rehearsal):
        def _define(self, remote: rehearsal.Remote) -> str:
            asked.append(remote.sql)
            return super()._define(remote)

    schema = pa.schema([("id", pa.int32()), ("n", pa.int64()), ("price", pa.decimal128(10, 2)), ("name", pa.string())])
    found = plan(
        schema,
        {"name": "some", "filter": "n > 3 and name is not null and n in (4, 5)"},
        {"name": "more", "derive": {"total": "price * 2.5", "next": "n + 1", "both": "name || '-' || id::text"}},
        {
            "name": "sums",
            "aggregate": {"by": ["name"], "take": {"n": "count(*)", "all": "sum(n)", "top": "max(price)"}},
        },
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rehearsal, "_Rehearsal", Noting)
        rehearse(found)
    assert [sql for sql in asked if "json_object" not in sql.lower() and "'rules'" not in sql.lower()] == []


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("INTEGER", "INT"),
        ("UBIGINT", "DECIMAL(20,0)"),
        ("DECIMAL(18,3)", "DECIMAL(18,3)"),
        ("TIMESTAMP WITH TIME ZONE", "TIMESTAMP"),
        ("TIMESTAMP", "TIMESTAMP_NTZ"),
        ('STRUCT("a b" INTEGER, c VARCHAR[])[]', "ARRAY<STRUCT<`a b`: INT, `c`: ARRAY<STRING>>>"),
        ("MAP(VARCHAR, BLOB)", "MAP<STRING, BINARY>"),
        ('"NULL"', "STRING"),
    ],
)
def test_types_of_duckdb_are_types_of_spark(kind: str, wanted: str) -> None:
    assert spark_type(kind) == wanted


def test_a_type_that_spark_has_not_is_told() -> None:
    with pytest.raises(NoSparkType, match=r"Spark has no type for bit\[\]"):
        spark_type("BIT[]")
