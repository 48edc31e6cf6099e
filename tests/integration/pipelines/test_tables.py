"""Rows from table to table, to graph, to vectors: changes, deletions, duplicates, late commits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from data_workbench.errors import StateError, UsageError
from data_workbench.pipelines.upkeep import Upkeep

if TYPE_CHECKING:
    from tests.integration.pipelines.conftest import Site

ITEMS = """
version: 1
pipeline: items
sources:
  items:
    connection: pg
    stream: public.items
    key: [id]
    cursor: {column: changed%(lag)s}
    deletes: {when: "state = 'gone'"}
    columns: [id, name, size, changed]
steps:
  - {name: big, filter: "size >= 10"}
contract:
  big:
    columns: {name: {required: true, min_length: 2}}
destinations:
  table: {connection: pg, table: public.items_copy, key: id, write: merge}
  graph: {connection: graph, nodes: [{label: Item, key: id}]}
  points:
    {connection: vectors, collection: items, key: id, embed: {text: name, model: hashing-384}, payload: [id, size]}
"""
PLAIN = ITEMS % {"lag": ""}
LAGGING = ITEMS % {"lag": ", lag: 10m"}


@pytest.fixture
def items(site: Site) -> Site:
    site.sql(
        "CREATE TABLE items (id int PRIMARY KEY, name text, size int, state text DEFAULT 'new',"
        " changed timestamptz NOT NULL DEFAULT now())"
    )
    site.sql("INSERT INTO items (id, name, size) SELECT n, 'item ' || n, n FROM generate_series(1, 30) n")
    return site


def standing(site: Site) -> tuple[dict[int, Any], dict[int, Any], dict[int, Any]]:
    """Key to name or size in table, graph and points."""
    rows = dict(site.sql("SELECT id, name FROM items_copy"))
    nodes = dict(site.cypher("MATCH (n:Item) RETURN n.id, n.name"))
    points = {payload["id"]: payload["size"] for payload in site.stored("items").values()}
    return rows, nodes, points


def test_every_store_holds_what_the_pipeline_says_and_a_second_run_changes_nothing(items: Site) -> None:
    first = items.run(PLAIN)
    assert first["sources"]["items"] == {"read": 30, "out": 30, "deduplicated": 0, "discarded": 0, "quarantined": 0}
    assert first["steps"]["big"]["filtered"] == 9
    for counts in first["destinations"].values():
        assert counts["inserted"] == 21
    assert first["reconciliation"]["clean"]
    rows, nodes, points = standing(items)
    assert set(rows) == set(nodes) == set(points) == set(range(10, 31))
    second = items.run(PLAIN)
    for counts in second["destinations"].values():
        assert counts["inserted"] == counts["updated"] == counts["deleted"] == 0
    assert items.reconcile(PLAIN)["clean"]


def test_inserts_updates_filtered_and_deleted_keys_reach_every_store(items: Site) -> None:
    items.run(PLAIN)
    items.sql("INSERT INTO items (id, name, size, changed) VALUES (40, 'forty', 40, clock_timestamp())")
    items.sql("UPDATE items SET name = 'other', changed = clock_timestamp() WHERE id = 12")
    items.sql("UPDATE items SET size = 1, changed = clock_timestamp() WHERE id = 13")  # now filtered out
    items.sql("UPDATE items SET state = 'gone', changed = clock_timestamp() WHERE id = 14")
    items.sql("UPDATE items SET state = 'gone', size = 0, name = NULL, changed = clock_timestamp() WHERE id = 15")
    told = items.run(PLAIN)
    rows, nodes, points = standing(items)
    assert set(rows) == set(nodes) == set(points) == (set(range(10, 31)) | {40}) - {13, 14, 15}
    assert rows[12] == nodes[12] == "other"
    for name, counts in told["destinations"].items():
        assert (counts["inserted"], counts["updated"], counts["deleted"]) == (
            1,
            0 if name == "points" and counts["updated"] == 0 else 1,
            3,
        ), name
    assert items.reconcile(PLAIN)["clean"]


def test_a_row_that_stops_matching_where_leaves_every_store_in_the_next_incremental_run(items: Site) -> None:
    text = PLAIN.replace("    columns: [id,", "    where: \"name <> 'hidden'\"\n    columns: [id,")
    first = items.run(text)
    assert first["sources"]["items"]["read"] == 30
    items.sql("UPDATE items SET name = 'hidden', changed = now() WHERE id IN (20, 21, 3)")
    items.sql("INSERT INTO items (id, name, size) VALUES (50, 'hidden', 50), (51, 'shown', 51)")
    second = items.run(text)
    for held in standing(items):
        assert set(held) == {*range(10, 31), 51} - {20, 21}
    for counts in second["destinations"].values():
        assert (counts["inserted"], counts["deleted"], counts["retracted"]) == (1, 2, 2)
    assert second["sources"]["items"]["out"] == 1  # what `where` leaves out counts as not read
    assert items.reconcile(text)["clean"]
    items.sql("UPDATE items SET name = 'back', changed = now() WHERE id = 20")
    assert items.run(text)["destinations"]["table"]["inserted"] == 1
    assert items.run(text)["destinations"]["table"]["deleted"] == 0
    assert items.reconcile(text)["clean"]


def test_a_where_with_params_takes_nothing_back_of_other_params(items: Site) -> None:
    text = PLAIN.replace("    columns: [id,", '    where: "name <> $not"\n    columns: [id,').replace(
        "pipeline: items\n", "pipeline: items\nparams: {not: {type: text}}\n"
    )
    items.run(text, {"not": "x"})
    items.sql("UPDATE items SET name = 'x', changed = now() WHERE id = 20")
    again = items.run(text, {"not": "x"})
    assert again["destinations"]["table"]["deleted"] == 0


def test_a_quarantined_key_keeps_its_last_valid_state_and_is_held(items: Site) -> None:
    items.run(PLAIN)
    items.sql("UPDATE items SET name = '', changed = clock_timestamp() WHERE id = 20")
    items.sql("INSERT INTO items (id, name, size, changed) VALUES (50, '', 50, clock_timestamp())")
    told = items.run(PLAIN)
    assert told["steps"]["big"]["quarantined"] == 2
    assert told["reconciliation"]["clean"]
    assert {counts["held"] for counts in told["reconciliation"]["destinations"].values()} == {2}
    rows, nodes, _ = standing(items)
    assert rows[20] == nodes[20] == "item 20"
    assert 50 not in rows
    full = items.reconcile(PLAIN, repair=True, delete=True, force=True)
    assert full["clean"]
    assert standing(items)[0][20] == "item 20"
    assert {record["key"]["id"] for record in items.quarantined("items")} == {20, 50}


def test_a_run_with_more_rows_set_aside_than_allowed_loads_nothing_and_keeps_them(items: Site) -> None:
    text = PLAIN.replace("contract:", "max_quarantined: 50%\ncontract:")
    assert text != PLAIN
    items.run(text)
    items.sql("UPDATE items SET name = '', changed = clock_timestamp() WHERE id IN (20, 21)")
    items.sql("UPDATE items SET name = 'right', changed = clock_timestamp() WHERE id = 22")
    told, error = items.try_run(text)
    assert (told["state"], error.kind) == ("failed", "ContractViolated")
    assert "2 of 3 rows read were set aside (66.7 %), max_quarantined is 50%: big: min_length name: 2" in error.message
    assert standing(items)[0][22] == "item 22", "nothing was loaded"
    assert {record["key"]["id"] for record in items.quarantined("items")} == {20, 21}
    items.sql("UPDATE items SET name = 'right', changed = clock_timestamp() WHERE id = 21")
    told = items.run(text)
    assert (told["steps"]["big"]["quarantined"], told["reconciliation"]["clean"]) == (1, True)
    assert [standing(items)[0][key] for key in (20, 21, 22)] == ["item 20", "right", "right"]
    assert {record["key"]["id"] for record in items.quarantined("items")} == {20}


def test_a_corrected_row_resolves_its_record_but_one_only_read_again_does_not(items: Site) -> None:
    items.sql("UPDATE items SET name = '' WHERE id IN (21, 22)")
    items.run(LAGGING)
    assert {record["key"]["id"] for record in items.quarantined("items")} == {21, 22}
    items.run(LAGGING)  # the lag reads everything again: nothing has changed
    assert {record["key"]["id"] for record in items.quarantined("items")} == {21, 22}
    items.sql("UPDATE items SET name = 'right', changed = clock_timestamp() WHERE id = 21")
    items.run(LAGGING)
    assert {record["key"]["id"] for record in items.quarantined("items")} == {22}
    assert {record["key"]["id"] for record in items.quarantined("items", "resolved")} == {21}
    assert standing(items)[0][21] == "right"


def test_a_change_of_a_column_only_deletes_looks_at_is_seen_within_the_lag(items: Site) -> None:
    items.run(LAGGING)
    items.sql("UPDATE items SET state = 'gone' WHERE id = 25")  # `changed` stays: only the lag reads it again
    items.run(LAGGING)
    assert 25 not in standing(items)[0]


def test_ties_on_the_cursor_are_not_lost(items: Site) -> None:
    items.sql("UPDATE items SET changed = '2026-01-01'")
    items.run(PLAIN)
    items.sql("INSERT INTO items (id, name, size, changed) VALUES (60, 'tie', 60, '2026-01-01')")
    told = items.run(PLAIN)
    assert told["destinations"]["table"]["inserted"] == 1
    assert 60 in standing(items)[1]


@pytest.mark.parametrize("kind", ["timestamptz", "bigint"])
def test_a_transaction_that_commits_after_a_later_one_was_read_is_not_lost(site: Site, kind: str) -> None:
    now, later = ("clock_timestamp()", "clock_timestamp()") if kind == "timestamptz" else ("100", "200")
    site.sql(f"CREATE TABLE late (id int PRIMARY KEY, seen {kind})")
    text = """
    version: 1
    pipeline: late
    sources: {late: {connection: pg, stream: public.late, key: id, cursor: {column: seen}}}
    destinations: {table: {connection: pg, table: public.late_copy, key: id}}
    """
    with psycopg.connect(site.dsn) as open_one:
        open_one.execute(f"INSERT INTO late VALUES (1, {now})".encode())
        site.sql(f"INSERT INTO late VALUES (2, {later})")
        site.run(text)
        assert site.sql("SELECT id FROM late_copy") == [(2,)]
        site.run(text)
        open_one.commit()
    site.run(text)
    assert site.sql("SELECT id FROM late_copy ORDER BY 1") == [(1,), (2,)]


def test_vanished_keys_are_detected_and_come_back(site: Site) -> None:
    text = """
    version: 1
    pipeline: detected
    sources: {parts: {connection: pg, stream: public.parts, key: id, cursor: {column: seen, lag: 1h}, deletes: detect}}
    destinations:
      table: {connection: pg, table: public.parts_copy, key: id}
      graph: {connection: graph, nodes: [{label: Part, key: id}]}
    """
    site.sql("CREATE TABLE parts (id int PRIMARY KEY, seen timestamptz DEFAULT now())")
    site.sql("INSERT INTO parts SELECT n FROM generate_series(1, 5) n")
    site.run(text)
    for _ in range(2):
        site.sql("DELETE FROM parts WHERE id = 3")
        told = site.run(text)
        assert told["destinations"]["table"]["deleted"] == 1
        assert site.cypher("MATCH (n:Part) RETURN count(n)") == [[4]]
        site.sql("INSERT INTO parts VALUES (3)")
        site.run(text)
        assert site.one("SELECT count(*) FROM parts_copy") == 5
    assert site.reconcile(text)["clean"]


def test_null_and_repeated_keys_and_values_that_must_be_unique(site: Site) -> None:
    text = """
    version: 1
    pipeline: doubles
    sources: {rows: {connection: pg, stream: public.doubles, key: id, cursor: {column: seen}}}
    contract: {rows: {unique: [[code]]}}
    destinations: {table: {connection: pg, table: public.doubles_copy, key: id}}
    """
    site.sql("CREATE TABLE doubles (id int, code text, seen int)")
    site.sql("INSERT INTO doubles VALUES (1, 'a', 1), (1, 'b', 2), (NULL, 'c', 3), (2, 'x', 4), (3, 'x', 5)")
    told = site.run(text)
    assert (
        told["sources"]["rows"] | {"read": 5, "deduplicated": 1, "quarantined": 2, "out": 2} == told["sources"]["rows"]
    )
    assert site.sql("SELECT id, code FROM doubles_copy ORDER BY 1") == [(1, "b"), (2, "x")]
    site.sql("INSERT INTO doubles VALUES (4, 'b', 9)")  # stands in the destination under another key
    assert site.run(text)["sources"]["rows"]["quarantined"] == 1
    assert site.one("SELECT count(*) FROM doubles_copy") == 2


def test_a_row_the_store_refuses_waits_in_the_quarantine_and_is_no_difference(site: Site) -> None:
    text = """
    version: 1
    pipeline: refused
    sources: {rows: {connection: pg, stream: public.given, key: id}}
    destinations: {table: {connection: pg, table: public.strict, key: id}}
    """
    site.sql("CREATE TABLE given (id int PRIMARY KEY, size int)")
    site.sql("CREATE TABLE strict (id int PRIMARY KEY, size int CHECK (size < 10))")
    site.sql("INSERT INTO given VALUES (1, 1), (2, 20), (3, 3)")
    told = site.run(text)
    assert told["destinations"]["table"]["rejected"] == 1
    [record] = site.quarantined("refused")
    assert (record["node"], record["key"], record["row"]) == ("table", {"id": 2}, {"id": 2, "size": 20})
    assert site.reconcile(text)["clean"]
    site.sql("UPDATE given SET size = 2 WHERE id = 2")
    site.run(text)
    assert site.quarantined("refused") == []
    assert site.one("SELECT count(*) FROM strict") == 3


def test_a_replayed_record_is_read_afresh(items: Site) -> None:
    items.sql("UPDATE items SET name = '' WHERE id = 23")
    items.run(PLAIN)
    [record] = items.quarantined("items")
    assert Upkeep(items.runner()).show_quarantine(record["id"])["row"]["name"] == ""
    items.sql("UPDATE items SET name = 'mended' WHERE id = 23")  # its cursor stays, so no run reads it by itself
    document, error = Upkeep(items.runner()).replay(items.definition(PLAIN), [record["id"]], params={})
    assert error is None, document
    assert standing(items)[0][23] == "mended"
    assert [one["state"] for one in items.quarantined("items", None)] == ["replayed"]


def test_an_edited_record_is_replayed_as_corrected_once_and_its_row_stays_on_record(items: Site) -> None:
    items.sql("UPDATE items SET name = '' WHERE id IN (23, 24)")
    items.run(PLAIN)
    upkeep = Upkeep(items.runner())
    ids = {record["key"]["id"]: record["id"] for record in items.quarantined("items")}
    with pytest.raises(UsageError, match="column 'size' takes int4, not 'large'"):
        upkeep.edit_quarantine(ids[23], {"size": "large"}, by="ann")
    upkeep.edit_quarantine(ids[23], {"name": "x", "size": "2300"}, by="ann")
    edited = upkeep.edit_quarantine(ids[23], {"name": "mended"}, by="bob")
    assert (edited["row"]["name"], edited["row"]["size"]) == ("", 23)
    assert [(edit["by"], edit["set"]) for edit in edited["edits"]] == [
        ("ann", {"name": "x", "size": 2300}),
        ("bob", {"name": "mended"}),
    ]
    told, error = upkeep.replay(items.definition(PLAIN), [], params={})
    assert error is None, told
    assert told["sources"]["items"] == {"read": 2, "out": 2, "deduplicated": 0, "discarded": 0, "quarantined": 0}
    assert told["steps"]["big"]["quarantined"] == 1
    assert told["reconciliation"]["clean"]
    rows, nodes, points = standing(items)
    assert (rows[23], nodes[23], points[23]) == ("mended", "mended", 2300)
    assert 24 not in rows
    assert [one["id"] for one in items.quarantined("items", "replayed")] == [ids[23]]
    assert [one["id"] for one in items.quarantined("items", "superseded")] == [ids[24]]
    assert [one["key"]["id"] for one in items.quarantined("items")] == [24]
    with pytest.raises(UsageError, match="is replayed"):
        upkeep.replay(items.definition(PLAIN), [ids[23]], params={})
    with pytest.raises(StateError, match="is replayed"):
        upkeep.edit_quarantine(ids[23], {"name": "again"}, by="ann")
    assert items.reconcile(PLAIN)["clean"], "the source still has its row: the key is held"


NO_KEY = """
version: 1
pipeline: loose_%(name)s
sources: {rows: {connection: pg, stream: public.loose}}
destinations: {out: %(out)s}
"""


@pytest.mark.parametrize(
    "out",
    [
        "{connection: pg, table: public.loose_copy, key: a, write: merge}",
        "{connection: graph, nodes: [{label: Loose, key: a}]}",
        "{connection: vectors, collection: loose, key: a, embed: {text: b, model: hashing-64}}",
        "{connection: files, file: loose.parquet, key: a, write: merge}",
        "{connection: files, folder: loose, key: a, write: append}",
    ],
    ids=["table", "nodes", "points", "file", "folder"],
)
def test_a_source_without_a_key_gives_one_row_of_each_key_and_puts_aside_those_without(site: Site, out: str) -> None:
    site.sql("CREATE TABLE loose (a int, b text)")
    site.sql("INSERT INTO loose VALUES (1, 'x'), (1, 'y'), (NULL, 'n'), (2, 'z')")
    text = NO_KEY % {"name": "rows", "out": out}
    document = site.run(text)
    counts = document["destinations"]["out"]
    assert (counts["out"], counts["inserted"], counts["collapsed"], counts["rejected"]) == (4, 2, 1, 1)
    [record] = site.quarantined("loose_rows")
    assert (record["rules"], record["row"]) == (["key"], {"a": None, "b": "n"})
    if "append" not in out:
        assert site.reconcile(text)["clean"]
        assert site.run(text)["destinations"]["out"]["unchanged"] == 2


def test_a_key_appended_again_is_no_difference_as_long_as_one_of_its_rows_is_the_one_expected(site: Site) -> None:
    site.sql("CREATE TABLE loose (a int PRIMARY KEY, b text)")
    site.sql("INSERT INTO loose VALUES (1, 'x'), (2, 'z')")
    text = NO_KEY % {"name": "log", "out": "{connection: graph, write: append, nodes: [{label: Log, key: a}]}"}
    site.run(text)
    site.sql("UPDATE loose SET b = 'newer' WHERE a = 1")
    assert site.run(text)["reconciliation"]["clean"]
    assert sorted(map(tuple, site.cypher("MATCH (n:Log) RETURN n.a, n.b"))) == [
        (1, "newer"), (1, "x"), (2, "z"), (2, "z")
    ]  # fmt: skip
    site.cypher("MATCH (n:Log {a: 2}) SET n.b = 'by hand'")
    assert site.reconcile(text)["destinations"]["out"]["stale"] == 1
