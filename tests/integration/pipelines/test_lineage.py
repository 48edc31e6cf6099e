"""Lineage of real runs: all of it arrives, now or later, and nothing that happens to it fails a run."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql

from data_workbench.lineage import Outbox, StageRun, deliver_outbox
from data_workbench.lineage.validation import findings
from data_workbench.metastore import Metastore

if TYPE_CHECKING:
    from tests.integration.pipelines.conftest import Site

FLOW = """
version: 1
pipeline: flow
description: Words in three stores.
owner: words-team
sources:
  rows: {connection: pg, stream: public.words, key: [id]}
  other: {connection: pg, stream: public.others, key: [id]}
steps:
  - {name: loud, input: rows, derive: {loud: upper(word)}}
contract: {loud: {columns: {word: {required: true}}, on_invalid: quarantine}}
destinations:
  table: {connection: pg, input: loud, table: public.loud_words, key: [id]}
  graph: {connection: graph, nodes: [{input: loud, label: Word, key: id}, {input: other, label: Other, key: id}]}
"""
STATES = "SELECT e.event #>> '{job,name}', state FROM lineage_events e ORDER BY at, sequence"


@pytest.fixture
def words(site: Site) -> Site:
    site.sql("CREATE TABLE words (id int PRIMARY KEY, word text)")
    site.sql("CREATE TABLE others (id int PRIMARY KEY, word text)")
    site.sql("INSERT INTO words VALUES (1, 'a'), (2, 'b'), (3, NULL)")
    site.sql("INSERT INTO others VALUES (1, 'z')")
    return site


def states(site: Site) -> set[tuple[str, str]]:
    return set(site.sql(STATES))


WHOLE = {(f"pipeline__flow{stage}", state) for stage in ("", ".stage", ".load.table", ".load.graph", ".reconcile")
         for state in ("START", "COMPLETE")}  # fmt: skip


def waiting(site: Site) -> list[str]:
    return [path.parent.name for path in (site.settings.home / "lineage" / "outbox").rglob("*.ndjson")]


def test_a_run_leaves_valid_events_in_the_metastore_and_nothing_in_the_outbox(words: Site) -> None:
    document = words.run(FLOW)
    assert states(words) == WHOLE
    assert waiting(words) == []
    assert document["lineage_kept_out"] == 0
    for (event,) in words.sql("SELECT event FROM lineage_events"):
        assert findings(event) == []
    assert words.sql("SELECT DISTINCT origin FROM lineage_runs WHERE origin IS NOT NULL") == [(document["run_id"],)]
    [(owner,)] = words.sql(
        "SELECT facets #>> '{ownership,facet,owners,0,name}' FROM lineage_jobs WHERE name = 'pipeline__flow.load.graph'"
    )
    assert owner == "team:words-team"
    edges = words.sql(
        "SELECT DISTINCT i.name, e.input_column, o.name, e.output_column FROM lineage_column_edges e"
        " JOIN lineage_datasets i ON i.id = e.input_id JOIN lineage_datasets o ON o.id = e.output_id"
        " WHERE e.output_column = 'loud'"
    )
    database = str(words.dsn).rpartition("/")[2]
    source = f"{database}.public.words"
    assert set(edges) == {
        (source, "word", f"{database}.public.loud_words", "loud"),
        (source, "word", "neo4j.Word", "loud"),
    }
    [(inputs,)] = words.sql(
        "SELECT array(SELECT one ->> 'name' FROM json_array_elements(event -> 'inputs') one) FROM lineage_events"
        " WHERE event #>> '{job,name}' = 'pipeline__flow.load.table' AND state = 'COMPLETE'"
    )
    assert [name.rpartition(".")[2] for name in inputs] == ["words"], "a load reads only what reaches it"
    [(compared,)] = words.sql(
        "SELECT event FROM lineage_events"
        " WHERE event #>> '{job,name}' = 'pipeline__flow.reconcile' AND state = 'COMPLETE'"
    )
    told = {
        one["name"].rpartition(".")[2]: one["inputFacets"].get("dataQualityAssertions") for one in compared["inputs"]
    }
    assert [(one["name"], one["success"]) for one in told["loud_words"]["assertions"]] == [("required word", True)]
    assert told["Other"] is None, "it has no contract"
    assert {one["facets"]["version"]["datasetVersion"] for one in compared["inputs"]} == {document["run_id"]}
    waited = [one["job"]["name"] for one in compared["run"]["facets"]["jobDependencies"]["upstream"]]
    assert sorted(waited) == ["pipeline__flow.load.graph", "pipeline__flow.load.table"]


def test_a_run_whose_stores_differ_is_told_as_failed_with_what_held(words: Site) -> None:
    words.run(FLOW)
    words.sql(
        "CREATE FUNCTION bend() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.loud := 'bent'; RETURN NEW; END $$"
    )
    try:
        words.sql("CREATE TRIGGER bent BEFORE UPDATE ON loud_words FOR EACH ROW EXECUTE FUNCTION bend()")
        words.sql("UPDATE words SET word = 'new' WHERE id = 1")
        document, error = words.try_run(FLOW)
        assert error is not None
        assert document["reconciliation"]["clean"] is False
        events = dict(
            words.sql(
                "SELECT event #>> '{job,name}', event FROM lineage_events WHERE state = 'FAIL'"
                " AND event #>> '{job,name}' IN ('pipeline__flow', 'pipeline__flow.reconcile')"
            )
        )
        for event in events.values():
            assert findings(event) == []
            assert "differ" in event["run"]["facets"]["errorMessage"]["message"]
        held = [one["inputFacets"] for one in events["pipeline__flow.reconcile"]["inputs"]]
        assert any("dataQualityAssertions" in one for one in held)
        assert events["pipeline__flow"]["outputs"]
    finally:
        words.sql("DROP FUNCTION bend CASCADE")


def test_a_metastore_lost_at_the_end_of_a_run_gets_the_lineage_later(words: Site, monkeypatch: Any) -> None:
    """Nobody may connect to it once the run is published; the run is whole, and its lineage arrives with the next."""
    database = str(words.dsn).rpartition("/")[2]
    admin = psycopg.connect(words.dsn.rpartition("/")[0] + "/postgres", autocommit=True)
    allow = sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS {}")
    runner = words.runner()
    deliver = runner.deliver_lineage

    def lose_it_first() -> Any:
        admin.execute(allow.format(sql.Identifier(database), sql.SQL("false")))
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [database])
        try:
            return deliver()
        finally:
            admin.execute(allow.format(sql.Identifier(database), sql.SQL("true")))

    monkeypatch.setattr(runner, "deliver_lineage", lose_it_first)
    with admin:
        document, error = runner.run(words.definition(FLOW), params={})
    assert (error, document["state"]) == (None, "success")
    assert words.sql(STATES) == []
    assert waiting(words) == ["metastore"]
    (words.settings.home / "lineage" / "outbox" / "metastore" / "later.json").unlink()
    code, told, _ = words.command("lineage", "deliver")
    assert (code, told["sent"], told["waiting"]) == (0, len(WHOLE), 0)
    assert states(words) == WHOLE


def test_what_the_disk_did_not_take_is_counted_in_the_run_and_fails_nothing(words: Site) -> None:
    # One process for each stage, as under Airflow: each opens a file of its own.
    runner, definition = words.runner(), words.definition(FLOW)
    run_id = runner.begin(definition, params={})
    runner.stage(run_id)
    runner.deliver_lineage()
    runner.load(run_id, "table")
    runner.deliver_lineage()
    folder = words.settings.home / "lineage"
    shutil.rmtree(folder)
    folder.write_text("in the way")
    blocked = words.runner()
    blocked.load(run_id, "graph")
    blocked.reconcile(run_id)
    document = blocked.result(run_id)
    assert document["state"] == "success"
    assert document["lineage_kept_out"] == 2 + 3, "graph and reconcile, and the end of the whole"
    assert "Error" in words.one("SELECT measures #>> '{lineage,reason}' FROM run_stages WHERE stage = 'load.graph'")


# ------------------------------------------------------------------------------------------------- another server


class Server(ThreadingHTTPServer):
    """An OpenLineage server: keeps what is posted."""

    status = 201

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.taken: list[tuple[str, str | None, dict[str, Any]]] = []


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.server.status < 300:
            self.server.taken.append((self.path, self.headers["authorization"], body))
        self.send_response(self.server.status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.05,))
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def test_another_openlineage_server_gets_the_same_events(words: Site, server: Server, monkeypatch: Any) -> None:
    value = {"conn_type": "workbench_rest", "host": f"http://127.0.0.1:{server.server_port}", "password": "key-of-ours"}
    monkeypatch.setenv("AIRFLOW_CONN_MARQUEZ", json.dumps(value))
    runner = words.runner(lineage_receiver="marquez")
    server.status = 503
    document, error = runner.run(words.definition(FLOW), params={})
    assert (error, document["state"]) == (None, "success")
    assert states(words) == WHOLE, "a server that is away holds up nobody else"
    assert waiting(words) == ["receiver"]
    server.status = 201
    (words.settings.home / "lineage" / "outbox" / "receiver" / "later.json").unlink()
    done = deliver_outbox(runner.settings, words.metastore, runner.connections)
    assert (done.sent, done.trouble) == (len(WHOLE), None)
    assert {(path, who) for path, who, _ in server.taken} == {("/api/v1/lineage", "Bearer key-of-ours")}
    assert {(one["job"]["name"], one["eventType"]) for _, _, one in server.taken} == WHOLE


def test_a_receiver_that_is_misnamed_is_told_and_its_events_wait(words: Site, caplog: Any) -> None:
    runner = words.runner(lineage_receiver="pg")
    document, error = runner.run(words.definition(FLOW), params={})
    assert (error, document["state"]) == (None, "success")
    assert states(words) == WHOLE
    assert "name one of type workbench_rest" in caplog.text or "is of type 'postgres'" in caplog.text
    assert waiting(words) == ["receiver"]


def test_a_metastore_that_hangs_holds_nobody_up(words: Site) -> None:
    """Somebody holds the lock of the graph: delivery gives up after its patience, and the events wait."""
    from data_workbench.lineage.delivery import METASTORE, MetastoreReceiver, deliver
    from data_workbench.metastore import lineage

    outbox = Outbox(words.settings)
    outbox.tell("START", StageRun("p", "r", "s"))
    outbox.close()
    with Metastore.open(words.dsn) as other, other.transaction() as connection:
        lineage.fold_lock(connection)
        receiver = MetastoreReceiver(words.metastore, patience="200ms")
        done = deliver(words.settings, {METASTORE: receiver})
    assert done.waiting == 1
    assert "busy" in str(done.trouble)


def test_the_task_of_housekeeping_delivers_what_a_killed_run_left(words: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    from data_workbench.provider.operators.housekeeping import DeliverLineageOperator

    for name, value in words.environment().items():
        monkeypatch.setenv(name, value)
    outbox = Outbox(words.settings)
    outbox.tell("START", StageRun("killed", "r", "stage"))
    outbox.close()
    done = DeliverLineageOperator(task_id="deliver").execute({})
    assert (done["sent"], done["waiting"]) == (1, 0)
    assert states(words) == {("pipeline__killed.stage", "START")}
