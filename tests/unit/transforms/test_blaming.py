"""What is told of an aggregate or window that cannot be computed in a way that sets no row or group aside."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from data_workbench.errors import TransformError
from data_workbench.transforms.folds import _OVERFLOWING

if TYPE_CHECKING:
    from .conftest import Bench

MOST, LEAST = Decimal("9" * 38), Decimal("-" + "9" * 38)
DISTINCT = "sum(distinct n)"
ROWS = pa.table(
    {
        "n": pa.array([MOST, MOST, Decimal(1)], pa.decimal128(38, 0)),
        "t": ["x", "1", "2"],
        "p": [None, "x", "x"],
        "k": [1] * 3,
    }
)


@pytest.mark.parametrize(
    ("step", "told"),
    [
        (
            {"aggregate": {"by": [], "take": {"c": "count(*)", "total": DISTINCT}}},
            "aggregate total: SUM(DIS",
        ),
        ({"window": {"take": {"c": "count(*)", "total": DISTINCT}}}, "window total: SUM(DISTINCT"),
        (
            {"hierarchy": {"key": "t", "parent": "p", "take": {"c": "count(*)", "total": "sum(n)"}}},
            "hierarchy total: sum(n)",
        ),
    ],
)
def test_it_is_named_with_its_step(bench: Bench, step: dict[str, Any], told: str) -> None:
    with pytest.raises(TransformError) as caught:
        bench.run({"rows": ROWS}, [{"name": "sums", **step}])
    assert f"sums: {told}" in caught.value.message
    assert "cannot be computed: " in caught.value.message


def test_it_is_named_too_where_rows_were_looked_at_one_by_one(bench: Bench) -> None:
    table = pa.concat_tables([ROWS, ROWS])
    step = {
        "name": "sums",
        "aggregate": {"by": [], "take": {"most": "max(t::integer)", "total": DISTINCT}},
    }
    with pytest.raises(TransformError, match=r"sums: aggregate total: SUM\(DISTINCT"):
        bench.run({"rows": table}, [step])


GROUPS = pa.table({
    "id": pa.array(range(7), pa.int64()),
    "k": ["few", "many", "many", "few", None, "many", "none"],
    "n": pa.array([Decimal(1), MOST, MOST, Decimal(2), MOST, LEAST, None], pa.decimal128(38, 0)),
    "d": [1.0, 1e308, -1e308, 3.0, 1e308, 1e308, None],
})  # fmt: skip


@pytest.mark.parametrize(
    ("take", "reason", "found"),
    [
        ("sum(n)", 'SUM("n")', [Decimal(3), MOST, None]),
        ("sum(n) filter (where n > 0)", 'SUM("n") FILTER(WHERE "n" > 0)', [Decimal(3), MOST, None]),
        ("coalesce(sum(n), 0) > 5 or max(d) > 1e300", 'SUM("n")', [False, True, None]),
    ],
)
def test_a_group_whose_sum_is_out_of_range_is_set_aside_and_the_others_go_on(
    bench: Bench, take: str, reason: str, found: list[Any]
) -> None:
    steps = [{"name": "sums", "aggregate": {"by": ["k"], "take": {"v": take, "rows": "count(*)"}}}]
    out = bench.run({"rows": GROUPS}, steps)
    assert out.column("sums", "k") == ["few", None, "none"]
    assert out.column("sums", "v") == found
    assert out.counts("sums") == {"in": 7, "out": 3, "quarantined": 1, "collapsed": 3}
    [record] = out.quarantine
    assert record["rules"] == ["aggregate v"]
    assert record["reason"] == f"{reason} cannot be computed for this group"
    assert record["key"] == '{"k":"many"}'


def test_rows_with_arguments_that_fail_and_groups_out_of_range_are_set_aside_each(bench: Bench) -> None:
    out = bench.run({"rows": GROUPS}, [{"name": "sums", "aggregate": {"by": ["k"], "take": {"v": "sum(n - 1)"}}}])
    assert out.column("sums", "k") == ["few", None, "none"]
    assert out.counts("sums") == {"in": 7, "out": 3, "quarantined": 2, "collapsed": 2}
    assert [record["reason"].partition(" cannot")[0] for record in out.quarantine] == ['SUM("n" - 1)', '"n" - 1']


@pytest.mark.parametrize(
    ("step", "out"),
    [
        ({"pivot": {"by": "k", "on": "k", "values": {"f": "few", "m": "many"}, "take": "sum(n)"}}, 1),
        ({"aggregate": {"by": [], "take": {"v": "sum(n)"}}}, 0),
        ({"aggregate": {"by": ["k"], "take": {"v": "sum(n)"}, "rollup": True, "level": "l"}}, 3),
        ({"aggregate": {"by": ["k"], "take": {"v": "sum(n)"}, "having": "v > 0"}}, 2),
        ({"aggregate": {"by": ["k"], "take": {"v": "sum(n)"}, "incremental": True}}, 3),
    ],
)
def test_whatever_folds_rows_sets_such_groups_aside(bench: Bench, step: dict[str, Any], out: int) -> None:
    about = {"rows": {"key": ("id",), "key_is_unique": True}}
    found = bench.run({"rows": GROUPS}, [{"name": "sums", **step}], about=about)
    assert found.counts("sums").get("out", 0) == out
    assert all('SUM("n")' in record["reason"] for record in found.quarantine)
    assert len(found.quarantine) == found.counts("sums")["quarantined"] >= 1


def test_a_group_set_aside_is_told_to_merge_destinations_as_held(bench: Bench) -> None:
    steps = [{"name": "sums", "aggregate": {"by": ["k"], "take": {"v": "sum(n)"}}}]
    out = bench.run({"rows": GROUPS}, steps, retract={"sums"})
    assert out.marks("sums", "k") == [("few", "u"), ("many", "h"), (None, "u"), ("none", "u")]


def test_a_row_whose_running_sum_is_out_of_range_is_set_aside_and_the_others_go_on(bench: Bench) -> None:
    window = {"by": ["k"], "order": ["id"], "take": {"v": "sum(n)", "mean": "avg(d)", "place": "row_number()"}}
    out = bench.run({"rows": GROUPS}, [{"name": "sums", "window": window}])
    assert out.column("sums", "id") == [0, 1, 3, 4, 6]
    assert out.column("sums", "v") == [Decimal(1), MOST, Decimal(3), MOST, None]
    assert out.column("sums", "place") == [1, 1, 2, 1, 1]
    assert [record["reason"] for record in out.quarantine] == ['SUM("n") cannot be computed for this row'] * 2
    assert [json.loads(record["row"])["id"] for record in out.quarantine] == [2, 5]
    assert out.counts("sums") == {"in": 7, "out": 5, "quarantined": 2}
    held = bench.run({"rows": GROUPS}, [{"name": "sums", "window": window}], retract={"sums"})
    assert [mark for _, mark in held.marks("sums", "id")] == ["u", "u", "h", "u", "u", "h", "u"]


@pytest.mark.parametrize("name", sorted(_OVERFLOWING))
def test_each_aggregate_that_may_be_out_of_range_is_one_that_lists_can_be_folded_with(bench: Bench, name: str) -> None:
    rows = pa.table({"k": ["a", "a", "a", "a"], "x": [1, 2, 4, 8]})
    take = {"v": f"{name}(x)"}
    [folded] = bench.run({"rows": rows}, [{"name": "s", "aggregate": {"by": ["k"], "take": take}}]).column("s", "v")
    around = bench.run({"rows": rows}, [{"name": "s", "window": {"by": ["k"], "take": take}}]).column("s", "v")
    assert around == [pytest.approx(folded)] * 4


@pytest.mark.parametrize("name", ["geomean", "geometric_mean"])
def test_an_aggregate_that_is_a_macro_of_the_engine_is_no_catalog_error(bench: Bench, name: str) -> None:
    rows = pa.table({"k": ["a", "a"], "x": pa.array([2.0, 8.0])})
    steps = [{"name": "s", "aggregate": {"by": ["k"], "take": {"v": f"{name}(x)"}}}]
    assert bench.run({"rows": rows}, steps).column("s", "v") == [pytest.approx(4.0)]


def test_a_window_whose_values_memory_does_not_hold_is_told_with_what_helps(bench: Bench) -> None:
    bench.settings = replace(bench.settings, duckdb_memory="256MB")
    values = [Decimal(1)] * 7998 + [MOST] * 2
    rows = pa.table({"id": range(8000), "n": pa.array(values, pa.decimal128(38, 0))})
    window: dict[str, Any] = {"order": ["id"], "take": {"v": "sum(n)"}}
    with pytest.raises(TransformError, match=r"sums: window v: SUM\(\"n\"\) cannot be computed: ") as caught:
        bench.run({"rows": rows}, [{"name": "sums", "window": window}])
    assert "WORKBENCH_DUCKDB_MEMORY" in str(caught.value.hint)
    assert "double" in str(caught.value.hint)
    window["take"]["v"] = "sum(cast(n as double))"
    assert bench.run({"rows": rows}, [{"name": "sums", "window": window}]).counts("sums") == {"in": 8000, "out": 8000}
