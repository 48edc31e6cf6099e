"""Hierarchies of any shape hold to what a plain walk gives: trees, several parents, rings, chains."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import replace

import pyarrow as pa
import pytest
from tests.golden.bench import SharedEngine
from tests.unit.transforms.conftest import Bench

from data_workbench.errors import ResourceExhausted


@pytest.fixture(scope="module")
def engine() -> Iterator[SharedEngine]:
    shared = SharedEngine()
    yield shared
    shared.database.close()


def above(node: int, parents: Mapping[int, set[int]]) -> set[int]:
    """All nodes that ways up from a node lead to."""
    found: set[int] = set()
    waiting = [node]
    while waiting:
        for parent in parents[waiting.pop()] - found:
            found.add(parent)
            waiting.append(parent)
    return found


@pytest.mark.parametrize("seed", range(8))
def test_any_graph_comes_out_as_a_plain_walk_gives_it(seed: int, bench: Bench, engine: SharedEngine) -> None:
    bench.opener = engine
    dice = random.Random(seed)
    nodes = list(range(dice.randint(1, 25)))
    values = {node: dice.randint(-50, 50) for node in nodes}
    edges = [(dice.choice(nodes), dice.choice([*nodes, 99])) for _ in range(dice.randint(0, 30))]
    parents: dict[int, set[int]] = {node: set() for node in nodes}
    for child, parent in edges:
        if parent in parents:
            parents[child].add(parent)
    rings = {node for node in nodes if node in above(node, parents)}
    kept = {node: parents[node] - rings for node in nodes if node not in rings}
    members = {node: {node, *(one for one in kept if node in above(one, kept))} for node in kept}
    for direction in ("up", "down"):
        rule = {
            "key": "id",
            "edges": {"with": "edges", "child": "child", "parent": "parent"},
            "take": {"total": "sum(v)", "rows": "count(*)"},
            "direction": direction,
        }
        out = bench.run(
            {
                "nodes": pa.table({"id": nodes, "v": [values[node] for node in nodes]}),
                "edges": pa.table({"child": pa.array([one for one, _ in edges], pa.int64()),
                                   "parent": pa.array([one for _, one in edges], pa.int64())}),
            },
            [{"name": "rolled", "input": "nodes", "hierarchy": rule}],
        )  # fmt: skip
        wanted = members if direction == "up" else {node: {node, *above(node, kept)} for node in kept}
        found = {row["id"]: (row["total"], row["rows"]) for row in out.rows("rolled")}
        assert found == {node: (sum(values[one] for one in many), len(many)) for node, many in wanted.items()}
        assert {json.loads(record["row"])["id"] for record in out.quarantine} == rings


def test_a_chain_is_as_deep_as_it_is_long_and_too_many_pairs_are_refused(bench: Bench, engine: SharedEngine) -> None:
    bench.opener = engine
    chain = pa.table({"id": list(range(300)), "up": [None, *range(299)]})
    step = {"name": "rolled", "hierarchy": {"key": "id", "parent": "up", "take": {"n": "count(*)"}, "depth": "level"}}
    rows = bench.run({"rows": chain}, [step]).rows("rolled")
    assert [row["level"] for row in rows] == list(range(300))
    assert [row["n"] for row in rows] == list(range(300, 0, -1))
    bench.settings = replace(bench.settings, max_join_rows=10_000)
    with pytest.raises(ResourceExhausted, match="step 'rolled': hierarchy would make more than 10000 pairs"):
        bench.run({"rows": chain}, [step])
