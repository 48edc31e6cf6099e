"""Incremental aggregates: after each of a hundred random change sets what stands is what a full computation gives."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.golden.bench import NOW, SharedEngine
from tests.unit.transforms.conftest import Bench

from data_workbench.records.marks import OP
from data_workbench.transforms.execute import execute
from data_workbench.transforms.plan import TransformPlan

SCHEMA = pa.schema(
    [("id", pa.int64()), ("shop", pa.string()), ("n", pa.int64()), ("x", pa.float64()), ("gone", pa.bool_())]
)
TAKE = {
    "rows": "count(*)",
    "total": "sum(n)",
    "mean": "avg(x)",
    "spread": "max(x) - min(x)",
    "ids": "list(id)",
    "big": "count(*) filter (where n > 5)",
    "ratio": "sum(100 // n)",
}
STEPS = [
    {"name": "kept", "filter": "n <> 7"},
    {"name": "sums", "aggregate": {"by": ["shop"], "take": TAKE, "having": "rows < 6", "incremental": True}},
]
ABOUT = {"sales": {"key": ["id"], "key_is_unique": True, "tombstone_when": "gone"}}


@pytest.fixture(scope="module")
def engine() -> Iterator[SharedEngine]:
    shared = SharedEngine()
    yield shared
    shared.database.close()


def changed(dice: random.Random, standing: dict[int, dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """A change set: rows that are new, others, or deleted, each key once."""
    found: dict[int, dict[str, Any]] = {}
    for _ in range(dice.randint(0, 12)):
        key = dice.randint(1, 60)
        row = {
            "id": key,
            "shop": dice.choice(["a", "b", "c", "d", "e", None]),
            "n": dice.choice([0, 1, 2, 3, 7, 50]),
            "x": dice.choice([0.1, 0.2, 0.3, 1e16, -1e16, None]),
            "gone": dice.random() < 0.25,
        }
        if row["gone"] and key not in standing:
            continue
        found[key] = row
    return found


@pytest.mark.slow
def test_a_hundred_change_sets_give_what_a_full_computation_gives(bench: Bench, engine: SharedEngine) -> None:
    bench.opener = engine
    dice = random.Random(7)
    table = pa.Table.from_pylist([], SCHEMA)
    plan = bench.compile({"sales": table}, STEPS, ABOUT, None, None, None, {"sums"}, {"sums"})
    again = bench.compile({"sales": table}, STEPS, ABOUT, None, None, None, {"sums"}, {"sums"})
    standing: dict[int, dict[str, Any]] = {}
    merged: dict[Any, dict[str, Any]] = {}
    kept = None
    whole_runs = 0
    for number in range(100):
        came = changed(dice, standing)
        standing.update(came)
        standing = {key: row for key, row in standing.items() if not row["gone"]}
        whole = dice.random() < 0.1  # as after --full-refresh, or when what was kept is lost
        whole_runs += whole
        rows = list(standing.values()) if whole else list(came.values())
        dice.shuffle(rows)
        found, kept = run(bench, plan, rows, kept, whole=whole)
        for row in found:
            mark = row.pop(OP)
            merged.pop(row["shop"], None)
            if mark == "u":
                merged[row["shop"]] = row
        wanted, _ = run(bench, again, list(standing.values()), None, whole=True)
        live = {row["shop"]: {name: value for name, value in row.items() if name != OP}
                for row in wanted if row[OP] == "u"}  # fmt: skip
        assert merged == live, f"change set {number}"
    assert whole_runs > 3


def run(
    bench: Bench, plan: TransformPlan, rows: list[dict[str, Any]], kept: pa.Table | None, *, whole: bool
) -> tuple[list[dict[str, Any]], pa.Table | None]:
    """Groups that are handed on, and what is kept from then on."""
    out: list[pa.RecordBatch] = []
    keeps: list[pa.RecordBatch] = []
    sides = {}
    if kept is not None:
        path = bench.folder / "kept.parquet"
        pq.write_table(kept, path)
        sides = {"kept:sums": [path]}
    report = execute(
        plan,
        inputs={"sales": bench.land("sales", pa.Table.from_pylist(rows, SCHEMA))},
        side_inputs=sides,
        now=NOW,
        settings=bench.settings,
        work_folder=bench.folder / "work",
        outputs={"sums": out.append},
        quarantine=lambda _: None,
        kept={"sums": keeps.append},
        whole=["sums"] if whole else [],
        opener=bench.opener,
    )
    if "sums" in report.unkept:
        assert not keeps
        return [row for batch in out for row in batch.to_pylist()], kept
    after = pa.Table.from_batches(keeps, plan.sides["kept:sums"]) if keeps else plan.sides["kept:sums"].empty_table()
    return [row for batch in out for row in batch.to_pylist()], after
