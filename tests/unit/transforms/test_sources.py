"""Landed rows: wanted, deleted, seen before, without key, doubled."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import duckdb  # computes the fingerprints that landing keeps
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_workbench.errors import SchemaConflict
from data_workbench.records.fingerprints import FINGERPRINT, fingerprint_sql

if TYPE_CHECKING:
    from .conftest import Bench

ROWS = pa.table(
    {
        "id": ["a", "b", "a", None, "c", "b"],
        "state": ["draft", "draft", "draft", "draft", "cancelled", "open"],
        "at": [1, 9, 3, 4, 5, 6],
    }
)


def test_a_source_with_nothing_to_do_is_passed_through(bench: Bench) -> None:
    out = bench.run({"s": ROWS}, parts=3)
    assert out.plan.node("s").passthrough
    assert out.counts("s") == {"read": 6, "out": 6}


def test_a_unique_key_costs_no_pass(bench: Bench) -> None:
    plan = bench.run({"s": ROWS}, about={"s": {"key": ("id",), "key_is_unique": True}}).plan
    assert plan.node("s").passthrough


def test_where_every_row_turns_out_to_have_its_own_key_the_landed_files_are_the_output(bench: Bench) -> None:
    own = pa.table({"id": ["a", "b"], "state": ["draft", "open"], "at": [1, 9]})
    about = {"s": {"key": ("id",)}}
    out = bench.run({"s": own}, about=about)
    assert (out.report.untouched, out.counts("s")) == (["s"], {"read": 2, "out": 2})
    for other in (pa.concat_tables([own, own]), own.set_column(0, "id", [["a", None]])):
        assert bench.run({"s": other}, about=about).report.untouched == []
    hidden = bench.run({"s": own}, about={"s": {"key": ("id",), "columns": ("id", "at")}})
    assert (hidden.report.untouched, hidden.column("s", "at")) == ([], [1, 9])


def test_of_equal_keys_the_last_read_wins(bench: Bench) -> None:
    out = bench.run({"s": ROWS}, about={"s": {"key": ("id",)}}, parts=3)
    assert [(row["id"], row["at"]) for row in out.rows("s")] == [("a", 3), ("c", 5), ("b", 6)]
    assert out.counts("s") == {"read": 6, "out": 3, "deduplicated": 2, "quarantined": 1}
    assert out.quarantine[0]["rules"] == ["key"]
    assert "NULL" in out.quarantine[0]["reason"]


def test_of_equal_keys_the_latest_by_cursor_wins(bench: Bench) -> None:
    out = bench.run({"s": ROWS}, about={"s": {"key": ("id",), "cursor": "at"}}, parts=2)
    assert [(row["id"], row["at"]) for row in out.rows("s")] == [("b", 9), ("a", 3), ("c", 5)]


def test_where_hides_rows_but_never_tombstones(bench: Bench) -> None:
    about = {"s": {"where": "at > 5", "tombstone_when": "state = 'cancelled'"}}
    out = bench.run({"s": ROWS}, about=about)
    assert out.marks("s", "id") == [("b", "u"), ("c", "d"), ("b", "u")]
    assert out.counts("s") == {"read": 3, "out": 3}


def test_hidden_columns_are_used_and_not_shown(bench: Bench) -> None:
    about = {"s": {"columns": ("id",), "key": ("id",), "cursor": "at", "tombstone_when": "state = 'cancelled'"}}
    out = bench.run({"s": ROWS}, about=about)
    assert out.tables["s"].column_names == ["id", "_wb_op"]
    assert out.marks("s", "id") == [("b", "u"), ("a", "u"), ("c", "d")]


def test_a_marking_column_of_the_workbench_may_stand_in_deletes(bench: Bench) -> None:
    table = ROWS.append_column("_wb_deleted", pa.array([None, False, None, None, None, True]))
    about = {"s": {"columns": ("id", "at"), "key": ("id",), "tombstone_when": 'coalesce("_wb_deleted", false)'}}
    out = bench.run({"s": table}, about=about)
    assert out.marks("s", "id") == [("a", "u"), ("c", "u"), ("b", "d")]


def _seen(table: pa.Table) -> pa.Table:
    with duckdb.connect() as connection:
        connection.register("seen", table)
        sql = f"SELECT {fingerprint_sql(table.schema)} AS {FINGERPRINT} FROM seen"
        return connection.sql(sql).to_arrow_table()


def test_rows_of_the_overlap_seen_before_are_removed_and_changed_ones_stay(bench: Bench) -> None:
    table = ROWS.filter(pa.array([True, True, False, False, True, False]))
    seen = _seen(table.slice(0, 2).set_column(2, "at", pa.array([1, 8])))
    about = {"s": {"key": ("id",), "has_overlap": True}}
    out = bench.run({"s": table}, about=about, sides={"overlap:s": seen})
    assert out.column("s", "id") == ["b", "c"]
    assert out.counts("s") == {"read": 3, "out": 2, "deduplicated": 1}


def test_tombstones_pass_every_row_wise_step_with_their_key(bench: Bench) -> None:
    steps = [
        {"name": "d", "derive": {"n": "CAST(state AS INTEGER)"}},
        {"name": "f", "filter": "at > 100"},
        {"name": "r", "rename": {"id": "key"}},
        {"name": "c", "cast": {"state": "date"}},
        {
            "name": "l",
            "lookup": {
                "connection": "c",
                "stream": "s",
                "on": {"key": "k"},
                "take": {"v": "v"},
                "missing": "quarantine",
            },
        },
        {"name": "x", "deduplicate": {"by": "at"}},
    ]
    side = pa.table({"k": ["zzz"], "v": ["w"]})
    contract = {"x": {"columns": {"state": {"required": True}}}}
    out = bench.run(
        {"s": ROWS.slice(4, 2)},
        steps,
        about={"s": {"key": ("id",), "tombstone_when": "state = 'cancelled'"}},
        sides={"lookup:l": side},
        contract=contract,
    )
    assert out.marks("x", "key") == [("c", "d")]
    assert out.rows("x")[0]["n"] is None
    assert out.counts("d") == {"in": 2, "out": 1, "quarantined": 1}
    for name in "frclx":
        assert out.counts(name) == {"in": 1, "out": 1}


def test_filtered_rows_are_retracted_only_for_merge_destinations(bench: Bench) -> None:
    steps = [{"name": "f", "filter": "at > 5"}, {"name": "r", "rename": {"id": "key"}}]
    about = {"s": {"key": ("id",)}}
    merged = bench.run({"s": ROWS}, steps, about=about, retract={"r"})
    assert merged.marks("r", "key") == [("a", "f"), ("c", "f"), ("b", "u")]
    assert merged.counts("f") == {"in": 3, "out": 1, "filtered": 2}
    assert merged.counts("r") == {"in": 1, "out": 1}
    appended = bench.run({"s": ROWS}, steps, about=about)
    assert appended.column("r", "key") == ["b"]
    assert appended.counts("f") == merged.counts("f")


def test_retractions_keep_a_derived_key_and_pass_into_other_segments(bench: Bench) -> None:
    steps = [
        {"name": "f", "filter": "at > 5"},
        {"name": "k", "derive": {"key": "uuid5('dns', id)"}},
        {"name": "a", "input": "k", "select": ["key"]},
        {"name": "b", "input": "k", "select": ["key", "at"]},
    ]
    out = bench.run({"s": ROWS}, steps, about={"s": {"key": ("id",)}}, retract={"a", "b"}, needed={"a", "b"})
    assert [mark for _, mark in out.marks("a", "key")] == ["f", "f", "u"]
    assert all(key for key, _ in out.marks("b", "key"))
    assert out.counts("k") == out.counts("a") == {"in": 1, "out": 1}


def test_a_tombstone_is_no_row_of_a_group_and_passes_a_join(bench: Bench) -> None:
    about = {"s": {"key": ("id",), "tombstone_when": "state = 'cancelled'"}}
    total = [{"name": "a", "aggregate": {"by": [], "take": {"n": "count(*)"}}}]
    out = bench.run({"s": ROWS}, total, about=about)
    assert out.rows("a") == [{"n": 2}]
    assert out.counts("a") == {"in": 3, "out": 1, "filtered": 1, "collapsed": 1}
    join = [{"name": "j", "input": "s", "join": {"with": "o", "on": {"id": "id"}}}]
    out = bench.run({"s": ROWS, "o": pa.table({"id": ["a"], "v": [1]})}, join, about=about, retract={"j"})
    assert out.marks("j", "id") == [("a", "u"), ("c", "d"), ("b", "f")]
    assert out.counts("j") == {"in": 3, "out": 2, "filtered": 1}


def test_columns_that_differ_only_in_case_are_refused_unless_untouched(bench: Bench) -> None:
    table = pa.table({"Name": [1], "name": [2]})
    assert bench.run({"s": table}).rows("s") == [{"Name": 1, "name": 2}]
    with pytest.raises(SchemaConflict, match="differ only in case"):
        bench.run({"s": table}, about={"s": {"where": '"Name" = 1'}})


def test_an_empty_source_without_files_gives_no_rows(bench: Bench) -> None:
    out = bench.run({"s": ROWS.slice(0, 0)}, about={"s": {"key": ("id",)}})
    assert out.tables["s"].num_rows == 0
    assert out.counts("s") == {}


def test_landed_rows_come_out_in_order_whatever_the_number_of_threads_and_files(bench: Bench) -> None:
    table = pa.table({"id": range(300_000), "v": [str(i) for i in range(300_000)]})
    out = bench.run({"s": table}, [{"name": "f", "filter": "id % 3 <> 0"}], about={"s": {"key": ("id",)}}, parts=7)
    assert out.tables["f"].column("id").to_pylist() == [i for i in range(300_000) if i % 3]


def test_paths_are_taken_literally(bench: Bench, tmp_path: Path) -> None:
    bench.folder = tmp_path / "it's=a [folder] *"
    bench.folder.mkdir()
    pq.write_table(ROWS, bench.folder / "x.parquet")
    assert bench.run({"s": ROWS}, about={"s": {"key": ("id",)}}).counts("s")["read"] == 6


RETRACTS = {"key": ("id",), "cursor": "at", "where": "state = 'open'", "retracts": True, "has_overlap": True}


def test_a_row_that_stopped_matching_where_takes_back_its_key_and_is_counted_nowhere(bench: Bench) -> None:
    out = bench.run({"s": ROWS}, about={"s": RETRACTS}, sides={"overlap:s": _seen(ROWS.slice(0, 0))}, retract={"s"})
    # The latest row of b is the draft of 9, so the open one of 6 is an older state of its key.
    assert sorted(out.marks("s", "id")) == [("a", "f"), ("b", "f"), ("c", "f")]
    assert out.counts("s") == {"read": 1, "deduplicated": 1}


def test_of_a_key_that_stopped_matching_and_matches_again_the_latest_row_decides(bench: Bench) -> None:
    rows = pa.table({"id": ["a", "a", "b", "b"], "state": ["old", "open", "open", "old"], "at": [1, 2, 1, 2]})
    out = bench.run({"s": rows}, about={"s": RETRACTS}, sides={"overlap:s": _seen(rows.slice(0, 0))}, retract={"s"})
    assert sorted(out.marks("s", "id")) == [("a", "u"), ("b", "f")]


def test_a_retraction_of_the_overlap_is_not_made_again_over_a_later_row_seen_too(bench: Bench) -> None:
    rows = pa.table({"id": ["a", "a"], "state": ["old", "open"], "at": [1, 2]})
    out = bench.run({"s": rows}, about={"s": RETRACTS}, sides={"overlap:s": _seen(rows)}, retract={"s"})
    assert out.marks("s", "id") == []
    assert out.counts("s") == {"read": 1, "deduplicated": 1}


def test_where_retracts_nothing_where_no_merge_follows(bench: Bench) -> None:
    rows = pa.table({"id": ["a", None, "b"], "state": ["old", "old", "open"], "at": [1, 2, 3]})
    sides = {"overlap:s": _seen(rows.slice(0, 0))}
    out = bench.run({"s": rows}, about={"s": RETRACTS}, sides=sides, retract=set())
    assert out.column("s", "id") == ["b"]
    merged = bench.run({"s": rows}, about={"s": RETRACTS}, sides=sides, retract={"s"})
    assert merged.marks("s", "id") == [("a", "f"), ("b", "u")]  # a row without a key takes nothing back
