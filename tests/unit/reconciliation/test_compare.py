"""Comparing two sides by key and by value: told apart exactly as plain Python would."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_workbench.reconciliation import compare
from data_workbench.reconciliation.compare import Comparison
from data_workbench.records.marks import HELD, OP, OWNED, RETRACTION, TOMBSTONE, UPSERT
from data_workbench.records.types import with_native
from data_workbench.settings import Settings

SCHEMA = pa.schema([("a", pa.int64()), ('b"x', pa.string()), ("value", pa.string())])
KEY = ("a", 'b"x')
VERDICTS = ("missing", "surplus", "stale", "foreign", "held", "equal")

Make = Callable[..., Any]
Row = tuple[int, str, str | None, Any]


@pytest.fixture(scope="module", params=[compare._JOINED_AT_ONCE, 2], ids=["at once", "in shares"])
def make(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Make]:
    """Comparisons, each in a folder of its own; verdicts do not hang on how many rows are joined at once."""
    patch = pytest.MonkeyPatch()
    patch.setattr(compare, "_JOINED_AT_ONCE", request.param)
    folder = tmp_path_factory.mktemp("compare")
    numbers = count()

    @contextmanager
    def opened(schema: pa.Schema = SCHEMA, key: tuple[str, ...] = KEY, **changed: Any) -> Iterator[Comparison]:
        place: Path = folder / str(next(numbers))
        with Comparison(schema, key, place, replace(Settings(), **changed)) as comparison:
            yield comparison

    yield opened
    patch.undo()


def side(rows: list[Row], mark: str) -> Iterator[pa.RecordBatch]:
    """Rows with their mark, two to a batch."""
    kind = pa.string() if mark == OP else pa.bool_()
    table = pa.Table.from_pylist(
        [dict(zip([*SCHEMA.names, mark], row, strict=True)) for row in rows], schema=SCHEMA.append(pa.field(mark, kind))
    )
    yield from table.to_batches(max_chunksize=2)


def judged(expected: list[Row], actual: list[Row]) -> dict[tuple[int, str], str]:
    """The oracle. Of rows of one key an upsert counts first, then a held one."""
    wanted: dict[tuple[int, str], tuple[str | None, str]] = {}
    for rank in (UPSERT, HELD, TOMBSTONE, RETRACTION):
        for a, b, value, op in expected:
            if op == rank:
                wanted.setdefault((a, b), (value, op))
    there = {(a, b): (value, owned) for a, b, value, owned in actual}
    found = {}
    for key in wanted.keys() | there.keys():
        value, op = wanted.get(key, (None, None))
        stands, owned = there.get(key, (None, None))
        if op == HELD:
            found[key] = "held"
        elif op is None:
            found[key] = "unknown" if owned else "foreign"
        elif op in (TOMBSTONE, RETRACTION):
            found[key] = {None: "equal", True: "surplus", False: "foreign"}[owned]
        elif owned is None:
            found[key] = "missing"
        else:
            found[key] = "equal" if value == stands else "stale"
    return found


# Each comparison is a DuckDB file, so few of them hold many keys.
KEYS = st.tuples(st.integers(0, 15), st.sampled_from(["x", "", "é'\""]))
WORDS = st.one_of(st.none(), st.sampled_from(["", "v", "~", "NULL", "w;"]))
# Rows of one key that upsert are folded before they are loaded, so they are equal here.
EXPECTED = st.lists(st.tuples(KEYS, st.sampled_from([UPSERT, UPSERT, TOMBSTONE, RETRACTION, HELD])), max_size=90)
ACTUAL = st.dictionaries(KEYS, st.tuples(WORDS, st.booleans()), max_size=40)


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(EXPECTED, st.dictionaries(KEYS, WORDS), ACTUAL)
def test_every_key_gets_the_verdict_that_plain_python_gives(
    make: Make, expected: Any, values: Any, actual: Any
) -> None:
    shall = [(*key, values.get(key, "v"), op) for key, op in expected]
    stands = [(*key, *rest) for key, rest in actual.items()]
    wanted = judged(shall, stands)
    with make() as comparison:
        comparison.expect(side(shall, OP))
        comparison.observe(side(stands, OWNED))
        counts = comparison.counts()
        found = {
            tuple(row.values()): verdict
            for verdict in ("missing", "surplus", "stale", "foreign", "held", "equal", "unknown")
            for page in comparison.keys(verdict)
            for row in page.to_pylist()
        }
    assert found == wanted
    told = [verdict.replace("unknown", "surplus") for verdict in wanted.values()]
    assert counts == {verdict: told.count(verdict) for verdict in VERDICTS}


def test_sides_without_rows_agree(make: Make) -> None:
    with make() as comparison:
        assert comparison.counts() == dict.fromkeys(VERDICTS, 0)
        assert list(comparison.keys("missing")) == []


def test_only_expected_rows_are_missing_and_only_rows_of_ours_are_surplus(make: Make) -> None:
    with make() as comparison:
        comparison.expect(side([(1, "x", "v", UPSERT)], OP))
        assert comparison.counts()["missing"] == 1
    with make() as comparison:
        comparison.observe(side([(1, "x", "v", True), (2, "x", "v", False)], OWNED))
        counts = comparison.counts()
        assert (counts["surplus"], counts["foreign"]) == (1, 1)


def test_held_keys_are_no_difference_whether_they_stand_or_not(make: Make) -> None:
    with make() as comparison:
        comparison.expect(side([(1, "x", "v", UPSERT), (2, "x", "v", UPSERT)], OP))
        comparison.observe(side([(1, "x", "other", True), (3, "x", "v", True)], OWNED))
        comparison.hold(pa.table({"a": [1, 2, 3], 'b"x': ["x"] * 3}))
        assert comparison.counts() == {**dict.fromkeys(VERDICTS, 0), "held": 3}


def test_holding_by_a_part_of_the_key_leaves_aside_whatever_hangs_on_it(make: Make) -> None:
    with make() as comparison:
        comparison.expect(side([(1, "x", "v", UPSERT), (2, "x", "v", UPSERT)], OP))
        comparison.observe(side([(1, "y", "v", True), (1, "z", "v", False), (2, "x", "v", True)], OWNED))
        comparison.hold(pa.table({"a": pa.array([1], pa.int32())}))
        counts = comparison.counts()
    assert counts == {**dict.fromkeys(VERDICTS, 0), "held": 1, "foreign": 1, "equal": 1}


def test_holding_no_keys_changes_nothing(make: Make) -> None:
    with make() as comparison:
        comparison.expect(side([(1, "x", "v", UPSERT)], OP))
        comparison.hold(pa.table({}))
        assert comparison.counts()["missing"] == 1


def test_claimed_rows_are_surplus_though_never_heard_of(make: Make) -> None:
    with make() as comparison:
        comparison.expect(side([(1, "x", "v", UPSERT)], OP))
        comparison.observe(side([(1, "old", "v", True), (2, "y", "v", True), (1, "theirs", "v", False)], OWNED))
        comparison.claim([pa.table({"a": [1, 1]})])
        assert [page.to_pylist() for page in comparison.keys("surplus")] == [[{"a": 1, 'b"x': "old"}]]
        assert [page.to_pylist() for page in comparison.keys("unknown")] == [[{"a": 2, 'b"x': "y"}]]
        assert comparison.counts()["foreign"] == 1


@settings(max_examples=8, deadline=None)
@given(
    st.lists(st.sampled_from("abcdefgh"), max_size=40),
    st.lists(st.sampled_from("abcdefgh"), max_size=40),
    st.integers(0, 2),
)
def test_without_a_key_rows_are_counted_as_a_bag(make: Make, shall: Any, stands: Any, others: int) -> None:
    schema = pa.schema([("value", pa.string())])
    with make(schema, ()) as comparison:
        comparison.expect(pa.table({"value": pa.array(shall, pa.string())}).to_batches())
        rows = pa.table({"value": pa.array(stands + ["q"] * others, pa.string())})
        owned = pa.array([True] * len(stands) + [False] * others, pa.bool_())
        comparison.observe(rows.append_column(OWNED, owned).to_batches())
        counts = comparison.counts()
    differences = [shall.count(value) - stands.count(value) for value in "abcdefgh"]
    assert counts["missing"] == sum(one for one in differences if one > 0)
    assert counts["surplus"] == -sum(one for one in differences if one < 0)
    assert (counts["stale"], counts["foreign"]) == (0, others)


def test_a_value_of_another_width_or_unit_is_the_same_value(make: Make) -> None:
    schema = pa.schema([("id", pa.int32()), ("at", pa.timestamp("us", "UTC")), ("n", pa.float64())])
    rows = {"id": [1, 2], "at": [0, 1000], "n": [1.5, None]}
    with make(schema, ("id",)) as comparison:
        comparison.expect(pa.table(rows, schema=schema).to_batches())
        read = pa.schema([("id", pa.int64()), ("at", pa.timestamp("ms", "UTC")), ("n", pa.float32())])
        comparison.observe(pa.table({**rows, "at": [0, 1]}, schema=read).to_batches())
        assert comparison.counts()["equal"] == 2


def test_documents_are_compared_by_what_they_say(make: Make) -> None:
    schema = pa.schema([pa.field("id", pa.int64()), with_native(pa.field("doc", pa.string()), "jsonb")])
    with make(schema, ("id",)) as comparison:
        comparison.expect(
            pa.table({"id": [1, 2], "doc": ['{"b": 1.0, "a": [1]}', "[1, 2]"]}, schema=schema).to_batches()
        )
        comparison.observe(pa.table({"id": [1, 2], "doc": ['{"a":[1],"b":1}', "[2, 1]"]}, schema=schema).to_batches())
        assert [page.to_pylist() for page in comparison.keys("stale")] == [[{"id": 2}]]


def test_marks_that_are_absent_mean_upserts_of_ours(make: Make) -> None:
    with make() as comparison:
        bare = pa.table({"a": [1], 'b"x': ["x"], "value": ["v"]}, schema=SCHEMA)
        comparison.expect(bare.to_batches())
        comparison.observe(bare.to_batches())
        assert comparison.counts()["equal"] == 1


def test_more_rows_than_a_page_are_all_compared(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "BATCH", 10)
    with make() as comparison:
        comparison.expect(side([(number, "x", "v", UPSERT) for number in range(45)], OP))
        comparison.observe(side([(number, "x", "v", True) for number in range(5, 40)], OWNED))
        assert sum(page.num_rows for page in comparison.keys("missing")) == 10
        assert comparison.counts()["equal"] == 35


def test_small_batches_are_put_together_and_wide_ones_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "_BYTES_AT_ONCE", 1000)
    narrow = [pa.record_batch({"a": [1]}) for _ in range(5)]
    wide = [pa.record_batch({"a": ["x" * 1000]}) for _ in range(2)]
    empty = pa.record_batch({"a": pa.array([], pa.int64())})
    assert [table.num_rows for table in compare.merged([*narrow, empty], 2)] == [2, 2, 1]
    assert [table.num_rows for table in compare.merged(wide, 2)] == [1, 1]


def test_what_a_killed_comparison_left_in_its_folder_is_not_believed(tmp_path: Path) -> None:
    rows = pa.record_batch([pa.array([1]), pa.array(["x"]), pa.array(["old"])], schema=SCHEMA)
    killed = Comparison(SCHEMA, KEY, tmp_path, Settings())
    killed.expect([rows])
    killed.connection.close()  # its file stays, as after kill -9
    assert list(tmp_path.glob("*.duckdb"))
    with Comparison(SCHEMA, KEY, tmp_path, Settings()) as comparison:
        comparison.expect([])
        comparison.observe([])
        assert comparison.counts() == dict.fromkeys(comparison.counts(), 0)
