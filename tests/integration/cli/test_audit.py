"""`workbench audit` over what other commands did: told, verified, signed, exported, sealed; exit 1 if tampered."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.integration.cli.conftest import Shell


def entries(shell: Shell, *options: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = shell("audit", "list", "--json", *options).document["entries"]
    return found


def tamper(shell: Shell, statement: str) -> None:
    """What the database's owner can do."""
    shell.sql("ALTER TABLE audit_entries DISABLE TRIGGER USER")
    shell.sql(statement)
    shell.sql("ALTER TABLE audit_entries ENABLE TRIGGER USER")


@pytest.fixture
def used(shell: Shell) -> Shell:
    """A run that set a row aside, which somebody discarded, and a repair."""
    assert shell("run", "letters", "--param", "least=1", "--correlation-id", "c1", LOGNAME="ada").code == 0
    [record] = shell("quarantine", "list", "--json").document["records"]
    assert shell("quarantine", "discard", str(record["id"]), LOGNAME="bo", WORKBENCH_REASON="ticket 17").code == 0
    shell.sql("DELETE FROM loud_letters WHERE id = 1")
    shell("reconcile", "letters", "--repair", LOGNAME="ada")
    return shell


def test_what_commands_did_is_told_with_who_and_why(used: Shell) -> None:
    found = entries(used)
    assert [one["action"] for one in reversed(found)] == [
        "metastore.upgraded",
        "run.begun",
        "definition.changed",
        "run.ended",
        "quarantine.discarded",
        "reconcile.begun",
        "reconcile.ended",
    ]
    ended, begun, discarded, _, _, run, _ = found
    assert (discarded["actor"], discarded["reason"], discarded["object"]) == ("bo", "ticket 17", "letters")
    assert (run["actor"], run["origin"], run["correlation_id"]) == ("ada", "cli", "c1")
    assert run["details"]["params"] == {"least": 1}
    assert begun["details"]["repair"] is True
    assert ended["details"] == {"state": "success", "clean": True, "repaired": {"out": 1}}
    assert [one["action"] for one in entries(used, "--actor", "bo")] == ["quarantine.discarded"]
    assert [one["sequence"] for one in entries(used, "--action", "run", "--since", "2020-01-01")] == [4, 2]
    assert entries(used, "--since", "2999-01-01T00:00:00Z") == []
    assert "ticket 17" in used("audit", "list", "--limit", "4").out
    assert used("audit", "list", "--since", "yesterday").code == 2


def test_a_comparison_that_repairs_nothing_is_not_told(shell: Shell) -> None:
    shell("run", "letters")
    before = len(entries(shell))
    shell("reconcile", "letters")
    assert len(entries(shell)) == before


def test_a_trail_is_verified_against_heads_kept_elsewhere(used: Shell) -> None:
    report = used("audit", "verify", "--json")
    assert (report.code, report.document["clean"], report.document["entries"]) == (0, True, 7)
    assert "no signed head" in used("audit", "verify").out
    head = used("audit", "head", "--json").document
    assert (head["sequence"], Path(head["file"]).name) == (7, "audit-heads.jsonl")
    assert "held to 1 signed head" in used("audit", "verify").out
    tamper(used, "DELETE FROM audit_entries WHERE sequence = 7")
    found = used("audit", "verify", "--json")
    assert found.code == 1
    assert [(one["sequence"], one["kind"]) for one in found.document["problems"]] == [(7, "cut")]
    for refused in (("head",), ("export", "out.jsonl"), ("seal", "--before", "2999-01-01", "--to", "out.jsonl")):
        answer = used("audit", *refused)
        assert (answer.code, "not whole: entry 7" in answer.err) == (1, True), answer.err
    assert not (used.folder / "out.jsonl").exists()


def test_an_edit_is_named_with_its_entry(used: Shell) -> None:
    tamper(used, "UPDATE audit_entries SET actor = 'somebody' WHERE sequence = 3")
    answer = used("audit", "verify")
    assert answer.code == 1
    assert "entry 3 edited" in answer.out


def test_an_export_is_checked_on_another_machine(used: Shell, tmp_path: Path) -> None:
    made = used("audit", "export", "trail.jsonl", "--json").document
    assert made["entries"] == 7
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("trail.jsonl", "trail.jsonl.head", "home/audit-key.pem.pub"):
        shutil.copy(used.folder / name, elsewhere)
    check = ["audit", "verify", "--json", "--file", str(elsewhere / "trail.jsonl"), "--head"]
    check += [str(elsewhere / "trail.jsonl.head"), "--key", str(elsewhere / "audit-key.pem.pub")]
    nowhere = {"WORKBENCH_HOME": str(elsewhere / "home"), "AIRFLOW_CONN_WORKBENCH_METASTORE": ""}
    assert used(*check, **nowhere).document["clean"] is True
    assert used(*check[:-2], **nowhere).code == 2, "a head cannot be trusted without a key"
    lines = (elsewhere / "trail.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (elsewhere / "trail.jsonl").write_text("".join(lines[:-1]), encoding="utf-8")
    assert [one["kind"] for one in used(*check, **nowhere).document["problems"]] == ["cut"]
    assert used("audit", "export", "trail.jsonl").code == 2


def test_old_entries_are_sealed_and_kept_in_a_file(used: Shell) -> None:
    moment = entries(used, "--action", "quarantine")[0]["at"]
    sealed = used("audit", "seal", "--before", moment, "--to", "old.jsonl", "--json").document
    assert (sealed["first"], sealed["through"], sealed["removed"]) == (1, 4, 4)
    kept = [json.loads(line)["sequence"] for line in (used.folder / "old.jsonl").read_text().splitlines()]
    assert kept == [1, 2, 3, 4]
    report = used("audit", "verify", "--json").document
    assert (report["clean"], report["first"], report["last"], report["sealed_through"]) == (True, 5, 8, 4)
    assert used("audit", "seal", "--before", "2020-01-01", "--to", "none.jsonl").code == 2


def test_a_command_that_cannot_be_told_does_nothing(used: Shell) -> None:
    shown = used("backup", "create", "--store", "site", "--json").document
    used.sql("ALTER TABLE audit_entries RENAME TO gone")
    try:
        answer = used("run", "letters", "--json")
        assert (answer.code, answer.document["error"]["kind"]) == (1, "StateError")
        assert "audit_entries" in answer.document["error"]["message"]
        assert used("backup", "create", "--store", "site").code == 1
    finally:
        used.sql("ALTER TABLE gone RENAME TO audit_entries")
    assert [one["set"] for one in used("backup", "list", "--json").document["sets"]] == [shown["set"]]
    [ended, begun] = entries(used, "--action", "backup")
    assert (begun["action"], ended["details"]) == ("backup.create.begun", {"state": "success", "set": shown["set"]})


def test_sets_are_thinned_out_and_restored_on_record(used: Shell) -> None:
    shown = used("backup", "create", "--store", "site", "--json").document
    assert used("backup", "prune", "--dry-run").code == 0
    assert used("backup", "prune").code == 0
    assert used("backup", "restore", "--beside", "again", "--json").code == 0
    told = [(one["action"], one["details"].get("set")) for one in reversed(entries(used, "--action", "backup"))]
    _assert_backups_are_lineage(used, shown["set"])
    assert told[2:] == [
        ("backup.prune.begun", None),
        ("backup.prune.ended", None),
        ("backup.restore.begun", shown["set"]),
        ("backup.restore.ended", shown["set"]),
    ]


def _assert_backups_are_lineage(used: Shell, set_id: str) -> None:
    """Each event is valid, and says what went into the set."""
    from data_workbench.lineage.validation import findings

    assert used("backup", "verify", "--json").code == 0
    folder = Path(used.variables["WORKBENCH_HOME"]) / "lineage" / "outbox" / "open"
    events = [json.loads(line) for path in sorted(folder.glob("*")) for line in path.read_text().splitlines()]
    assert [found for one in events for found in findings(one)] == []
    named = [(one["job"]["name"], one["eventType"]) for one in events]
    verbs = ("create", "restore", "verify")
    assert set(named) >= {(f"backup__stores.{verb}", state) for verb in verbs for state in ("START", "COMPLETE")}
    made = next(one for one in events if one["eventType"] == "COMPLETE" and one["job"]["name"].endswith(".create"))
    assert any(one["name"].endswith(".public.letters") for one in made["inputs"])
    assert made["outputs"][0]["facets"]["version"]["datasetVersion"] == set_id
    [checked] = [one for one in events if one["eventType"] == "COMPLETE" and one["job"]["name"].endswith(".verify")]
    assert checked["inputs"][0]["inputFacets"]["dataQualityAssertions"]["assertions"][0]["success"] is True
