"""`run`, `reconcile`, `runs` and `quarantine` as programs see them: one document, an exit code, words on stderr."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.integration.cli.conftest import Shell

SOURCE = {"read", "out", "deduplicated", "discarded", "quarantined"}
STEP = {"in", "out", "expanded", "filtered", "deduplicated", "discarded", "quarantined", "collapsed"}
FIVE = {"inserted", "updated", "unchanged", "deleted", "rejected"}


def test_a_run_answers_with_the_documented_counts_and_quarantined_rows_exit_0(shell: Shell) -> None:
    told = shell("run", "letters", "--json", "--requested-by", "me", "--correlation-id", "c-1")
    assert told.code == 0
    run = told.document
    assert run["state"] == "success"
    assert set(run["sources"]["rows"]) >= SOURCE
    assert set(run["steps"]["clean"]) >= STEP
    assert FIVE | {"relationships"} <= set(run["destinations"]["out"])
    assert (run["destinations"]["out"]["inserted"], run["steps"]["clean"]["quarantined"]) == (2, 1)
    assert run["reconciliation"]["clean"] is True
    assert run["seconds"] > 0
    assert shell.sql("SELECT id, loud FROM loud_letters ORDER BY 1") == [(1, "ALPHA"), (2, "BETA")]
    words = shell("run", "letters.yaml")
    assert words.code == 0
    assert "letters: success" in words.out
    assert "the stores agree" in words.out


def test_runs_and_quarantined_rows_are_listed_shown_and_replayed(shell: Shell) -> None:
    run_id = shell("run", "letters", "--json").document["run_id"]
    runs = shell("runs", "--json").document["runs"]
    assert [(one["run_id"], one["state"]) for one in runs] == [(run_id, "success")]
    assert run_id in shell("runs", "letters").out
    assert shell("runs", "other", "--json").document == {"runs": []}
    [record] = shell("quarantine", "list", "--json").document["records"]
    assert record["key"] == {"id": 3}
    [shown] = shell("quarantine", "show", str(record["id"]), "--json").document["records"]
    assert shown["row"]["word"] is None
    assert "required" in shell("quarantine", "show", str(record["id"])).out
    shell.sql("UPDATE letters SET word = 'gamma' WHERE id = 3")
    replayed = shell("quarantine", "replay", "letters", str(record["id"]), "--json")
    assert replayed.code == 0
    assert replayed.document["destinations"]["out"]["inserted"] == 1
    assert shell("quarantine", "list", "--json").document == {"records": []}
    assert shell("quarantine", "list", "--state", "replayed", "--json").document["records"][0]["id"] == record["id"]
    again = shell("quarantine", "replay", "letters", "--json")
    assert (again.code, again.document["error"]["kind"]) == (2, "UsageError")
    missing = shell("quarantine", "show", "4711", "--json")
    assert (missing.code, missing.document["error"]["kind"]) == (1, "StateError")


def test_an_edited_row_is_replayed_with_the_given_value_and_the_source_is_left_alone(shell: Shell) -> None:
    shell("run", "letters")
    [record] = shell("quarantine", "list", "--json").document["records"]
    number = str(record["id"])
    for wrong in (["--set", "word"], [], ["--set", "loud=X"], ["--set", "id=4"], ["--set", "wrod=x"]):
        refused = shell("quarantine", "edit", number, *wrong, "--json")
        assert (refused.code, refused.document["error"]["kind"]) == (2, "UsageError"), wrong
    [edited] = shell("quarantine", "edit", number, "--set", "word=a=b", "--json").document["records"]
    assert (edited["row"]["word"], edited["edits"][0]["set"], bool(edited["edits"][0]["by"])) == (
        None,
        {"word": "a=b"},
        True,
    )
    replayed = shell("quarantine", "replay", "letters", number, "--json")
    assert (replayed.code, replayed.document["destinations"]["out"]["inserted"]) == (0, 1)
    assert shell.sql("SELECT loud FROM loud_letters WHERE id = 3") == [("A=B",)]
    assert shell.sql("SELECT word FROM letters WHERE id = 3") == [(None,)]


def test_a_discarded_row_is_closed_once_and_stays_on_record(shell: Shell) -> None:
    run = shell("run", "letters", "--json").document
    assert run["timings"]["reconcile"] > 0
    [record] = shell("quarantine", "list", "--json").document["records"]
    assert shell("quarantine", "discard", str(record["id"]), "--json").document == {"discarded": 1}
    assert shell("quarantine", "discard", str(record["id"]), "--json").document == {"discarded": 0}
    assert shell("quarantine", "list", "--json").document == {"records": []}
    [kept] = shell("quarantine", "list", "--state", "discarded", "--json").document["records"]
    assert (kept["id"], bool(kept["changed_by"])) == (record["id"], True)


def test_reconcile_exits_1_unless_clean_at_its_end(shell: Shell) -> None:
    shell("run", "letters")
    shell.sql("UPDATE loud_letters SET loud = 'quiet' WHERE id = 1")
    shell.sql("DELETE FROM loud_letters WHERE id = 2")
    found = shell("reconcile", "letters", "--json")
    assert found.code == 1
    counts = found.document["destinations"]["out"]
    assert (found.document["clean"], found.document["scope"]) == (False, "full")
    assert (counts["missing"], counts["stale"], counts["surplus"], counts["repaired"]) == (1, 1, 0, 0)
    assert "DIFFER" in shell("reconcile", "letters").out
    repaired = shell("reconcile", "letters", "--repair", "--json")
    assert (repaired.code, repaired.document["destinations"]["out"]["repaired"]) == (0, 2)
    shell.sql("DELETE FROM letters")
    surplus = shell("reconcile", "letters", "--repair", "--json")
    assert (surplus.code, surplus.document["destinations"]["out"]["surplus"]) == (1, 2)
    refused = shell("reconcile", "letters", "--delete", "--json")
    assert (refused.code, refused.document["error"]["kind"]) == (1, "ReconciliationFailed")
    assert "--force" in refused.document["error"]["hint"]
    assert shell.sql("SELECT count(*) FROM loud_letters") == [(2,)]
    forced = shell("reconcile", "letters", "--delete", "--force", "--json")
    assert (forced.code, forced.document["clean"]) == (0, True)
    assert shell.sql("SELECT count(*) FROM loud_letters") == [(0,)]


def test_a_failed_run_exits_1_with_its_document_and_the_reason(shell: Shell) -> None:
    shell("run", "letters")
    shell.sql("ALTER TABLE loud_letters ADD CONSTRAINT quiet CHECK (length(loud) < 20)")
    shell.sql("UPDATE letters SET word = repeat('x', 30) WHERE id = 1")
    refused = shell("run", "letters", "--json")
    assert refused.code == 0, "a row a store refuses is quarantined, the rest goes on"
    assert refused.document["destinations"]["out"]["rejected"] == 1
    shell.sql("DROP TABLE letters CASCADE")
    told = shell("run", "letters", "--json")
    assert told.code == 1
    error = told.document["error"]
    assert (error["kind"], bool(error["run_id"])) == ("StreamUnknown", True)
    assert error["message"] in told.err
    assert shell("runs", "--json").document["runs"][0]["state"] == "failed"


def test_params_limits_and_dry_runs(shell: Shell) -> None:
    dry = shell("run", "letters", "--dry-run", "--json")
    assert (dry.code, dry.document["destinations"]) == (0, {})
    assert dry.document["examples_quarantined"]
    assert shell.sql("SELECT to_regclass('loud_letters')") == [(None,)]
    assert shell("quarantine", "list", "--json").document == {"records": []}
    limited = shell("run", "letters", "--limit", "1", "--json")
    assert limited.document["sources"]["rows"]["read"] == 1
    few = shell("run", "letters", "--param", "least=2", "--json").document
    assert (few["sources"]["rows"]["read"], few["params"]) == (2, {"least": 2})
    wrong = shell("run", "letters", "--param", "least=x", "--json")
    assert (wrong.code, wrong.document["error"]["kind"]) == (2, "UsageError")
    assert shell("run", "letters", "--full-refresh", "--reset-state", "--json").code == 0


def test_a_second_run_of_a_pipeline_names_the_first(shell: Shell) -> None:
    from data_workbench.metastore import Metastore, hold_run, runs

    shell("run", "letters")
    with Metastore.open(shell.dsn) as metastore:
        [last] = runs.list_runs(metastore, pipeline="letters", limit=1)
        shell.sql("UPDATE runs SET state = 'running', ended = NULL")
        with hold_run(metastore, "letters", last.run_id):
            told = shell("run", "letters", "--json")
    assert (told.code, told.document["error"]["kind"]) == (1, "RunConflict")
    assert last.run_id in told.document["error"]["message"]


def test_ctrl_c_ends_with_130_and_the_next_run_goes_on(shell: Shell) -> None:
    shell.sql("INSERT INTO letters SELECT g, 'word ' || g FROM generate_series(4, 20000) g")
    shell.sql("CREATE TABLE loud_letters (id int PRIMARY KEY, word text, loud text)")
    with_lock = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    import psycopg

    with psycopg.connect(shell.dsn) as blocker:
        blocker.execute("LOCK TABLE loud_letters IN ACCESS EXCLUSIVE MODE")
        told = shell.interrupt("run", "letters", "--json", when=lambda: shell.sql(with_lock) == [(1,)])
    assert told.code == 130
    assert told.document["error"]["kind"] == "Interrupted"
    assert "Traceback" not in told.err
    [left] = shell("runs", "--json").document["runs"]
    assert left["state"] == "running"
    again = shell("run", "letters", "--json")
    assert again.code == 0
    assert again.document["run_id"] == left["run_id"]
    assert shell.sql("SELECT count(*), count(DISTINCT id) FROM loud_letters") == [(19_999, 19_999)]
