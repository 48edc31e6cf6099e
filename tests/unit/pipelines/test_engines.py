"""Which engine a pipeline asks for, and what of it reaches the plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from data_workbench.errors import DefinitionError, TransformError
from data_workbench.language.definition import parse_definition
from data_workbench.pipelines.engines import engine_of, opener_of
from data_workbench.pipelines.plan import RunPlan
from data_workbench.pipelines.planning import content_hash
from data_workbench.settings import Settings
from data_workbench.transforms.engine import open_engine

if TYPE_CHECKING:
    from tests.unit.pipelines.conftest import FileSite

BODY = """
sources: {rows: {connection: files, stream: rows.parquet, columns: [id, at], key: [id]}}
steps:
  - {name: more, derive: {x: "%s"}}
destinations: {out: {connection: files, file: out.jsonl, key: [id], write: replace}}
"""


def text(engine: str, derived: str = "id + 1") -> str:
    return f"version: 1\npipeline: p\n{engine}{BODY % derived}"


@pytest.mark.parametrize("engine", ["", "engine: duckdb\n", "engine: {name: duckdb}\n"])
def test_duckdb_is_the_engine_unless_another_is_named(engine: str) -> None:
    found = engine_of(parse_definition(text(engine)).spec)
    assert found == {}
    assert opener_of(found, Settings()) is open_engine


def test_a_master_and_options_of_spark_reach_the_plan(site: FileSite) -> None:
    site.put("rows.parquet", pa.table({"id": [1], "at": pa.array([1], pa.timestamp("us"))}))
    plan = site.plan("engine: {master: 'sc://h:1', options: {spark.x: true, spark.y: 2}}" + BODY % "id + 1")
    again = RunPlan.from_json(plan.to_json())
    assert again.engine == {"name": "spark", "master": "sc://h:1", "options": {"spark.x": True, "spark.y": 2}}


def test_an_environment_says_which_engine_computes_there() -> None:
    definition = parse_definition(text("engine: duckdb\nenvironments: {prod: {engine: spark}, dev: {owner: a}}\n"))
    assert engine_of(definition.in_environment("prod").spec)["name"] == "spark"
    assert engine_of(definition.in_environment("dev").spec) == {}


def test_the_engine_changes_no_row_and_so_not_the_content() -> None:
    one, other = (parse_definition(text(engine)).spec for engine in ("", "engine: spark\n"))
    assert content_hash(one) == content_hash(other)


@pytest.mark.parametrize(
    ("engine", "told"),
    [
        ("engine: flink\n", "engine"),
        ("engine: {name: duckdb, master: 'local[2]'}\n", "'master' belongs to engine spark"),
        ("engine: {options: {executor.memory: 1g}}\n", "'executor.memory' is no option of Spark's"),
    ],
)
def test_an_engine_that_is_none_is_refused(engine: str, told: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        parse_definition(text(engine))
    assert told in str(caught.value)


def test_what_spark_cannot_hold_is_refused_when_the_run_is_planned(site: FileSite) -> None:
    site.put("rows.parquet", pa.table({"id": [1], "at": pa.array([1], pa.timestamp("us"))}))
    body = BODY % "at - timestamp '2026-01-01'"
    assert site.plan(body).engine == {}
    with pytest.raises(TransformError, match=r"^more: .*: Spark has no type for interval") as caught:
        site.plan(f"engine: spark{body}")
    assert "engine: duckdb" in str(caught.value.hint)
