"""Changes that others make, found in PostgreSQL's log, by cursor and by comparison, and told as one timeline."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from data_workbench.connectors.connections import Connections, from_environment
from data_workbench.connectors.postgres.capture import Capture
from data_workbench.errors import UsageError
from data_workbench.metastore import journal, watches
from data_workbench.pipelines.record_tracing import trace_record, watched_changes
from data_workbench.pipelines.watch_files import watch_once
from data_workbench.watching import log
from data_workbench.watching.comparing import ComparingPass

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.pipelines.conftest import Site

    from data_workbench.watching import Pass

SLOT = "watch_test"
LOGGED = "{connection: pg, stream: public.needs, how: wal, values: true, mask: [secret]}"


@pytest.fixture
def needs(site: Site) -> Iterator[Site]:
    site.sql("CREATE TABLE needs (id int PRIMARY KEY, body text, secret text, editor text)")
    try:
        yield site
    finally:
        look(site)  # nothing is watched: slots are dropped


def look(site: Site, *watched: str, retained: str = "1GB") -> Pass:
    """One pass over a file of watches."""
    path = site.folder / "watches.yaml"
    listed = "".join(f"\n  - {one}" for one in watched) or " []"
    path.write_text(f"version: 1\nslot: {SLOT}\nretained: {retained}\nwatches:{listed}\n")
    settings = replace(site.settings, watches=path, pipelines=site.folder, contracts=site.folder / "contracts")
    return watch_once(site.metastore, Connections(from_environment), settings)


def found(site: Site, address: str = "pg:public.needs", **key: str) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = watched_changes(site.metastore, address, key=key or None)["events"]
    return events


def steps(events: list[dict[str, Any]]) -> list[tuple[str, str | None]]:
    return [(one["what"], (one["key"] or {}).get("id")) for one in events]


def test_what_another_watcher_told_meanwhile_is_not_told_as_undone(
    needs: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched, tell = "{connection: pg, stream: public.needs}", ComparingPass._tell
    needs.sql("INSERT INTO needs VALUES (1, 'first', 'hush', 'ada')")
    look(needs, watched)

    def late(slow: ComparingPass, *given: Any, **named: Any) -> None:
        monkeypatch.setattr(ComparingPass, "_tell", tell)
        needs.sql("UPDATE needs SET body = 'changed'")
        assert look(needs, watched).found == {"pg:public.needs": 1}
        tell(slow, *given, **named)

    monkeypatch.setattr(ComparingPass, "_tell", late)
    [trouble] = look(needs, watched).troubles.values()
    assert "another watcher reads pg:public.needs" in trouble
    assert look(needs, watched).found == {"pg:public.needs": 0}
    assert steps(found(needs)) == [("changed", "1")]


def slots(site: Site) -> int:
    return int(site.one("SELECT count(*) FROM pg_replication_slots WHERE slot_name = %s", SLOT))


def test_the_log_tells_each_change_in_order_with_values_before_and_after_who_and_why(needs: Site) -> None:
    assert look(needs, LOGGED).as_dict() == {"found": {"pg:public.needs": 0}, "ended": [], "troubles": {}}
    needs.sql("INSERT INTO needs VALUES (1, 'first', 'hush', 'ada'), (2, 'second', 'hush', 'ada')")
    with psycopg.connect(needs.dsn) as by_hand:
        said = json.dumps({"actor": "bo", "reason": "ticket 12", "password": "no"})
        by_hand.execute("UPDATE needs SET body = 'changed', secret = 'louder' WHERE id = 1")
        by_hand.execute("SELECT pg_logical_emit_message(true, 'workbench', %s)", (said,))
        by_hand.execute("UPDATE needs SET id = 3 WHERE id = 2")
    with psycopg.connect(needs.dsn) as undone:
        undone.execute("DELETE FROM needs")
        undone.rollback()
    needs.sql("DELETE FROM needs WHERE id = 1")
    needs.sql("TRUNCATE needs")
    done = look(needs, LOGGED)
    assert done.found == {"pg:public.needs": 7}
    events = found(needs)
    assert steps(events) == [("appeared", "1"), ("appeared", "2"), ("changed", "1"), ("disappeared", "2"),
                             ("appeared", "3"), ("disappeared", "1"), ("emptied", None)]  # fmt: skip
    changed = events[2]
    assert (changed["actor"], changed["reason"], changed["run_id"]) == ("bo", "ticket 12", None)
    assert changed["values"] == {
        "before": {"id": "1", "body": "first", "secret": "•••", "editor": "ada"},
        "after": {"id": "1", "body": "changed", "secret": "•••", "editor": "ada"},
    }
    assert changed["changed"] == ["body"], "of a masked column nobody can tell"
    assert changed["before"] == events[0]["after"] != changed["after"]
    assert events[3]["transaction"] == events[4]["transaction"] == changed["transaction"] != events[5]["transaction"]
    assert events[5]["values"]["before"]["body"] == "changed"
    assert [one["at"] for one in events] == sorted(one["at"] for one in events)
    kept = needs.sql("SELECT string_agg(encode(content, 'escape'), '') FROM journal")[0][0] + str(
        needs.sql("SELECT string_agg(row::text, '') FROM watched_rows")
    )
    assert "hush" not in kept
    assert "louder" not in kept
    assert look(needs, LOGGED).found == {"pg:public.needs": 0}, "nothing is told twice"


def test_of_a_full_identity_the_first_change_has_its_before_and_long_values_are_not_lost(needs: Site) -> None:
    needs.sql("ALTER TABLE needs ALTER COLUMN secret SET STORAGE EXTERNAL")
    needs.sql("ALTER TABLE needs REPLICA IDENTITY FULL")
    needs.sql("INSERT INTO needs VALUES (1, 'there before', repeat('x', 9000), 'ada')")
    watched = "{connection: pg, stream: needs, how: wal, values: true, actor: editor}"
    look(needs, watched)
    needs.sql("UPDATE needs SET body = 'now', editor = 'cy' WHERE id = 1")
    look(needs, watched)
    [changed] = found(needs, "pg:needs", id="1")
    assert (changed["actor"], changed["changed"]) == ("cy", ["body", "editor"])
    assert changed["values"]["before"]["body"] == "there before"
    assert len(changed["values"]["after"]["secret"]) == 9000
    assert needs.one("SELECT count(*) FROM watched_rows") == 0


def test_a_table_without_identity_is_not_published_and_others_are_watched_all_the_same(needs: Site) -> None:
    needs.sql("CREATE TABLE loose (a int)")
    loose = "{connection: pg, stream: loose, how: wal, key: a}"
    done = look(needs, LOGGED, loose, "{connection: pg, stream: missing, how: wal}")
    assert set(done.troubles) >= {"pg:loose", "pg:missing"}
    needs.sql("INSERT INTO loose VALUES (1)")
    needs.sql("UPDATE loose SET a = 2")  # its owners can go on
    assert "primary key" in done.troubles["pg:loose"]


def test_the_task_of_housekeeping_looks_and_says_what_it_could_not_watch(
    needs: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.sdk.exceptions import AirflowException

    from data_workbench.provider.operators.changes import WatchChangesOperator

    for name, value in needs.environment().items():
        monkeypatch.setenv(name, value)
    look(needs, LOGGED)
    needs.sql("INSERT INTO needs VALUES (1, 'a')")
    places = {"file": str(needs.folder / "watches.yaml"), "pipelines": str(needs.folder)}
    done = WatchChangesOperator(task_id="watch", **places).execute({})
    assert done["found"] == {"pg:public.needs": 1}
    needs.sql("ALTER TABLE needs DROP COLUMN id")
    with pytest.raises(AirflowException, match=r"pg:public\.needs.*has no key"):
        WatchChangesOperator(task_id="watch", **places).execute({})


def test_a_table_that_is_watched_no_longer_lets_the_server_have_its_log_back(needs: Site) -> None:
    needs.sql("CREATE TABLE others (id int PRIMARY KEY)")
    both = [LOGGED, "{connection: pg, stream: public.others, how: wal}"]
    look(needs, *both)
    assert slots(needs) == 1
    done = look(needs, LOGGED)
    assert done.ended == ["pg:public.others"]
    published = needs.sql("SELECT tablename FROM pg_publication_tables WHERE pubname = %s", SLOT)
    assert published == [("needs",)]
    assert slots(needs) == 1
    assert look(needs).ended == ["pg:public.needs"]
    assert slots(needs) == 0
    assert needs.one("SELECT count(*) FROM pg_publication WHERE pubname = %s", SLOT) == 0
    assert watches.slots(needs.metastore) == {}


def test_a_slot_that_holds_back_too_much_is_dropped_and_the_gap_is_told(needs: Site) -> None:
    look(needs, LOGGED)
    # A transaction that stays open holds the log back, whatever the watcher reads.
    with psycopg.connect(needs.dsn) as open_one:
        open_one.execute("INSERT INTO needs VALUES (1)")
        open_one.execute("SELECT pg_logical_emit_message(false, 'x', repeat('y', 3000000))")
        look(needs, LOGGED, retained="1MB")
        assert slots(needs) == 0
    needs.sql("INSERT INTO needs VALUES (2)")
    look(needs, LOGGED)
    needs.sql("INSERT INTO needs VALUES (3)")
    look(needs, LOGGED)
    events = found(needs)
    assert steps(events) == [("not known", None), ("appeared", "3")]
    assert "held back too much" in events[0]["reason"]
    assert found(needs, id="9")[0]["what"] == "not known", "a gap is told of every key"


def test_a_slot_that_holds_back_too_much_while_it_is_read_is_dropped_then(
    needs: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    look(needs, LOGGED)
    needs.sql("INSERT INTO needs SELECT n FROM generate_series(1, 400) n")
    peek, read = Capture.peek, list[Any]()

    def slow(capture: Capture, *given: Any, **named: Any) -> Iterator[Any]:  # as a server that others write to
        for message in peek(capture, *given, **named):
            if len(read) == 100:
                needs.sql("SELECT pg_logical_emit_message(true, 'x', repeat('y', 3000000))")
            read.append(message)
            yield message

    monkeypatch.setattr(Capture, "peek", slow)
    monkeypatch.setattr(log, "LOOK_EVERY", 0.0)
    done = look(needs, LOGGED, retained="1MB")
    assert "more than the 1,048,576 bytes" in done.troubles["pg:public.needs"]
    assert len(read) < 110, "not first at the end of the pass"
    assert slots(needs) == 0
    monkeypatch.setattr(Capture, "peek", peek)
    look(needs, LOGGED)
    needs.sql("INSERT INTO needs VALUES (500)")
    look(needs, LOGGED)
    assert steps(found(needs)) == [("not known", None), ("appeared", "500")]


def test_what_befell_a_table_while_it_could_not_be_watched_is_told_as_not_known(needs: Site) -> None:
    needs.sql("CREATE TABLE others (id int PRIMARY KEY)")
    both = [LOGGED, "{connection: pg, stream: public.others, how: wal}"]
    look(needs, *both)
    needs.sql("INSERT INTO needs VALUES (1)")
    assert look(needs, *both).found == {"pg:public.needs": 1, "pg:public.others": 0}
    needs.sql("INSERT INTO needs VALUES (2); ALTER TABLE needs RENAME TO elsewhere; INSERT INTO others VALUES (1)")
    done = look(needs, *both)
    assert done.found == {"pg:public.others": 1}
    assert "no table" in done.troubles["pg:public.needs"]
    needs.sql("ALTER TABLE elsewhere RENAME TO needs")
    look(needs, *both)
    needs.sql("INSERT INTO needs VALUES (3)")
    look(needs, *both)
    events = found(needs)
    assert steps(events) == [("appeared", "1"), ("not known", None), ("appeared", "3")]
    assert "could not be watched" in events[1]["reason"]
    assert steps(found(needs, "pg:public.others")) == [("appeared", "1")]


def test_what_was_held_back_before_a_pass_is_read_all_the_same(needs: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    look(needs, LOGGED)
    needs.sql("SELECT pg_logical_emit_message(false, 'x', repeat('y', 3000000))")
    needs.sql("INSERT INTO needs VALUES (1)")
    monkeypatch.setattr(log, "LOOK_EVERY", 0.0)
    assert look(needs, LOGGED, retained="1MB").found == {"pg:public.needs": 1}
    assert steps(found(needs)) == [("appeared", "1")]


def test_a_slot_of_somebody_else_is_left_alone(needs: Site) -> None:
    needs.sql("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", SLOT)
    try:
        done = look(needs, LOGGED)
        assert "not by this metastore" in done.troubles["pg:public.needs"]
        look(needs)
        assert slots(needs) == 1
    finally:
        needs.sql("SELECT pg_drop_replication_slot(%s)", SLOT)


@pytest.mark.parametrize("point", ["watch.created", "watch.before_commit", "watch.after_commit"])
def test_a_watcher_killed_at_any_point_loses_nothing_and_tells_nothing_twice(needs: Site, point: str) -> None:
    begins = point == "watch.created"
    if not begins:
        look(needs, LOGGED)
        needs.sql("INSERT INTO needs SELECT n, 'b' FROM generate_series(1, 50) n")
        needs.sql("UPDATE needs SET body = 'c' WHERE id <= 5")
    path = needs.folder / "watches.yaml"
    path.write_text(f"version: 1\nslot: {SLOT}\nwatches:\n  - {LOGGED}\n")
    program = textwrap.dedent(
        f"""
        import os, signal, sys
        from data_workbench.events import subscribed
        from data_workbench.cli import main
        def die(event):
            if event.name == {point!r}:
                os.kill(os.getpid(), signal.SIGKILL)
        with subscribed(die):
            main(["changes", "watch", "--json"])
        """
    )
    killed = subprocess.run(
        [sys.executable, "-c", program], env=needs.environment(WORKBENCH_WATCHES=str(path)), cwd=needs.folder,
        capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    if begins:
        look(needs, LOGGED)
        needs.sql("INSERT INTO needs SELECT n, 'b' FROM generate_series(1, 50) n")
        needs.sql("UPDATE needs SET body = 'c' WHERE id <= 5")
    needs.sql("DELETE FROM needs WHERE id = 50")
    look(needs, LOGGED)
    expected = [("appeared", str(n)) for n in range(1, 51)] + [("changed", str(n)) for n in range(1, 6)]
    assert steps(found(needs)) == [*expected, ("disappeared", "50")]


COPY = """
version: 1
pipeline: carried
journal: {journal}
sources: {{rows: {{connection: pg, stream: public.needs, key: id}}}}
steps: [{{name: named, input: rows, rename: {{id: number}}}}]
contract: {{named: {{columns: {{secret: {{classification: controlled}}}}}}}}
destinations:
  table: {{connection: pg, input: named, table: public.needs_copy, key: number}}
  graph: {{connection: graph, nodes: [{{input: named, label: Need, key: number}}]}}
  points:
    {{connection: vectors, input: named, collection: needs, key: number, embed: {{text: body, model: hashing-384}}}}
"""


def test_one_timeline_leads_from_a_source_that_others_write_over_three_stores(
    needs: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_METASTORE", needs.settings.metastore)
    flow = COPY.format(journal="values")
    (needs.folder / "carried.yaml").write_text(flow)
    watched = [
        LOGGED,
        "{connection: pg, stream: public.needs_copy, how: wal}",
        "{connection: graph, stream: Need, key: number, values: true}",
        "{connection: vectors, stream: needs}",
    ]
    needs.sql("INSERT INTO needs VALUES (1, 'one', 'hush', 'ada'), (2, 'two', 'hush', 'ada')")
    run = needs.run(flow)
    first = look(needs, *watched)
    assert first.troubles == {}
    assert set(first.found.values()) == {0}, "a first look is what later ones are held against"
    needs.sql("UPDATE needs SET body = 'uno' WHERE id = 1")
    again = needs.run(flow)
    needs.cypher("MATCH (n:Need {number: 1}) SET n.body = 'by hand', n.secret = 'seen'")
    done = look(needs, *watched)
    assert done.troubles == {}
    document = trace_record(needs.metastore, "pg:needs", {"id": "1"})
    events = [(one["connection"], one["dataset"], one["what"], one.get("run_id")) for one in document["events"]]
    assert document["pipelines"] == ["carried"]
    assert events.count(("pg", "public.needs", "changed", None)) == 1
    for place in (("pg", "public.needs_copy"), ("graph", "(Need)"), ("vectors", "needs")):
        assert {one[3] for one in events if one[:2] == place and one[2].startswith("written")} == {
            run["run_id"], again["run_id"]}  # fmt: skip
    assert not [one for one in events if one[2] == "changed" and one[1] == "public.needs_copy"], (
        "a run's own is told once"
    )
    [node] = [one for one in document["events"] if one["dataset"] == "(Need)" and one.get("run_id") == again["run_id"]]
    assert node["values"]["before"]["body"] == "one"
    assert node["values"]["after"]["body"] in ("uno", "by hand")
    written = [one for one in document["events"] if one.get("run_id") == again["run_id"] and one.get("values")]
    assert {one["connection"] for one in written} == {"pg", "graph", "vectors"}
    assert "hush" not in str(document)
    assert "seen" not in str(document)

    needs.cypher("MATCH (n:Need {number: 2}) DETACH DELETE n")
    needs.points.delete("needs", points_selector=[2])
    needs.sql("ALTER TABLE needs ADD COLUMN owner text")
    look(needs, *watched)
    other = trace_record(needs.metastore, "graph:Need", {"number": "2"})
    gone = {(one["connection"], one["what"]) for one in other["events"]}
    assert {("graph", "disappeared"), ("vectors", "disappeared"), ("pg", "schema changed")} <= gone
    [changed] = [one for one in other["events"] if one["what"] == "schema changed" and one["dataset"] == "public.needs"]
    assert changed["changes"] == ["owner is new"]
    assert not [one for one in other["events"] if one["what"] == "changed"], "a new column without values is no change"
    _assert_over_rest_and_command_line(needs, document)


def test_what_is_written_and_watched_under_two_names_is_one_timeline(
    needs: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_METASTORE", needs.settings.metastore)
    flow = COPY.format(journal="values").replace("public.needs_copy", "needs_copy")
    (needs.folder / "carried.yaml").write_text(flow)
    watched = "{connection: pg, stream: public.needs_copy, how: wal, values: true}"
    needs.sql("INSERT INTO needs VALUES (1, 'one', 'hush', 'ada')")
    needs.run(flow)
    look(needs, watched)
    needs.sql("UPDATE needs SET body = 'uno'")
    run = needs.run(flow)
    needs.sql("UPDATE needs_copy SET body = 'by hand'")
    look(needs, watched)
    told = []
    for address in ("pg:needs_copy", "pg:public.needs_copy", 'pg:"needs_copy"'):
        document = trace_record(needs.metastore, address, {"number": "1"}, everywhere=False)
        told.append([(one["what"], one["run_id"]) for one in document["events"]])
    assert told[0] == told[1] == told[2]
    assert told[0].count(("changed", None)) == 1, "by hand"
    assert len([one for one in told[0] if one[1] == run["run_id"]]) == 1, "a run's own is told once"


def test_a_stream_is_asked_for_as_the_file_of_watches_and_the_store_call_it(needs: Site) -> None:
    needs.sql('CREATE SCHEMA "Od d"')
    needs.sql('CREATE TABLE "Od d"."Tab.le" (id int PRIMARY KEY, v text)')
    needs.cypher("CREATE (:`We ird` {id: 1, v: 'a'}), (:X)-[:`RE L` {k: 1, v: 'a'}]->(:Y)")
    watched = [
        """{connection: pg, stream: '"Od d"."Tab.le"', how: wal}""",
        "{connection: graph, stream: We ird, key: id}",
        "{connection: graph, stream: '[:RE L]', key: k}",
    ]
    assert look(needs, *watched).troubles == {}
    needs.sql('INSERT INTO "Od d"."Tab.le" VALUES (1)')
    needs.cypher("MATCH (n:`We ird`) SET n.v = 'b'")
    needs.cypher("MATCH ()-[r:`RE L`]->() SET r.v = 'b'")
    look(needs, *watched)
    for address in ('pg:"Od d"."Tab.le"', 'pg:Od d."Tab.le"'):
        assert steps(found(needs, address)) == [("appeared", "1")]
    for address in ("graph:We ird", "graph:`We ird`", "graph:(`We ird`)", "graph:[:RE L]", "graph:[:`RE L`]"):
        assert [one["what"] for one in found(needs, address)] == ["changed"], address


def _assert_over_rest_and_command_line(site: Site, document: dict[str, Any]) -> None:
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    from data_workbench.api.pages import history
    from data_workbench.api.routes import changes, lineage

    app = FastAPI()
    for one in (changes, lineage, history):
        app.include_router(one.router(), prefix="/data")
    with TestClient(app) as caller:
        asked = {"dataset": "pg:public.needs", "key": "id=1"}
        assert caller.get("/data/changes", params=asked).json()["events"][0]["what"] == "changed"
        assert caller.get("/data/changes", params={"dataset": "pg:nothing"}).status_code == 404
        assert caller.get("/data/changes/watches").json()["total_entries"] == 4
        [newest, *_] = caller.get("/data/changes/schemas", params={"dataset": "pg:public.needs"}).json()["schemas"]
        assert newest["changes"] == ["owner is new"]
        page = caller.get("/data/pages/history", params=asked).text
        assert "schema changed" in page
        assert "uno" in page
    code, shown, _ = site.command("changes", "show", "pg:public.needs", "id=1")
    assert code == 0
    assert [one["what"] for one in shown["events"]] == ["changed"]
    code, listed, _ = site.command("changes", "list")
    assert {one["stream"] for one in listed["watches"]} == {"public.needs", "public.needs_copy", "Need", "needs"}
    assert document["events"]


def test_by_cursor_and_hash_what_is_new_changed_and_gone_is_found(needs: Site) -> None:
    needs.sql("ALTER TABLE needs ADD COLUMN seen timestamptz NOT NULL DEFAULT now()")
    needs.sql("INSERT INTO needs SELECT n, 'b', 'hush' FROM generate_series(1, 20) n")
    watched = "{connection: pg, stream: needs, how: cursor, cursor: {column: seen}, values: true, mask: [secret]}"
    assert look(needs, watched).found == {"pg:needs": 0}
    needs.sql("UPDATE needs SET body = 'c', secret = 'other', seen = now() WHERE id = 3")
    needs.sql("INSERT INTO needs VALUES (21, 'new', 'hush')")
    needs.sql("DELETE FROM needs WHERE id = 4")
    assert look(needs, watched).found == {"pg:needs": 3}
    events = found(needs, "pg:needs")
    assert sorted(steps(events)) == [("appeared", "21"), ("changed", "3"), ("disappeared", "4")]
    [changed] = [one for one in events if one["what"] == "changed"]
    assert set(changed["changed"]) == {"body", "seen"}
    assert changed["values"]["after"]["secret"] == "•••"
    assert changed["since"] < changed["at"]
    assert look(needs, watched).found == {"pg:needs": 0}
    assert journal.writers(needs.metastore) == {}, "who watches writes nothing"
    with pytest.raises(UsageError, match="knows nothing"):
        found(needs, "pg:neds")
