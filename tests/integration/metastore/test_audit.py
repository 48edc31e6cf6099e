"""The audit trail in the metastore: written with what it tells of or not at all, in one order, never changed."""

from __future__ import annotations

import gc
import json
import random
import signal
import subprocess
import sys
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import bindparam, insert, select, text
from tests.unit.audit import trails

from data_workbench.audit import open_keys, read_export, recorded, seal_before, verify, write_export
from data_workbench.audit.verifying import Report
from data_workbench.errors import AccessDenied, StateError, UsageError
from data_workbench.metastore import Metastore, audit, pipelines, quarantine, runs, states
from data_workbench.metastore.audit import Act, Author, Entry
from data_workbench.metastore.quarantine import Rejected
from data_workbench.metastore.runs import RunRequest
from data_workbench.metastore.tables.access import audit_entries
from data_workbench.settings import Settings

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
ADA = Author("ada", "cli", "ticket 17")


def checked(store: Metastore, **how: Any) -> Report:
    with audit.entries(store, page=7) as found:
        return verify(found, **how)


def told(store: Metastore) -> list[tuple[str, str]]:
    return [(entry.action, entry.object) for entry in reversed(audit.list_entries(store))]


def begin(store: Metastore, run_id: str = "r1", **values: Any) -> None:
    runs.begin(store, RunRequest(run_id, "p", NOW, "hash", **values), secrets=["code"])


def test_what_runs_do_is_told_in_order_and_verifies(store: Metastore) -> None:
    pipelines.register(store, "p", definition_hash="h1", definition="a", by=ADA)
    pipelines.register(store, "p", definition_hash="h1", definition="a", by=ADA)
    pipelines.register(store, "p", definition_hash="h2", definition="b", by=ADA)
    begin(store, params={"code": "geheim", "least": 3}, requested_by="bo", correlation_id="c7")
    begin(store)
    states.reset(store, "p", run_id="r1")
    runs.finish(store, "r1", state="failed", error={"kind": "StoreBusy", "message": "geheim"})
    runs.reopen(store, "r1")
    runs.publish(store, "r1", destinations=[], result={})
    runs.publish(store, "r1", destinations=[], result={})
    assert told(store) == [
        ("definition.changed", "p"),
        ("definition.changed", "p"),
        ("run.begun", "p"),
        ("state.reset", "p"),
        ("run.ended", "p"),
        ("run.reopened", "p"),
        ("run.ended", "p"),
    ]
    entries = audit.list_entries(store, audit.Search(object="p"))
    begun = json.loads(entries[4].details)
    assert begun["params"] == {"code": "***", "least": 3}
    assert begun["requested_by"] == "bo"
    assert (entries[4].run_id, entries[4].correlation_id) == ("r1", "c7")
    assert json.loads(entries[2].details) == {"state": "failed", "error": "StoreBusy", "requested_by": "bo"}
    assert json.loads(entries[5].details) == {"definition_hash": "h2", "before": "h1"}
    assert "geheim" not in str(entries)
    assert checked(store).problems == []


def test_airflow_acts_for_its_runs_and_who_triggered_one_begins_it(store: Metastore) -> None:
    request = RunRequest("r1", "p", NOW, "hash", orchestrator="airflow", requested_by="somebody else")
    runs.begin(store, request, by=Author("ada", "airflow", "manual run"))
    runs.finish(store, "r1", state="success")
    assert [(entry.actor, entry.origin) for entry in audit.list_entries(store)] == [
        ("airflow", "airflow"),
        ("ada", "airflow"),
    ]


def test_records_set_aside_by_hand_are_told_with_their_ids(store: Metastore) -> None:
    quarantine.add(store, "p", "r1", [Rejected("clean", ["required"], "no word", {"id": 3}, 0)])
    [record] = quarantine.list_records(store)
    quarantine.edit(store, record.id, {"word": "private"}, by="ada")
    [entry] = audit.list_entries(store)
    assert (entry.action, entry.object) == ("quarantine.edited", "p")
    assert json.loads(entry.details) == {"record": record.id, "columns": ["word"], "by": "ada"}
    assert quarantine.mark(store, [record.id, 999], "discarded", by="ada", author=ADA) == 1
    [entry] = audit.list_entries(store, limit=1)
    assert (entry.action, entry.object, entry.actor, entry.reason) == ("quarantine.discarded", "p", "ada", "ticket 17")
    assert json.loads(entry.details) == {"records": [record.id, 999], "asked": 2, "changed": 1, "by": "ada"}


def test_an_upgrade_is_the_first_entry(upgraded: Metastore) -> None:
    with upgraded.transaction() as connection:
        connection.execute(text("CREATE SCHEMA IF NOT EXISTS elsewhere"))
    # The module's metastore was emptied by tests before this one: a database of its own tells.
    name = upgraded._url.database
    assert name
    fresh = upgraded._url.set(database=f"{name}_fresh")
    import psycopg

    dsn = upgraded._url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}_fresh"'.encode())
        try:
            with Metastore(fresh) as store:
                store.upgrade(by=ADA)
                store.upgrade(by=ADA)
                [entry] = audit.list_entries(store)
                assert (entry.sequence, entry.action, entry.actor) == (1, "metastore.upgraded", "ada")
                assert json.loads(entry.details)["from"] is None
        finally:
            admin.execute(f'DROP DATABASE "{name}_fresh" WITH (FORCE)'.encode())


def test_what_cannot_be_told_is_not_done(store: Metastore) -> None:
    with store.transaction() as connection:
        connection.execute(text("ALTER TABLE audit_entries RENAME TO gone"))
    try:
        with pytest.raises(StateError, match=r"lacks what this version needs.*audit_entries"):
            begin(store)
        with pytest.raises(StateError), recorded(store, "backup.prune", "somewhere", details={}):
            pytest.fail("the block must not be entered")
    finally:
        with store.transaction() as connection:
            connection.execute(text("ALTER TABLE gone RENAME TO audit_entries"))
    assert runs.list_runs(store) == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entries SET actor = 'x'",
        "DELETE FROM audit_entries",
        "TRUNCATE audit_entries",
        "INSERT INTO audit_entries SELECT * FROM audit_entries ON CONFLICT (sequence) DO UPDATE SET actor = 'x'",
    ],
)
def test_entries_are_neither_changed_nor_removed(statement: str, store: Metastore) -> None:
    audit.record(store, ADA, Act("run.begun", "p"))
    with pytest.raises(AccessDenied, match="neither changed nor removed"), store.transaction() as connection:
        connection.execute(text(statement))
    assert checked(store).clean


def test_what_is_done_elsewhere_is_told_before_and_after(store: Metastore) -> None:
    with recorded(store, "backup.create", "place", details={"label": "x"}, author=ADA) as outcome:
        assert told(store) == [("backup.create.begun", "place")]
        outcome["set"] = "s1"
    with pytest.raises(KeyError), recorded(store, "backup.prune", "place", details={}, author=ADA):
        raise KeyError
    assert [json.loads(entry.details) for entry in audit.list_entries(store)] == [
        {"state": "failed", "error": "KeyError"},
        {},
        {"state": "success", "set": "s1"},
        {"label": "x"},
    ]


WRITER = """
import sys
import warnings
from data_workbench.metastore import Metastore, audit
store = Metastore.open(sys.argv[1])
for number in range(60):
    audit.record(store, audit.Author(sys.argv[2], "cli"), audit.Act("run.begun", "p", {"number": number}))
"""

HALF = """
import os, signal, sys
from data_workbench.metastore import Metastore, audit, runs
from sqlalchemy import text
store = Metastore.open(sys.argv[1])
with store.transaction() as connection:
    connection.execute(text("CREATE TABLE half_done (id int)"))
    audit.append(connection, audit.Author("killed", "cli"), audit.Act("run.begun", "p"))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def url_of(store: Metastore) -> str:
    return store._url.render_as_string(hide_password=False)


def test_two_writers_at_once_leave_no_gap(store: Metastore) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, url_of(store), name]) for name in ("one", "two")]
    assert [writer.wait(120) for writer in writers] == [0, 0]
    report = checked(store)
    assert report.problems == []
    assert (report.first, report.last, report.entries) == (1, 120, 120)


def test_a_writer_killed_before_its_commit_leaves_nothing_and_stops_nobody(store: Metastore) -> None:
    audit.record(store, ADA, Act("run.begun", "p"))
    done = subprocess.run([sys.executable, "-c", HALF, url_of(store)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert audit.record(store, ADA, Act("run.ended", "p")).sequence == 2
    report = checked(store)
    assert (report.problems, report.entries) == ([], 2)
    with store.transaction() as connection:
        assert connection.scalar(text("SELECT to_regclass('half_done')")) is None


def put(store: Metastore, entries: list[Entry]) -> None:
    """Whatever a database's owner can do: the trigger is out of force, the rows are these."""
    with store.transaction() as connection:
        connection.execute(text("ALTER TABLE audit_entries DISABLE TRIGGER USER"))
        connection.execute(audit_entries.delete())
        connection.execute(insert(audit_entries), [vars(entry) for entry in entries])
        connection.execute(text("ALTER TABLE audit_entries ENABLE TRIGGER USER"))


@pytest.mark.parametrize("tamper", [one for one in trails.TAMPERINGS if one is not trails.shuffle_lines])
def test_a_tampering_with_the_table_is_found_at_its_entry(tamper: trails.Tamper, store: Metastore) -> None:
    entries = trails.trail(50)
    put(store, entries)
    assert checked(store).problems == []
    tamper(entries, 20, random.Random(3))
    put(store, entries)
    assert checked(store).problems[0].sequence == 21


def test_entries_are_found_by_time_action_object_and_actor(store: Metastore) -> None:
    put(store, trails.trail(50))
    with audit.entries(store) as found:
        every = list(found)
    some = audit.list_entries(store, audit.Search(action="run", actor="ada"), limit=3)
    wanted = [one for one in reversed(every) if one.action.startswith("run.") and one.actor == "ada"]
    assert some == wanted[:3]
    late = audit.list_entries(store, audit.Search(since=every[-4].at, object=every[-1].object))
    assert late == [one for one in reversed(every[-4:]) if one.object == every[-1].object]


def test_a_trail_that_is_not_read_to_its_end_leaves_no_cursor_open(store: Metastore, tmp_path: Path) -> None:
    audit.record(store, ADA, Act("run.begun", "p"))
    with warnings.catch_warnings(record=True) as noticed:
        warnings.simplefilter("always")
        with pytest.raises(UsageError, match="cannot be written"), audit.entries(store) as found:
            write_export(found, tmp_path / "nowhere" / "trail.jsonl")
        del found
        gc.collect()
    assert [str(one.message) for one in noticed] == []


def test_old_entries_are_sealed_and_the_rest_stays_whole(store: Metastore, tmp_path: Path) -> None:
    keys = open_keys(Settings(home=tmp_path), makes=True)
    assert keys is not None
    entries = trails.trail(50)
    put(store, entries)
    heads = [keys.sign(10, entries[9].hash)]
    first = seal_before(store, entries[20].at, tmp_path / "first.jsonl", keys=keys, heads=heads)
    assert (first.first, first.through, first.removed) == (1, 20, 20)
    assert list(read_export(tmp_path / "first.jsonl")) == entries[:20]
    second = seal_before(store, entries[30].at, tmp_path / "second.jsonl", keys=keys, heads=heads)
    assert (second.first, second.through) == (21, 30)
    report = checked(store, heads=heads, keys=keys)
    assert report.problems == []
    assert (report.first, report.last, report.sealed_through) == (31, 52, 30)
    whole = [*read_export(tmp_path / "first.jsonl"), *read_export(tmp_path / "second.jsonl")]
    with audit.entries(store) as found:
        assert verify([*whole, *found], heads=heads, keys=keys).clean, "with the exports it is the whole trail again"
    with pytest.raises(UsageError, match="no entry is older"):
        seal_before(store, NOW - timedelta(days=1), tmp_path / "third.jsonl", keys=keys, heads=[])
    with pytest.raises(AccessDenied), store.transaction() as connection:
        connection.execute(audit_entries.delete().where(audit_entries.c.sequence == 31))


def test_a_broken_trail_is_not_sealed(store: Metastore, tmp_path: Path) -> None:
    keys = open_keys(Settings(home=tmp_path), makes=True)
    assert keys is not None
    entries = trails.trail(30)
    trails.remove(entries, 5, random.Random(1))
    put(store, entries)
    with pytest.raises(StateError, match=r"entry 6 is missing"):
        seal_before(store, entries[20].at, tmp_path / "out.jsonl", keys=keys, heads=[])
    assert not (tmp_path / "out.jsonl").exists()
    with store.transaction() as connection:
        count = select(text("count(*)")).select_from(audit_entries).where(audit_entries.c.sequence >= bindparam("n"))
        assert connection.scalar(count, {"n": 0}) == 29
