"""Quarantine, deferred relationships and fingerprints keep each row once, whatever it holds."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from data_workbench.errors import StateError
from data_workbench.metastore import Metastore, deferred, fingerprints, quarantine
from data_workbench.metastore.fingerprints import Fingerprint


def rejected(ordinal: int, **changes: Any) -> quarantine.Rejected:
    values: dict[str, Any] = {"node": "clean", "rules": ["required"], "reason": "no text", "row": {"id": ordinal}}
    return quarantine.Rejected(**{**values, "ordinal": ordinal, **changes})


def test_rows_kept_twice_after_a_crash_are_there_once(store: Metastore) -> None:
    rows = [rejected(number) for number in range(1000)]
    assert quarantine.add(store, "p", "r1", rows[:600]) == 600
    assert quarantine.add(store, "p", "r1", rows) == 400
    assert quarantine.add(store, "p", "r1", [rejected(1, seq=1), rejected(1, node="other")]) == 2
    assert quarantine.add(store, "p", "r1", []) == 0
    assert quarantine.count(store, pipeline="p") == 1002
    assert len(list(quarantine.iter_records(store, pipeline="p", page=100))) == 1002


def test_any_value_survives_the_quarantine(store: Metastore) -> None:
    row = {"text": "a\x00b\t\\N\n🧨\ud83d", "nan": math.nan, "bytes": b"\x00\xff", "deep": {"x": [1, None]}}
    rule = "pattern\x00"
    quarantine.add(store, "p", "r1", [rejected(0, row=row, rules=[rule, 'a"b,{}'], key={"k": "\x00é"}, source="s")])
    [found] = quarantine.list_records(store)
    assert found.row["text"] == row["text"]
    assert found.row["nan"] == "NaN"
    assert found.key == {"k": "\x00é"}
    assert found.rules == ["pattern\N{SYMBOL FOR NULL}", 'a"b,{}']
    assert quarantine.get(store, found.id) == found


def test_a_stage_that_is_made_anew_clears_what_it_kept(store: Metastore) -> None:
    quarantine.add(store, "p", "r1", [rejected(0), rejected(1, node="graph")])
    quarantine.add(store, "p", "r0", [rejected(0)])
    assert quarantine.clear(store, "r1", nodes=["clean"]) == 1
    assert [(one.run_id, one.node) for one in quarantine.list_records(store)] == [("r1", "graph"), ("r0", "clean")]


def test_only_open_records_change_state(store: Metastore) -> None:
    quarantine.add(store, "p", "r1", [rejected(number) for number in range(3)])
    ids = [one.id for one in quarantine.list_records(store)]
    assert quarantine.mark(store, ids[:2], "discarded", by="ada") == 2
    assert quarantine.mark(store, ids, "replayed", by="ada") == 1
    assert quarantine.mark(store, [], "replayed", by="ada") == 0
    assert quarantine.get(store, ids[0]).changed_by == "ada"
    assert quarantine.count(store) == 0
    assert quarantine.expire(store, datetime.now(UTC) + timedelta(days=1)) == 3
    with pytest.raises(StateError, match="no quarantined record"):
        quarantine.get(store, ids[0])


def test_records_come_in_pages(store: Metastore) -> None:
    quarantine.add(store, "p", "r1", [rejected(number) for number in range(5)])
    first = quarantine.list_records(store, pipeline="p", run_id="r1", limit=2)
    rest = quarantine.list_records(store, pipeline="p", run_id="r1", after=first[-1].id, limit=None)
    assert [one.ordinal for one in [*first, *rest]] == [0, 1, 2, 3, 4]


def test_a_deferred_row_is_kept_once_with_its_latest_values(store: Metastore) -> None:
    def put(run_id: str, *rows: tuple[int, str]) -> int:
        pairs = [({"id": key}, {"id": key, "to": to}) for key, to in rows]
        return deferred.put(store, "p", "graph", "(A)-[:B]->(A)", run_id=run_id, rows=pairs)

    assert put("r1", (1, "x"), (2, "y"), (2, "z")) == 2
    assert put("r2", (2, "w"), (3, "v")) == 2
    kept = deferred.pending(store, "p", "graph")
    assert [(one.key["id"], one.row["to"], one.run_id) for one in kept] == [
        (1, "x", "r1"),
        (2, "w", "r2"),
        (3, "v", "r2"),
    ]
    assert deferred.pending(store, "p", "graph", target="other") == []
    assert deferred.drop(store, [kept[0].id]) == 1
    assert deferred.drop_keys(store, "p", "graph", "(A)-[:B]->(A)", [{"id": 3}, {"id": 99}]) == 1
    assert deferred.count(store, "p", "graph") == 1
    assert deferred.clear(store, "p") == 1


def test_fingerprints_are_upserted_looked_up_scanned_and_removed(store: Metastore) -> None:
    def points(count: int, vector: str) -> list[Fingerprint]:
        return [Fingerprint(f"k{number:06d}", vector, None, "m") for number in range(count)]

    assert fingerprints.upsert(store, "qdrant://h:1", "c", points(25_000, "v1"), run_id="r1") == 25_000
    assert fingerprints.upsert(store, "qdrant://h:1", "c", points(2, "v2"), run_id="r2") == 2
    found = fingerprints.lookup(store, "qdrant://h:1", "c", ["k000001", "k000002", "none"])
    assert {key: one.vector_hash for key, one in found.items()} == {"k000001": "v2", "k000002": "v1"}
    pages = list(fingerprints.scan(store, "qdrant://h:1", "c"))
    assert [len(page) for page in pages] == [10_000, 10_000, 5_000]
    assert fingerprints.remove(store, "qdrant://h:1", "c", ["k000001"]) == 1
    assert fingerprints.remove(store, "qdrant://h:1", "other") == 0
    assert fingerprints.remove(store, "qdrant://h:1", "c") == 24_999
