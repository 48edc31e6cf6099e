"""The engine is locked in, spills, keeps within memory, and hands errors and batches on."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb  # its errors are expected
import pyarrow as pa
import pytest

from data_workbench.errors import ResourceExhausted, TransformError
from data_workbench.settings import Settings
from data_workbench.transforms.ahead import ahead
from data_workbench.transforms.engine import bindings, open_engine
from data_workbench.transforms.sparing import sort_by_stretches

if TYPE_CHECKING:
    from .conftest import Bench


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_engine(
        settings=Settings(), work_folder=tmp_path / "work", params=bindings({"who": "text"}, {"who": "it's"}, None)
    ) as connection:
        yield connection


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_text('/etc/hostname')",
        "SELECT * FROM read_csv('/etc/passwd')",
        "COPY (SELECT 1) TO '/tmp/escaped.csv'",
        "ATTACH '/tmp/escaped.db'",
        "INSTALL httpfs",
        "SET enable_external_access = true",
        "SET memory_limit = '100GB'",
        "SET allowed_directories = ['/']",
    ],
)
def test_nothing_leads_out(engine: duckdb.DuckDBPyConnection, sql: str) -> None:
    with pytest.raises(duckdb.Error):
        engine.execute(sql).fetchall()


def test_params_have_their_declared_type(engine: duckdb.DuckDBPyConnection) -> None:
    found = engine.execute("SELECT getvariable('param_who'), typeof(getvariable('param__wb_now'))").fetchall()
    assert found == [("it's", "TIMESTAMP WITH TIME ZONE")]


@pytest.mark.slow
def test_work_larger_than_memory_spills_to_the_work_folder(bench: Bench) -> None:
    rows = 200_000
    table = pa.table({"id": range(rows), "text": [f"{i:08d}" * 40 for i in range(rows)]})
    small = replace(bench, settings=replace(bench.settings, duckdb_memory="96MB"))
    steps = [{"name": "j", "input": "t", "join": {"with": "o", "on": {"id": "other"}}}]
    other = table.rename_columns(["other", "again"])
    out = small.run({"t": table, "o": other}, steps, about={"t": {"key": ("id",)}, "o": {"key": ("other",)}})
    assert out.counts("j") == {"in": rows, "out": rows}
    # A join that spills gives rows in an order of its own, the same each time on one thread.
    assert sorted(out.tables["j"].column("id").to_pylist()) == list(range(rows))


@pytest.mark.slow
def test_a_sort_that_memory_does_not_hold_gives_the_rows_of_one_that_it_does(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    from data_workbench.transforms import making

    asked: list[str] = []

    def noted(engine: duckdb.DuckDBPyConnection, sort: Mapping[str, Any]) -> None:
        asked.append(sort["name"])
        sort_by_stretches(engine, sort)

    monkeypatch.setattr(making, "sort_by_stretches", noted)
    rows = 200_000
    values = [i * 7919 % 1000 if i % 7 else None for i in range(rows)]
    table = pa.table({"id": range(rows), "v": values, "text": [f"{i:08d}" * 60 for i in range(rows)]})
    steps = [{"name": "s", "sort": {"by": ["v desc nulls last"]}}, {"name": "few", "select": ["id", "v"]}]
    found = {}
    for memory in ("1GB", "40MB"):
        small = replace(bench, settings=replace(bench.settings, duckdb_memory=memory))
        found[memory] = small.run({"t": table}, steps)
    assert asked == ["s"]
    assert found["40MB"].counts("s") == {"in": rows, "out": rows}
    assert found["40MB"].tables["few"].equals(found["1GB"].tables["few"])


def test_an_aggregate_that_cannot_be_computed_names_its_step(bench: Bench) -> None:
    table = pa.table({"v": pa.array([Decimal("9" * 38), Decimal(1)], pa.decimal128(38, 0))})
    with pytest.raises(TransformError, match=r"^a: "):
        bench.run({"t": table}, [{"name": "a", "aggregate": {"by": [], "take": {"s": "sum(distinct v)"}}}])


def test_a_join_that_explodes_is_refused_before_it_makes_a_row(bench: Bench) -> None:
    many = pa.table({"k": [1] * 300 + [2, None], "v": range(302)})
    few = pa.table({"k": [1] * 40 + [2, 3], "w": range(42)})
    step = {"name": "j", "input": "many", "join": {"with": "few", "on": {"k": "k"}}}
    bench.settings = replace(bench.settings, max_join_rows=12_001)
    assert bench.run({"many": many, "few": few}, [step]).counts("j")["out"] == 12_001
    bench.settings = replace(bench.settings, max_join_rows=12_000)
    with pytest.raises(ResourceExhausted, match=r"step 'j': the join with 'few' would make 12001 rows; at most 12000"):
        bench.run({"many": many, "few": few}, [step])


def _reader(batches: Iterator[pa.RecordBatch]) -> pa.RecordBatchReader:
    return pa.RecordBatchReader.from_batches(pa.schema([("v", pa.int64())]), batches)


def _batches(count: int) -> Iterator[pa.RecordBatch]:
    for index in range(count):
        yield pa.record_batch({"v": [index]})


def test_batches_read_ahead_come_in_order() -> None:
    with ahead(_reader(_batches(20))) as batches:
        assert [batch.column(0)[0].as_py() for batch in batches] == list(range(20))


def test_an_error_of_the_reader_rises_where_the_batch_would_have_been() -> None:
    def broken() -> Iterator[pa.RecordBatch]:
        yield from _batches(2)
        raise ValueError("the disk is gone")

    seen = []

    def read() -> None:
        with ahead(_reader(broken())) as batches:
            seen.extend(batches)

    with pytest.raises(ValueError, match="the disk is gone"):
        read()


def test_a_sink_that_fails_leaves_no_thread_behind() -> None:
    def read() -> None:
        with ahead(_reader(_batches(1000))) as batches:
            next(batches)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        read()
    assert not [thread for thread in threading.enumerate() if thread.name == "transforms-ahead"]
