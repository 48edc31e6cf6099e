"""The journal of what was written: before it is written, by whom, in which order, and how it stands."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from data_workbench.events import Event, subscribed
from data_workbench.journal import Journal
from data_workbench.metastore import journal
from data_workbench.pipelines.retention import expire
from data_workbench.records.marks import OP, TOMBSTONE, UPSERT

if TYPE_CHECKING:
    from tests.integration.pipelines.conftest import Site

PARTS = """
version: 1
pipeline: parts
sources: {parts: {connection: pg, stream: public.parts, key: id, deletes: {when: gone}}}
destinations:
  graph:
    connection: graph
    nodes: [{input: parts, label: JournalPart, key: id}]
    relationships:
      - type: JOURNAL_PART_OF
        input: parts
        from: {label: JournalPart, key: id}
        to: {label: JournalPart, key: whole}
  points: {connection: vectors, collection: journal_parts, key: id, embed: {text: body, model: hashing-384}}
  table: {connection: pg, table: public.parts_copy, key: id}
"""
STREAMED = """
version: 1
pipeline: streamed
sources: {parts: {connection: pg, stream: public.parts, key: id}}
destinations: {table: {connection: pg, table: public.parts_streamed, key: id}}
"""


@pytest.fixture
def parts(site: Site) -> Site:
    site.sql("CREATE TABLE parts (id int PRIMARY KEY, whole int, body text, gone bool NOT NULL DEFAULT false)")
    site.sql("INSERT INTO parts SELECT n, n / 10, 'part ' || n FROM generate_series(1, 50) n")
    return site


def test_every_key_is_known_with_its_run_its_order_and_its_row_before_and_after(parts: Site) -> None:
    first = parts.run(PARTS)
    parts.sql("UPDATE parts SET body = 'changed' WHERE id = 7")
    second = parts.run(PARTS)
    parts.sql("UPDATE parts SET gone = true WHERE id = 7")
    third = parts.run(PARTS)
    asked = Journal(parts.metastore)

    for place in (("graph", "(JournalPart)"), ("vectors", "journal_parts"), ("pg", "public.parts_copy")):
        changed, same = asked.changes(*place, {"id": 7}), asked.changes(*place, {"id": 8})
        assert [one.entry.run_id for one in changed] == [first["run_id"], second["run_id"], third["run_id"]]
        assert [one.operation for one in changed] == [UPSERT, UPSERT, TOMBSTONE]
        assert changed[0].before is None
        assert None not in (changed[0].after, changed[1].after)
        if place[0] != "vectors":  # the text is embedded, and not kept in the payload
            assert changed[0].after != changed[1].after
        assert [one.before for one in changed[1:]] == [changed[0].after, changed[1].after]
        assert changed[2].after is None
        assert len({one.after for one in same}) == 1, "an equal row has an equal hash"
        assert all(one.entry.written is not None and one.entry.definition_hash for one in changed)
        assert sorted(one.entry.id for one in changed) == [one.entry.id for one in changed]
    [moved] = asked.changes("graph", "(JournalPart)-[:JOURNAL_PART_OF]->(JournalPart)", {"id": 12})[:1]
    assert moved.key == {"id": 12, "whole": 1}
    assert asked.changes("graph", "(JournalPart)", {"id": "no number"}) == []
    assert asked.changes("graph", "(JournalPart)", {"other": 1}) == []


def test_the_keys_touched_in_a_span_are_known_with_what_was_done_last(parts: Site) -> None:
    parts.run(PARTS)
    between = datetime.now(UTC)
    assert Journal(parts.metastore).touched("graph", "(JournalPart)", since=between) is None
    parts.sql("DELETE FROM parts WHERE id > 10")
    parts.sql("UPDATE parts SET gone = true WHERE id = 3")
    parts.run(PARTS)
    asked = Journal(parts.metastore)
    touched = asked.touched("graph", "(JournalPart)", since=between)
    assert touched is not None
    rows = {row["id"]: row for row in touched.last.to_pylist()}
    assert set(rows) == set(range(1, 11)), "rows that left the source unsaid were not written"
    assert {key for key, row in rows.items() if row[OP] == TOMBSTONE} == {3}
    assert {key for key, row in rows.items() if row["_wb_after"] is None} == {3}
    everything = asked.touched("graph", "(JournalPart)", until=between)
    assert everything is not None
    assert everything.last.num_rows == 50
    assert ("graph", "(JournalPart)") in asked.datasets(since=between)
    assert asked.datasets(since=datetime.now(UTC) + timedelta(hours=1)) == {}


def test_a_key_stands_in_the_journal_before_it_stands_in_a_store(parts: Site) -> None:
    seen: list[tuple[str, list[Any]]] = []

    def listen(event: Event) -> None:
        if event.name in ("load.before_commit", "load.after_commit") and event.facts["destination"] == "graph":
            found = journal.entries(parts.metastore, connection="graph", dataset=event.facts["target"])
            seen.append((event.name, [one.written for one in found if one.cause == "load"]))

    with subscribed(listen):
        parts.run(PARTS)
    assert seen
    assert all(written == [None] for _, written in seen), "noted, and not yet confirmed"
    done = journal.entries(parts.metastore, connection="graph", causes=["load"])
    assert all(one.written is not None and one.written >= one.begun for one in done)


def test_what_a_comparison_mends_is_told_and_a_stream_is_told_as_a_whole(parts: Site) -> None:
    parts.run(PARTS)
    parts.sql("UPDATE parts_copy SET body = 'by hand' WHERE id = 1")
    parts.sql("DELETE FROM parts WHERE id = 2")
    parts.reconcile(PARTS, repair=True, delete=True)
    asked = Journal(parts.metastore)
    assert [one.entry.cause for one in asked.changes("pg", "public.parts_copy", {"id": 1})] == ["load", "repair"]
    assert [one.entry.cause for one in asked.changes("pg", "public.parts_copy", {"id": 2})] == ["load", "delete"]
    assert asked.changes("graph", "(JournalPart)", {"id": 2})[-1].operation == TOMBSTONE

    parts.run(STREAMED)
    whole = asked.touched("pg", "public.parts_streamed")
    assert whole is not None
    assert ([one.cause for one in whole.whole], whole.last.num_rows) == (["stream"], 0)
    parts.run(STREAMED.replace("version: 1", "version: 1\njournal: keys"))
    noted = asked.touched("pg", "public.parts_streamed")
    assert noted is not None
    assert noted.last.num_rows == 49
    parts.run(PARTS.replace("pipeline: parts", "pipeline: silent\njournal: none"))
    assert not [one for one in journal.entries(parts.metastore) if one.pipeline == "silent"]


def test_entries_past_their_time_are_removed_with_the_end_of_a_run(parts: Site) -> None:
    parts.run(PARTS)
    runner = parts.runner(journal_days=1.0)
    later = datetime.now(UTC) + timedelta(hours=23)
    expire(parts.metastore, runner.artifacts, runner.settings, now=later)
    assert journal.entries(parts.metastore)
    expire(parts.metastore, runner.artifacts, runner.settings, now=later + timedelta(hours=2))
    assert not journal.entries(parts.metastore)
