"""Options, schema policies, dispositions, and what happens when something is away or in the way."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from sqlalchemy import update

from data_workbench.errors import SchemaConflict, SlotsTaken, StateError
from data_workbench.events import Event, subscribed
from data_workbench.metastore import runs, stages
from data_workbench.metastore.locks import hold_run
from data_workbench.metastore.slots import taken
from data_workbench.metastore.tables.runs import run_stages
from data_workbench.metastore.tables.runs import runs as run_table
from data_workbench.pipelines.run import Runner

if TYPE_CHECKING:
    from tests.integration.pipelines.conftest import Site

COPY = """
version: 1
pipeline: copy
sources:
  rows: {connection: pg, stream: public.rows, key: id, cursor: {column: seen}, schema_policy: %(policy)s}
destinations:
  table: {connection: pg, table: public.rows_copy, %(write)s}
"""


def copy(*, policy: str = "evolve", write: str = "key: id, write: merge") -> str:
    return COPY % {"policy": policy, "write": write}


@pytest.fixture
def rows(site: Site) -> Site:
    site.sql("CREATE TABLE rows (id int PRIMARY KEY, name text, seen int)")
    site.sql("INSERT INTO rows SELECT n, 'row ' || n, n FROM generate_series(1, 20) n")
    return site


def test_an_append_adds_each_row_once_and_keeps_what_was_there(rows: Site) -> None:
    text = copy(write="write: append")
    rows.run(text)
    rows.run(text)
    rows.sql("INSERT INTO rows VALUES (21, 'new', 21)")
    assert rows.run(text)["destinations"]["table"]["inserted"] == 1
    assert rows.one("SELECT count(*) FROM rows_copy") == rows.one("SELECT count(DISTINCT id) FROM rows_copy") == 21


def test_rows_that_were_appended_stay_right_when_their_source_has_gone(rows: Site) -> None:
    text = copy(write="key: id, write: append")
    rows.run(text)
    rows.sql("DELETE FROM rows WHERE id <= 3")
    told = rows.reconcile(text, delete=True, repair=True, force=True)
    counts = told["destinations"]["table"]
    assert (told["clean"], counts["surplus"], counts["foreign"]) == (True, 0, 3)
    assert rows.one("SELECT count(*) FROM rows_copy") == 20


def test_rows_that_fill_holes_of_a_table_are_owned_like_those_at_its_end(rows: Site) -> None:
    rows.sql("INSERT INTO rows SELECT n, 'row ' || n, n FROM generate_series(21, 3000) n")
    rows.sql("CREATE TABLE rows_copy (id int PRIMARY KEY, name text, seen int)")
    rows.sql("INSERT INTO rows_copy SELECT -n, 'theirs', n FROM generate_series(1, 5000) n")
    rows.sql("DELETE FROM rows_copy WHERE id BETWEEN -3000 AND -1000")
    rows.sql("VACUUM rows_copy")
    pages = rows.one("SELECT pg_relation_size('rows_copy') / 8192")
    rows.run(copy(write="key: id, write: append"))
    holes = rows.one(f"SELECT count(*) FROM rows_copy WHERE id > 0 AND ctid < '({pages - 1},0)'::tid")
    assert holes, "no row went where others had been"
    told = rows.reconcile(copy(write="key: id, write: append"))
    assert (told["clean"], told["destinations"]["table"]["foreign"]) == (True, 2999)


def test_readers_see_the_old_rows_or_the_new_ones_while_a_table_is_replaced(rows: Site) -> None:
    text = copy(write="write: replace")
    rows.run(text)
    seen: set[tuple[int, str]] = set()
    done = threading.Event()

    def watch() -> None:
        with psycopg.connect(rows.dsn, autocommit=True) as connection:
            while not done.is_set():
                row = connection.execute("SELECT count(*), max(name) FROM rows_copy").fetchone()
                seen.add((row[0], row[1]) if row else (0, ""))

    rows.sql("UPDATE rows SET name = 'z'")
    rows.sql("DELETE FROM rows WHERE id > 15")
    watcher = threading.Thread(target=watch)
    watcher.start()
    told = rows.run(text)
    done.set()
    watcher.join()
    assert seen <= {(20, "row 9"), (15, "z")}
    assert told["reconciliation"]["clean"]
    rows.sql("UPDATE rows_copy SET name = 'tampered' WHERE id = 3")
    assert rows.reconcile(text)["clean"] is False


def test_a_replaced_table_with_a_key_is_mended_whole(rows: Site) -> None:
    text = copy(write="key: id, write: replace")
    rows.run(text)
    rows.sql("UPDATE rows_copy SET name = 'tampered' WHERE id = 3")
    told = rows.reconcile(text, repair=True)
    assert told["clean"], told
    assert rows.one("SELECT count(*) FROM rows_copy") == 20


def test_limit_and_dry_run_move_nothing(rows: Site) -> None:
    told = rows.run(copy(), limit=5)
    assert told["sources"]["rows"]["read"] == 5
    assert rows.one("SELECT count(*) FROM source_states") == 0
    told = rows.run(copy(), dry_run=True)
    assert told["sources"]["rows"]["read"] == 20
    assert rows.one("SELECT count(*) FROM rows_copy") == 5
    assert rows.one("SELECT count(*) FROM runs") == 1
    assert rows.run(copy())["sources"]["rows"]["read"] == 20
    assert rows.run(copy())["sources"]["rows"]["out"] == 0


def test_a_dry_run_makes_no_table(rows: Site) -> None:
    rows.run(copy(), dry_run=True)
    assert rows.one("SELECT to_regclass('rows_copy') IS NULL")


def test_full_refresh_deletes_what_is_gone_and_reset_state_reads_again(rows: Site) -> None:
    rows.run(copy())
    rows.sql("DELETE FROM rows WHERE id <= 12")
    assert rows.run(copy())["destinations"]["table"]["deleted"] == 0
    told = rows.run(copy(), reset_state=True)
    assert told["sources"]["rows"]["out"] == 8
    assert rows.one("SELECT count(*) FROM rows_copy") == 20
    told = rows.run(copy(), full_refresh=True)
    assert told["reconciliation"]["scope"] == "full"
    assert rows.one("SELECT count(*) FROM rows_copy") == 8
    assert rows.run(copy())["sources"]["rows"]["out"] == 0, "the refresh moved the cursor on"


def test_many_surplus_rows_are_deleted_only_by_force(rows: Site) -> None:
    rows.run(copy())
    rows.sql("DELETE FROM rows WHERE id <= 12")
    file = rows.file(copy())
    status, told, _ = rows.command("reconcile", file)
    assert (status, told["destinations"]["table"]["surplus"]) == (1, 12)
    status, told, errors = rows.command("reconcile", file, "--delete")
    assert (status, told["error"]["kind"]) == (1, "ReconciliationFailed")
    assert "--force" in errors
    assert rows.one("SELECT count(*) FROM rows_copy") == 20
    status, told, _ = rows.command("reconcile", file, "--delete", "--force")
    assert (status, told["clean"], told["destinations"]["table"]["repaired"]) == (0, True, 12)


def test_evolve_takes_a_new_column_and_freeze_refuses_it(rows: Site) -> None:
    rows.run(copy())
    rows.run(copy(policy="freeze"))
    rows.sql("ALTER TABLE rows ADD extra jsonb")
    rows.sql("""UPDATE rows SET extra = '{"b": 1, "a": 2.0}', seen = 100 WHERE id = 7""")
    with pytest.raises(Exception, match="extra is new"):
        rows.run(copy(policy="freeze"))
    assert rows.run(copy())["destinations"]["table"]["updated"] == 1
    assert rows.sql("SELECT id, extra FROM rows_copy WHERE extra IS NOT NULL") == [(7, {"b": 1, "a": 2.0})]
    assert rows.reconcile(copy())["clean"]


@pytest.mark.parametrize(("policy", "names"), [("discard_value", ["changed", "other"]), ("discard_row", ["other"])])
def test_a_new_column_is_left_out_with_or_without_its_row(rows: Site, policy: str, names: list[str]) -> None:
    rows.run(copy(policy=policy))
    rows.sql("ALTER TABLE rows ADD extra text")
    rows.sql("UPDATE rows SET name = 'changed', extra = 'x', seen = 100 WHERE id = 7")
    rows.sql("UPDATE rows SET name = 'other', seen = 101 WHERE id = 8")
    told = rows.run(copy(policy=policy))
    assert told["sources"]["rows"]["discarded"] == 2 - len(names)
    found = rows.sql("SELECT name FROM rows_copy WHERE id IN (7, 8) AND name !~ 'row' ORDER BY 1")
    assert [row[0] for row in found] == names
    columns = rows.sql("SELECT column_name FROM information_schema.columns WHERE table_name = 'rows_copy'")
    assert ("extra",) not in columns


def test_a_second_run_is_refused_and_names_the_first(rows: Site) -> None:
    rows.run(copy())
    runner = rows.runner()
    first = runner.begin(rows.definition(copy()), params={})
    with hold_run(rows.metastore, "copy", first):
        status, told, errors = rows.command("run", rows.file(copy()))
    assert (status, told["error"]["kind"]) == (1, "RunConflict")
    assert first in told["error"]["message"]
    assert first in errors
    assert "Traceback" not in errors


def of_another_version(site: Site, run_id: str) -> None:
    """Make a stored plan one that this version's code cannot read: its compiled part has another shape."""
    stored = runs.load_plan(site.metastore, run_id)
    assert stored is not None
    plan = {**stored["plan"], "format": 0, "transform": {"shape": "another"}}
    with site.metastore.transaction() as connection:
        changed = update(run_table).where(run_table.c.run_id == run_id)
        connection.execute(changed.values(plan={**stored, "plan": plan}))


def test_after_an_upgrade_drift_is_still_judged_by_what_the_last_run_saw(rows: Site) -> None:
    of_another_version(rows, rows.run(copy())["run_id"])
    rows.sql("ALTER TABLE rows ADD COLUMN added int")
    with pytest.raises(SchemaConflict, match="added is new"):
        rows.try_run(copy(policy="freeze"))
    assert rows.run(copy(policy="evolve"))["sources"]["rows"]["read"]


def test_a_run_that_another_version_left_unfinished_is_begun_anew_unless_it_has_appended(rows: Site) -> None:
    rows.run(copy())
    left = rows.runner().begin(rows.definition(copy()), params={})
    of_another_version(rows, left)
    assert rows.run(copy())["run_id"] != left
    assert runs.get(rows.metastore, left).state == "abandoned"

    append = copy(write="write: append").replace("pipeline: copy", "pipeline: added").replace("rows_copy", "rows_added")
    runner = rows.runner()
    left = runner.begin(rows.definition(append), params={})
    runner.stage(left)
    runner.load(left, "table")
    of_another_version(rows, left)
    with pytest.raises(StateError, match="another version of the workbench"):
        rows.try_run(append)
    assert rows.one("SELECT count(*) FROM rows_added") == 20
    assert rows.run(append, reset_state=True)["destinations"]["table"]["inserted"] == 20


def test_without_the_metastore_a_run_says_so_at_once(rows: Site) -> None:
    away = '{"conn_type": "postgres", "host": "127.0.0.1", "port": 1, "login": "x", "password": "hidden-word"}'
    status, told, errors = rows.command("run", rows.file(copy()), AIRFLOW_CONN_META=away)
    assert (status, told["error"]["kind"]) == (1, "StoreUnavailable")
    assert "metastore" in told["error"]["message"]
    assert "127.0.0.1:1" in told["error"]["message"]
    assert told["error"]["hint"]
    assert "hidden-word" not in errors + str(told)


def test_a_store_that_is_away_fails_the_run_and_the_next_one_recovers(
    rows: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = copy() + "  graph: {connection: graph, nodes: [{label: Row, key: id}]}\n"
    right = rows.variables["AIRFLOW_CONN_GRAPH"]
    away = '{"conn_type": "neo4j", "host": "127.0.0.1", "port": 1, "login": "neo4j", "password": "x"}'
    monkeypatch.setenv("AIRFLOW_CONN_GRAPH", away)
    document, error = rows.try_run(text)
    assert document["state"] == "failed"
    assert error.kind == "StoreUnavailable"
    assert "127.0.0.1:1" in error.message
    assert error.hint
    monkeypatch.setenv("AIRFLOW_CONN_GRAPH", right)
    told = rows.run(text)
    assert told["destinations"]["graph"]["inserted"] == 20
    assert rows.one("SELECT count(*) FROM rows_copy") == 20


def test_a_poisoned_env_file_in_the_working_directory_is_never_read(rows: Site) -> None:
    folder = rows.folder / "poisoned"
    folder.mkdir()
    lines = ["AIRFLOW_CONN_PG=postgres://x:y@127.0.0.1:1/none", "WORKBENCH_METASTORE=nowhere", "PYTHONWARNINGS=error"]
    (folder / ".env").write_text("\n".join(lines))
    contract = "contract: {rows: {columns: {name: {required: true}}}}\n"
    status, told, errors = rows.command("run", rows.file(copy() + contract), cwd=folder)
    assert (status, told.get("error")) == (0, None), errors


def test_the_public_document_has_the_promised_fields(rows: Site) -> None:
    text = copy() + "  graph: {connection: graph, nodes: [{label: Row, key: id}]}\n"
    text += "steps: [{name: named, filter: \"name <> ''\"}]\n"
    status, told, errors = rows.command("run", rows.file(text))
    assert status == 0, errors
    assert {"pipeline", "run_id", "state", "sources", "steps", "destinations", "reconciliation", "seconds"} <= set(told)
    assert set(told["sources"]["rows"]) >= {"read", "out", "deduplicated", "discarded", "quarantined"}
    counters = {"in", "out", "expanded", "filtered", "deduplicated", "discarded", "quarantined", "collapsed"}
    assert set(told["steps"]["named"]) >= counters
    five = {"inserted", "updated", "unchanged", "deleted", "rejected"}
    assert set(told["destinations"]["table"]) >= five | {"relationships"}
    assert told["destinations"]["table"]["relationships"] is None
    compared: dict[str, Any] = told["reconciliation"]
    assert (compared["clean"], compared["scope"]) == (True, "changed")
    wanted = {"missing", "surplus", "stale", "foreign", "repaired", "relationships", "vectors"}
    assert set(compared["destinations"]["graph"]) >= wanted
    status, listed, _ = rows.command("runs", "copy")
    assert [one["run_id"] for one in listed["runs"]] == [told["run_id"]]
    status, planned, _ = rows.command("plan", rows.file(text))
    assert {"pipeline", "sources", "steps", "destinations", "changes", "destructive"} <= set(planned)
    status, compared, _ = rows.command("reconcile", rows.file(text))
    assert (status, compared["clean"], compared["scope"]) == (0, True, "full")


def test_stages_of_all_runs_share_the_slots_of_a_connection(site: Site) -> None:
    site.sql("CREATE TABLE slotted (id int PRIMARY KEY)")
    site.sql("INSERT INTO slotted SELECT generate_series(1, 50)")
    project = site.folder / "workbench.yaml"
    project.write_text("version: 1\nconnections: {pg: {limit: 1}}\n")
    text = """
    version: 1
    pipeline: NAME
    sources: {rows: {connection: pg, stream: public.slotted}}
    steps: [{name: more, derive: {twice: "id * 2"}}]
    destinations:
      out: {connection: pg, table: public.NAME_copy, key: [id], write: merge}
    """
    definitions = [site.definition(text.replace("NAME", name)) for name in ("one", "two", "three")]
    at_work: set[str] = set()
    most = 0

    def listen(event: Event) -> None:
        nonlocal most
        if event.name == "stage.started":
            at_work.add(f"{event.facts['run_id']} {event.facts['stage']}")
            most = max(most, len(at_work))
        elif event.name in ("stage.finished", "stage.failed"):
            at_work.discard(f"{event.facts['run_id']} {event.facts['stage']}")

    runner = site.runner(project=project)
    with subscribed(listen), ThreadPoolExecutor(3) as pool:
        done = [pool.submit(runner.run, definition, params={}) for definition in definitions]
        assert [one.result()[1] for one in done] == [None, None, None]
    assert most == 1
    assert [site.one(f"SELECT sum(twice) FROM {name}_copy") for name in ("one", "two", "three")] == [2550] * 3
    impatient = Runner(settings=runner.settings, connections=runner.connections, metastore=site.metastore, waits=False)
    with taken(site.metastore, {"pg": 1}, wait=False):
        _, error = impatient.run(definitions[0], params={})
    assert isinstance(error, SlotsTaken)


def test_a_stage_that_is_asked_again_after_its_run_was_published_says_what_came_out(rows: Site) -> None:
    definition, runner = rows.definition(copy()), rows.runner()
    run_id = runner.begin(definition, params={}, orchestrator="airflow")
    runner.stage(run_id)
    runner.load(run_id, "table")

    def die(event: Event) -> None:
        if event.name == "run.published":
            raise SystemExit  # the process is gone before its task could tell Airflow

    with subscribed(die), pytest.raises(SystemExit):
        runner.reconcile(run_id)
    with rows.metastore.transaction() as connection:
        left = update(run_stages).where(run_stages.c.stage == "reconcile")
        connection.execute(left.values(state="running", ended=None))
    assert runs.get(rows.metastore, run_id).state == "success"
    assert runner.reconcile(run_id)["clean"] is True
    assert runs.get(rows.metastore, run_id).state == "success"
    assert stages.stage_results(rows.metastore, run_id)["reconcile"].state == "success"
