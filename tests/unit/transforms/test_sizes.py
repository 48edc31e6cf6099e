"""A number in a row decides how large a text or list becomes: one too large sets its row aside, and ends no process."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from data_workbench.errors import WorkbenchError
from data_workbench.transforms.expressions import ExpressionError, check_expression
from data_workbench.transforms.queries import check_query
from data_workbench.transforms.sizes import MOST_CHARACTERS, MOST_ELEMENTS

if TYPE_CHECKING:
    from .conftest import Bench

COLUMNS = {"id", "n", "big", "t", "tags", "day", "pattern"}
LARGE = 2_000_000_000
WIDE = "has a width of more than 9999 characters, or one that is a value"
ROWS = pa.table({
    "id": pa.array([1, 2], pa.int64()),
    "n": pa.array([3, LARGE], pa.int32()),
    "big": pa.array([3, 2**62], pa.int64()),
    "t": ["ab", "cd"],
    "tags": [["x", "y"], ["z"]],
    "pattern": ["{:>5}", "{:>1000000}"],
})  # fmt: skip


@pytest.mark.parametrize(
    ("expression", "first"),
    [
        ("repeat(t, n)", "ababab"),
        ("repeat(t, big)", "ababab"),
        ("repeat(repeat(t, n), n)", "ab" * 9),
        ("lpad(t, n, '.')", ".ab"),
        ("rpad(t, n, '.')", "ab."),
        ("range(n)", [0, 1, 2]),
        ("range(1, big)", [1, 2]),
        ("generate_series(0, n)", [0, 1, 2, 3]),
        ("range(0, big, 2)", [0, 2]),
        ("range(big, 0, -1)", [3, 2, 1]),
        ("len(generate_series(timestamp '2026-01-01', timestamp '2026-01-01' + to_seconds(n), interval 1 second))", 4),
        ("list_resize(tags, n)", ["x", "y", None]),
        ("array_resize(tags, n, '-')", ["x", "y", "-"]),
        ("len(bitstring('1', n))", 3),
        ("format(pattern, 3)", "    3"),
        ("printf(if(id = 1, '%1$2d', '%1$2000000d'), id)", " 1"),
        ("[lpad(one, n, '.') for one in tags]", ["..x", "..y"]),
        ("list_transform(range(n), lambda i: repeat('y', i))", ["", "y", "yy"]),
        ("list_transform(tags, lambda one: range(n))", [[0, 1, 2], [0, 1, 2]]),
        ("list_reduce(['x' for i in range(if(id = 1, 3, 40))], lambda a, b: a || a)", "xxxx"),
        ("list_reduce([['x'] for i in range(if(id = 1, 3, 40))], lambda a, b: list_concat(a, a))", ["x"] * 4),
    ],
)
def test_a_size_too_large_sets_its_row_aside(bench: Bench, expression: str, first: Any) -> None:
    out = bench.run({"rows": ROWS}, [{"name": "made", "derive": {"v": expression}}])
    assert out.column("made", "v") == [first]
    assert out.counts("made") == {"in": 2, "out": 1, "quarantined": 1}
    [record] = out.quarantine
    assert f"{expression} cannot be computed" in record["reason"]


def test_elements_of_a_list_share_what_may_be_made(bench: Bench) -> None:
    rows = pa.table({"n": [10, MOST_ELEMENTS // 2]})
    steps = [{"name": "made", "derive": {"v": "list_transform(range(n), lambda i: range(n))"}}]
    out = bench.run({"rows": rows}, steps)
    assert out.counts("made") == {"in": 2, "out": 1, "quarantined": 1}


def test_what_is_just_allowed_is_made(bench: Bench) -> None:
    rows = pa.table({"text": [MOST_CHARACTERS, MOST_CHARACTERS + 1], "list": [MOST_ELEMENTS] * 2})
    derive = {"a": "length(repeat('x', text))", "b": "length(lpad('', text::integer, 'x'))", "c": "len(range(list))"}
    out = bench.run({"rows": rows}, [{"name": "made", "derive": derive}])
    assert [out.column("made", name) for name in "abc"] == [[MOST_CHARACTERS], [MOST_CHARACTERS], [MOST_ELEMENTS]]


def test_no_number_makes_nothing_and_a_negative_one_nothing_either(bench: Bench) -> None:
    rows = pa.table({"n": pa.array([None, -1, 0], pa.int64())})
    out = bench.run({"rows": rows}, [{"name": "made", "derive": {"r": "range(n)", "t": "repeat('x', n)"}}])
    assert out.column("made", "r") == [None, [], []]
    assert out.column("made", "t") == [None, "", ""]


@pytest.mark.parametrize(
    ("expression", "made"),
    [
        ("range(a, b)", list(range(-100, 100))),
        ("range(u, w)", []),
        ("range(u, w, -1)", [5, 4]),
        ("range(big, big + 3)", [2**62, 2**62 + 1, 2**62 + 2]),
        ("range(low, high, 9223372036854775807)", [-(2**63), -1, 2**63 - 2]),
        ("len(generate_series(d, d + interval 100 year, interval 50 year))", 3),
    ],
)
def test_the_guard_of_a_list_computes_nothing_that_is_out_of_range_itself(
    bench: Bench, expression: str, made: Any
) -> None:
    rows = pa.table({
        "a": pa.array([-100], pa.int8()),
        "b": pa.array([100], pa.int8()),
        "u": pa.array([5], pa.uint32()),
        "w": pa.array([3], pa.uint32()),
        "big": [2**62],
        "low": [-(2**63)],
        "high": [2**63 - 1],
        "d": [date(2020, 1, 1)],
    })  # fmt: skip
    out = bench.run({"rows": rows}, [{"name": "made", "derive": {"v": expression}}])
    assert (out.quarantine, out.column("made", "v")) == ([], [made])


def test_ends_that_are_too_far_apart_for_a_number_set_their_row_aside(bench: Bench) -> None:
    rows = pa.table({"low": [-(2**63)], "high": [2**63 - 1]})
    out = bench.run({"rows": rows}, [{"name": "made", "derive": {"v": "range(low, high)"}}])
    assert out.counts("made") == {"in": 1, "quarantined": 1}
    assert "range(low, high) cannot be computed" in out.quarantine[0]["reason"]


def test_an_argument_of_an_aggregate_sets_its_row_aside_and_a_group_itself(bench: Bench) -> None:
    rows = pa.table({"k": ["a", "a", "b"], "n": [1, LARGE, 2]})
    take = {"longest": "max(length(repeat('x', n)))"}
    out = bench.run({"rows": rows}, [{"name": "made", "aggregate": {"by": ["k"], "take": take}}])
    assert out.rows("made") == [{"k": "a", "longest": 1}, {"k": "b", "longest": 2}]
    take = {"bar": "repeat('x', max(n))"}
    out = bench.run({"rows": rows}, [{"name": "made", "aggregate": {"by": ["k"], "take": take}}])
    assert out.rows("made") == [{"k": "b", "bar": "xx"}]


def test_a_query_is_guarded_too(bench: Bench) -> None:
    out = bench.run({"rows": ROWS}, [{"name": "made", "sql": {"query": "select id, repeat(t, n) as v from rows"}}])
    assert out.rows("made") == [{"id": 1, "v": "ababab"}]
    with pytest.raises(WorkbenchError, match="a list of more than 10000 elements: 2000000000"):
        bench.run({"rows": ROWS}, [{"name": "made", "sql": {"query": "select sum(len(range(n))) as v from rows"}}])


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("repeat('ab', 60 * 1000)", "filter makes a text of more than 100000 characters"),
        ("upper(t) = rpad(t, 1000000, 'x')", "filter makes a text of more than 100000 characters"),
        ("range(10001)", "filter makes a list of more than 10000 elements"),
        ("generate_series(5, -100000, -2)", "filter makes a list of more than 10000 elements"),
        ("list_resize(tags, 1000000)", "filter makes a list of more than 10000 elements"),
        ("printf('%1000000d', n)", f"filter printf {WIDE}"),
        ("printf('%1$2000000d', n)", f"filter printf {WIDE}"),
        ("printf('%1$-2000000d', n)", f"filter printf {WIDE}"),
        ("printf('%1$.2000000f', n)", f"filter printf {WIDE}"),
        ("format('{:{}}', n, n)", f"filter format {WIDE}"),
    ],
)
def test_a_size_that_is_written_too_large_is_told_before_anything_runs(expression: str, told: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        check_expression(expression, columns=COLUMNS, params=set())
    assert caught.value.message == told
    with pytest.raises(ExpressionError):
        check_query(f"select {expression} as v from rows", tables={"rows": COLUMNS}, params=set())


@pytest.mark.parametrize(
    "expression",
    [
        *("REPEAT('-', 3)", "LPAD(\"t\", 8, '0')", "RANGE(1, 10)", 'LIST_RESIZE("tags", 3)'),
        *("PRINTF('%05d', \"n\")", 'LIST_REDUCE("tags", LAMBDA a, b : a || b)'),
        *("LIST_TRANSFORM(\"tags\", LAMBDA a : LPAD(a, 8, '0'))", "GREATEST(\"t\", REPEAT('z', 9))"),
    ],
)
def test_what_is_written_small_stays_as_it_is(expression: str) -> None:
    assert check_expression(expression, columns=COLUMNS, params=set()).sql == expression


@pytest.mark.parametrize(
    ("expression", "made"),
    [
        ("""format('{{"n": {}}}', id)""", '{"n": 1}'),
        ("printf('%d%%*', id)", "1%*"),
        ("format(p, id)", "{1}"),
    ],
)
def test_a_sign_that_stands_for_itself_is_no_width(bench: Bench, expression: str, made: str) -> None:
    rows = pa.table({"id": [1], "p": ["{{{}}}"]})
    assert bench.run({"rows": rows}, [{"name": "made", "derive": {"v": expression}}]).column("made", "v") == [made]


def test_calls_in_calls_do_not_grow_without_end() -> None:
    expression = "t"
    for _ in range(12):
        expression = f"repeat({expression}, n)"
    with pytest.raises(ExpressionError, match="nested too deeply"):
        check_expression(expression, columns=COLUMNS, params=set())
