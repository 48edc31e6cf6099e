"""A pass over batches: what it says is what is there, whatever the values."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_workbench.connectors.connections import Connections, from_environment
from data_workbench.connectors.registry import open_source
from data_workbench.errors import StoreUnavailable, StreamUnknown
from data_workbench.quality.profiling import Asked, compare, profile, suggest
from data_workbench.quality.profiling.sample import Sample
from data_workbench.quality.profiling.scan import _Scan
from data_workbench.quality.profiling.shape import components, of_edges
from data_workbench.quality.profiling.vectors import Vectors
from data_workbench.settings import Settings


def profiled(folder: Path, table: pa.Table, **asked: Any) -> dict[str, Any]:
    pq.write_table(table, folder / "rows.parquet")
    connection = Connections(from_environment).get(f"file://{folder}")
    with open_source(connection, Settings(home=folder / "home")) as source:
        found = profile(source, Asked("files", "rows.parquet", **asked), Settings(home=folder / "home"))
    json.dumps(found, allow_nan=False)
    return found


def test_small_tables_are_told_exactly(tmp_path: Path) -> None:
    table = pa.table(
        {
            "id": range(100),
            "code": [f"AB-{n:04}" for n in range(100)],
            "state": ["open", "open", "done", None] * 25,
            "price": [Decimal(n) / 4 for n in range(100)],
            "measured": [float("nan"), float("inf"), *map(float, range(98))],
            "day": [date(2024, 1, 1 + n % 28) for n in range(100)],
            "is_on": [True, False] * 50,
            "tags": [["a"] * (n % 3) for n in range(100)],
        }
    )
    found = profiled(tmp_path, table)
    columns = found["columns"]
    assert (found["rows"], found["sample_rows"], found["limited"]) == (100, 100, False)
    assert columns["id"]["distinct"] == {"value": 100, "method": "exact", "error": 0.0}
    assert columns["id"]["quantiles"]["0.5"] == 49.5
    assert sum(bar["count"] for bar in columns["id"]["histogram"]) == 100
    assert columns["code"]["patterns"] == [{"pattern": "A-9", "count": 100}]
    assert columns["code"]["lengths"] == {"min": 7, "mean": 7.0, "max": 7}
    assert columns["state"]["top"] == [{"value": "open", "count": 50}, {"value": "done", "count": 25}]
    assert (columns["state"]["nulls"], columns["state"]["null_share"]) == (25, 0.25)
    assert (columns["price"]["min"], columns["price"]["max"]) == ("0.00", "24.75")
    assert (columns["measured"]["not_finite"], columns["measured"]["max"]) == (2, 97.0)
    assert (columns["day"]["min"], columns["day"]["max"]) == ("2024-01-01", "2024-01-28")
    assert columns["is_on"]["top"][0]["count"] == 50
    assert columns["tags"]["lengths"] == {"min": 0, "mean": 0.99, "max": 2}


@pytest.mark.parametrize(
    "table",
    [
        pa.table({"id": pa.array([], pa.int64()), "text": pa.array([], pa.string())}),
        pa.table({"id": pa.array([None] * 5, pa.int64()), "text": pa.array([None] * 5, pa.string())}),
        pa.table({"id": [1], "text": ["<b>one</b>"]}),
        pa.table({"id": pa.array([None, None], pa.null()), "text": ["\U0001f600" * 5000, ""]}),
        pa.table({"id": pa.array([1e308, -1e308]), "text": ["a\x00b", "a"]}),
        pa.table({"id": pa.array([Decimal(10) ** 60], pa.decimal256(76, 0)), "text": ["x"]}),
    ],
    ids=["empty", "all null", "one row", "long", "extreme", "wide decimal"],
)
def test_strange_tables_have_a_profile_and_a_contract(tmp_path: Path, table: pa.Table) -> None:
    found = profiled(tmp_path, table)
    assert found["rows"] == table.num_rows
    assert suggest(found)["stream"] == "rows.parquet"
    assert compare(found, found)["differences"] == []


def test_columns_are_told_apart_whatever_they_are_called(tmp_path: Path) -> None:
    table = pa.table(
        {"Name": ["a", "b", "c"], "name": [None, None, "d"], "": [1, 2, 3], 'a"b': [5, 6, 7]}
        | {"kind": pa.array(["x", "y", "x"]).dictionary_encode()}
    )
    found = profiled(tmp_path, table)["columns"]
    assert {name: one["nulls"] for name, one in found.items()} == {"Name": 0, "name": 2, "": 0, 'a"b': 0, "kind": 0}
    assert (found["name"]["max"], found[""]["max"], found['a"b']["max"]) == ("d", 3, 7)
    assert (found["kind"]["kind"], found["kind"]["top"][0]) == ("text", {"value": "x", "count": 2})


def test_what_is_hidden_is_counted_and_not_shown(tmp_path: Path) -> None:
    table = pa.table({"secret": [f"word{n}" for n in range(20)], "open": ["word3"] * 20})
    found = profiled(tmp_path, table, hidden={"secret": "classified"})
    told = found["columns"]["secret"]
    assert told["distinct"]["value"] == 20
    assert "word" not in json.dumps(told)
    assert suggest(found)["columns"]["secret"] == {"required": True, "classification": "controlled"}


def test_chosen_columns_and_rows_alone_are_looked_at(tmp_path: Path) -> None:
    table = pa.table({"a": range(50), "b": range(50)})
    found = profiled(tmp_path, table, columns=("b",), sample=10)
    assert (list(found["columns"]), found["rows"], found["limited"]) == (["b"], 10, True)
    assert "unique" not in suggest(found)["columns"]["b"], "ten rows prove nothing of the others"
    with pytest.raises(StreamUnknown, match="'c'"):
        profiled(tmp_path, table, columns=("c",))


def test_a_large_table_is_sampled_and_its_distinct_count_says_how_far_it_may_be_off(tmp_path: Path) -> None:
    rows = 120_000
    table = pa.table({"id": range(rows), "group": [n % 40 for n in range(rows)]})
    found = profiled(tmp_path, table)
    told = found["columns"]["id"]
    assert (found["rows"], told["sampled"], told["min"], told["max"]) == (rows, True, 0, rows - 1)
    assert told["distinct"]["method"] == "hyperloglog"
    assert abs(told["distinct"]["value"] - rows) <= told["distinct"]["error"] * rows
    assert 20_000 <= found["sample_rows"] <= 50_000
    assert abs(told["quantiles"]["0.5"] - rows / 2) < rows * 0.02


def test_a_store_that_dies_while_it_is_read_is_told_as_itself(tmp_path: Path) -> None:
    schema = pa.schema([("id", pa.int64())])

    def dying() -> Iterator[pa.RecordBatch]:
        yield pa.record_batch({"id": [1, 2]})
        raise StoreUnavailable("gone")

    with pytest.raises(StoreUnavailable, match="gone"):
        _Scan(schema, {}).run(dying(), Settings(home=tmp_path))


def test_a_sample_is_bounded_the_same_each_time_and_without_a_lean() -> None:
    def sampled() -> list[int]:
        sample = Sample(pa.schema([("n", pa.int64())]), rows=1000)
        for start in range(0, 100_000, 5_000):
            sample.add(pa.record_batch({"n": range(start, start + 5_000)}))
        assert not sample.is_whole
        values: list[int] = sample.table.column("n").to_pylist()
        return values

    kept = sampled()
    assert kept == sampled()
    assert 400 <= len(kept) <= 1000
    assert abs(np.mean(kept) - 50_000) < 5_000


def test_long_texts_cut_the_sample_by_their_bytes() -> None:
    sample = Sample(pa.schema([("t", pa.string())]), size=20_000)
    for _ in range(20):
        sample.add(pa.record_batch({"t": ["x" * 1_000_000] * 20}))
    assert sample.seen == 400
    assert sample.table.nbytes <= 20_000


def test_vectors_are_measured_and_their_doubles_found() -> None:
    random = np.random.default_rng(1)
    points = random.normal(size=(500, 16)).astype(np.float32)
    points /= np.linalg.norm(points, axis=1)[:, None]
    rows = [*points.tolist(), points[3].tolist(), [0.0] * 16, [float("nan")] * 16, None, [1.0] * 4]
    vectors = Vectors()
    for start in range(0, len(rows), 100):
        vectors.add(pa.array(rows[start : start + 100], pa.list_(pa.float32())))
    told = vectors.facts()
    assert told["dimensions"] == {"4": 1, "16": 503}
    assert (told["vectors"], told["nulls"], told["zero"], told["not_finite"], told["duplicates"]) == (504, 1, 1, 1, 1)
    assert told["norms"]["0.5"] == pytest.approx(1, abs=1e-4)
    assert not told["unit"], "one of them is zero"


def test_vectors_that_point_one_way_have_no_spread() -> None:
    random, one_way = Vectors(), Vectors()
    drawn = np.random.default_rng(2).normal(size=(400, 32)).astype(np.float32)
    random.add(pa.array(drawn.tolist(), pa.list_(pa.float32(), 32)))
    one_way.add(pa.array((np.ones((400, 32)) + drawn * 0.01).tolist(), pa.list_(pa.float32())))
    assert one_way.facts()["spread"] < 0.01
    assert random.facts()["spread"] > 0.9


def test_pieces_of_a_graph_are_found_in_long_chains_too() -> None:
    chain = np.arange(10_000)
    shuffled = np.random.default_rng(3).permutation(chain)
    found = components(shuffled[:-1][shuffled[:-1] >= 0], shuffled[1:], alone=3)
    assert found == {"count": 4, "largest": [10_000], "alone": 3}
    two = of_edges(np.array([1, 2, 7, 7, 7]), np.array([2, 3, 7, 8, 8]))
    assert (two["components"]["largest"], two["loops"], two["repeated"]) == ([3, 2], 1, 1)
    assert of_edges(np.zeros(0, np.int64), np.zeros(0, np.int64))["components"]["count"] == 0


def test_what_moved_between_two_profiles_is_told_the_greatest_first(tmp_path: Path) -> None:
    random = np.random.default_rng(4)
    before = pa.table(
        {
            "same": random.normal(size=4000),
            "shifted": random.normal(size=4000),
            "state": ["open", "done"] * 2000,
            "sometimes": [1] * 4000,
            "gone": [1] * 4000,
        }
    )
    now = pa.table(
        {
            "same": random.normal(size=4000),
            "shifted": random.normal(size=4000) + 2,
            "state": ["open", "open", "open", "done"] * 1000,
            "sometimes": [1, None] * 2000,
            "new": [1] * 4000,
        }
    )
    found = compare(profiled(tmp_path, before), profiled(tmp_path, now))["differences"]
    told = {(one["column"], one["what"]) for one in found}
    assert told == {
        ("gone", "column gone"),
        ("new", "column new"),
        ("shifted", "distribution"),
        ("state", "values"),
        ("sometimes", "null share"),
    }
    assert [one["distance"] for one in found] == sorted((one["distance"] for one in found), reverse=True)


def test_a_contract_is_proposed_that_its_rows_keep(tmp_path: Path) -> None:
    table = pa.table(
        {
            "id": range(60),
            "code": [f"AB-{n:04}" for n in range(60)],
            "state": ["open", "done", "late"] * 20,
            "note": [None, "some words"] * 30,
        }
    )
    proposed = suggest(profiled(tmp_path, table))
    assert proposed["columns"] == {
        "id": {"required": True, "unique": True, "min": 0},
        "code": {
            "required": True,
            "unique": True,
            "min_length": 7,
            "max_length": 7,
            "pattern": r"^\p{Lu}+\-[0-9]+$",
        },
        "state": {"required": True, "values": ["done", "late", "open"]},
    }

    from data_workbench.quality.contract import Contract
    from data_workbench.quality.soda import verify

    contract = Contract.model_validate({"columns": proposed["columns"]})
    assert {one.outcome for one in verify(contract, table, "rows")} == {"passed"}
