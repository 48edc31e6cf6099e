"""Rows leave a table for an archive, and nothing is lost or doubled on the way."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
from tests.integration.cli.conftest import Shell

DIGEST = "SELECT count(*), sum(('x' || left(md5(t::text), 16))::bit(64)::bigint::numeric) FROM public.events t"


def test_rows_past_their_time_leave_the_table_and_stock_duckdb_reads_them(events: Shell) -> None:
    rehearsed = events("archive", "run", "--dry-run", "--json").document["policies"][0]
    assert rehearsed["eligible"] == {"2021-01": 400, "2021-02": 500, "2021-03": 400, "2021-04": 500}
    assert events.sql("SELECT count(*) FROM events") == [(2002,)]

    answer = events("archive", "run", "old_events", "--json")
    assert answer.code == 0, answer.err
    [done] = answer.document["policies"]
    assert (done["rows"], done["kept"], len(done["archives"])) == (1800, 0, 6)
    assert done["ratio"] > 1
    assert {trial["level"] for trial in done["trials"]} == {3, 9}
    assert events.sql("SELECT count(*), count(*) FILTER (WHERE state = 'open') FROM events") == [(202, 200)]

    files = str(events.folder / "home" / "archives" / "archives" / "old_events" / "*" / "*.parquet")
    [counted] = duckdb.sql(f"SELECT count(*), count(DISTINCT id), sum(amount) FROM read_parquet('{files}')").fetchall()
    assert counted == (1800, 1800, sum(n * 1.25 for n in range(1, 2001) if n % 10))

    checked = events("archive", "verify", "--json")
    assert checked.code == 0, checked.out
    assert (checked.document["archives"], checked.document["rows"], checked.document["sound"]) == (6, 1800, True)
    assert events("archive", "run", "--json").document["policies"][0]["rows"] == 0
    listed = events("archive", "list", "old_events", "--json").document["archives"]
    assert {one["state"] for one in listed} == {"live"}
    assert sum(one["live"] for one in listed) == 1800
    acts = [one["action"] for one in events("audit", "list", "--action", "archive", "--json").document["entries"]]
    ran, verified = ([f"archive.{act}.ended", f"archive.{act}.begun"] for act in ("run", "verify"))
    assert acts == [*ran, *verified, *ran]


def test_a_run_whose_rows_are_referred_to_is_refused_with_the_constraint(events: Shell) -> None:
    events.sql("CREATE TABLE notes (id int PRIMARY KEY, event bigint CONSTRAINT notes_of_event REFERENCES events)")
    events.sql("INSERT INTO notes VALUES (1, 1), (2, 2), (3, 10)")
    refused = events("archive", "run", "--json")
    assert refused.code == 1
    assert refused.document["error"]["kind"] == "NotAllowed"
    assert "2 rows of public.events" in refused.document["error"]["message"]
    assert "notes_of_event" in refused.document["error"]["message"]
    assert events.sql("SELECT count(*) FROM events") == [(2002,)]

    policy = events.folder / "dags" / "archives" / "old_events.yaml"
    policy.write_text(policy.read_text() + "referenced: keep\n")
    assert events("archive", "run", "--json").document["policies"][0]["rows"] == 1798
    assert events.sql("SELECT count(*) FROM notes JOIN events ON events.id = notes.event") == [(3,)]


def test_a_broken_policy_is_answered_with_its_places(events: Shell) -> None:
    policy = events.folder / "dags" / "archives" / "old_events.yaml"
    text = policy.read_text()
    for broken, told in {
        text.replace("retention: 7y", "retention: 0d"): "8:12: retention: '0d' is no time at all",
        text.replace("older_than: 1y", "older_than: soon"): "'soon' is no period",
        text.replace("state = 'closed'", "state = "): "where",
        text.replace("state = 'closed'", "(select 1)"): "where",
        text.replace("partition: month", "partition: week"): "'week'",
        text + "surprise: true\n": "surprise",
    }.items():
        policy.write_text(broken)
        answer = events("archive", "run", "--dry-run")
        assert answer.code == 2, told
        assert told in answer.err, answer.err
    policy.write_text(text.replace("state = 'closed'", "upper(state) = 'CLOSED'"))
    assert "cannot be asked of PostgreSQL" in events("archive", "run").err


def test_what_cannot_be_archived_whole_is_refused(events: Shell) -> None:
    policy = events.folder / "dags" / "archives" / "old_events.yaml"
    text = policy.read_text().replace("where: state = 'closed'\n", "")
    text = text.replace("search: [body]\n", "").replace("attributes: [project]\n", "")
    events.sql("CREATE TABLE users (id int PRIMARY KEY, password_hash text, created_at timestamptz)")
    events.sql("CREATE TABLE keyless (id int, created_at timestamptz)")
    events.sql("CREATE TABLE dateless (id int PRIMARY KEY, created_at text)")
    events.sql("CREATE VIEW seen AS SELECT * FROM dateless")
    wanted = {
        "users": "password_hash",
        "keyless": "no primary key",
        "dateless": "no time",
        "seen": "is a view",
        "gone": "no table",
    }
    for table, told in wanted.items():
        policy.write_text(text.replace("public.events", f"public.{table}"))
        answer = events("archive", "run")
        assert answer.code == 1
        assert told in answer.err, answer.err


def test_a_row_that_is_changed_while_it_is_archived_stays_where_it_is(events: Shell) -> None:
    """A trigger stands for the other session: it changes rows between their reading and their deletion."""
    import psycopg

    from data_workbench.events import Event, subscribed

    def interfere(event: Event) -> None:
        if event.name == "archive.registered":
            with psycopg.connect(events.dsn, autocommit=True) as other:
                other.execute("UPDATE events SET body = body || '!' WHERE id IN (4, 8)")
                other.execute("DELETE FROM events WHERE id = 12")

    with subscribed(interfere):
        answer = events("archive", "run", "--json")
    [done] = answer.document["policies"]
    assert (done["rows"], done["kept"]) == (1797, 3), answer.err
    # 4 and 8 are live in the table, 12 nowhere: it was deleted by its owner.
    assert events.sql("SELECT id FROM events WHERE id IN (4, 8, 12) ORDER BY id") == [(4,), (8,)]
    assert events.sql("SELECT count(*) FROM _workbench.archive_gone WHERE reason = 'changed'") == [(3,)]
    [again] = events("archive", "run", "--json").document["policies"]
    assert again["rows"] == 2


def test_two_runs_at_once_are_one_and_a_refusal(events: Shell) -> None:
    import psycopg

    from data_workbench.metastore.locks import key_of

    with psycopg.connect(events.dsn, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s)", (key_of("archive", "public.events"),))
        refused = events("archive", "run", "--json")
    assert refused.document["error"]["kind"] == "StoreBusy"
    assert events.sql("SELECT count(*) FROM events") == [(2002,)]


def test_a_full_disk_and_a_target_that_is_away_move_nothing(events: Shell) -> None:
    full = events("archive", "run", "--json", WORKBENCH_MIN_FREE_DISK=str(2**60))
    assert full.document["error"]["kind"] == "ResourceExhausted"
    occupied = events.folder / "occupied"
    occupied.write_text("a file, no folder")
    away = events("archive", "run", "--json", WORKBENCH_ARCHIVES=str(occupied / "below"))
    assert away.code == 1
    assert away.document["error"]["kind"] in ("AccessDenied", "StreamUnknown", "StoreUnavailable")
    assert events.sql("SELECT count(*) FROM events") == [(2002,)]
    # A disk that is not mounted is an empty folder: no second shelf is begun in it.
    assert events("archive", "run").code == 0
    events.sql("INSERT INTO events (id, state, created_at) VALUES (9001, 'closed', '2020-01-01')")
    shelf = events.folder / "home" / "archives"
    shelf.rename(shelf.with_name("unmounted"))
    shelf.mkdir()
    gone = events("archive", "run")
    assert (gone.code, "a disk that is not mounted?" in gone.err) == (1, True), gone.err
    assert list(shelf.iterdir()) == []
    assert events.sql("SELECT count(*) FROM events") == [(203,)]
    assert events("archive", "run", "--anew", "--json").document["policies"][0]["rows"] == 1


def test_archives_signed_by_another_key_are_said_to_be(events: Shell) -> None:
    assert events("archive", "run").code == 0
    found = events("archive", "verify", "--json", WORKBENCH_AUDIT_KEY=str(events.folder / "other.pem"))
    assert found.code == 2  # there is no such key
    from data_workbench.audit import open_keys
    from data_workbench.settings import Settings

    open_keys(Settings(audit_key=str(events.folder / "other.pem")), makes=True)
    found = events("archive", "verify", "--json", WORKBENCH_AUDIT_KEY=str(events.folder / "other.pem"))
    assert found.code == 1
    problems = found.document["problems"]
    assert len(problems) == 6
    assert all("is signed by key" in one for [one] in problems.values())


def test_a_manifest_of_an_archive_names_no_path(events: Shell) -> None:
    assert events("archive", "run").code == 0
    for path in Path(events.folder, "home", "archives", "archives").rglob("manifest.json"):
        assert set(json.loads(path.read_text())) >= {"signature", "key", "parts", "content", "columns"}
        assert "/" not in "".join(part["sha256"] for part in json.loads(path.read_text())["parts"])


def test_runs_and_restores_are_told_as_lineage(events: Shell) -> None:
    from data_workbench.lineage.validation import findings

    assert events("archive", "run").code == 0
    assert events("archive", "restore", "old_events", "--key", "4").code == 0
    told = [
        json.loads(line)
        for path in sorted((events.folder / "home" / "lineage" / "outbox").rglob("*.ndjson"))
        for line in path.read_text().splitlines()
    ]
    assert [one for event in told for one in findings(event)] == []
    ended = {event["job"]["name"]: event for event in told if event["eventType"] == "COMPLETE"}
    assert set(ended) == {"archive__old_events.archive", "archive__old_events.restore"}
    gone, back = ended["archive__old_events.archive"], ended["archive__old_events.restore"]
    assert gone["inputs"][0]["name"] == back["outputs"][0]["name"]
    assert gone["outputs"][0]["name"].endswith("/home/archives/archives/old_events")
    assert gone["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"] == 1800
    assert back["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"] == 1


def test_the_shipped_policy_archives_what_happened_in_projects(shell: Shell) -> None:
    import psycopg

    from odras_demo.schema import load_schema

    with psycopg.connect(shell.dsn) as connection:
        load_schema(connection)
    shell.sql("INSERT INTO project_thread (project_thread_id, project_id, created_by) VALUES ('t', 'p', 'u')")
    shell.sql(
        """INSERT INTO project_event
               (event_id, project_thread_id, project_id, user_id, event_type, semantic_summary, created_at)
           SELECT 'e' || n, 't', 'p', 'u', CASE n WHEN 1 THEN 'project.created' ELSE 'requirement.changed' END,
                  'the thermal margin became ' || n, CASE WHEN n <= 5 THEN now() - interval '3 years' ELSE now() END
             FROM generate_series(1, 8) n"""
    )
    policy = Path(__file__).parents[3] / "dags" / "archives" / "project_events.yaml"
    site = {"AIRFLOW_CONN_ODRAS_POSTGRES": shell.variables["AIRFLOW_CONN_SITE"]}
    [done] = shell("archive", "run", str(policy), "--json", **site).document["policies"]
    assert done["rows"] == 4
    found = shell("archive", "search", "project_events", "thermal 4", "--json", **site).document["rows"]
    assert [one["row"]["event_id"] for one in found] == ["e4"]
    listed = shell("archive", "list", "--attribute", "event_type=requirement.changed", "--json").document["archives"]
    assert [one["rows"] for one in listed] == [4]
