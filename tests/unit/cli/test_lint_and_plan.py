"""`lint` and `plan` need no server."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Workbench

FIXTURES = Path(__file__).parents[2] / "fixtures"
BAD = ["unknown_key", "bad_sql", "cycle", "alias_bomb", "duplicate_key", "tab", "password_in_url", "empty"]


@pytest.mark.parametrize("name", BAD)
def test_mistakes_are_told_with_file_line_and_column(workbench: Workbench, name: str) -> None:
    file = str(FIXTURES / "bad_pipelines" / f"{name}.yaml")
    told = workbench("lint", file)
    assert (told.code, told.out) == (2, "")
    lines = told.err.splitlines()
    assert lines
    assert all(re.fullmatch(rf"{re.escape(file)}:\d+:\d+: .+", line) for line in lines)
    findings = workbench("lint", file, "--json").document["findings"]
    assert [f"{one['file']}:{one['line']}:{one['column']}" for one in findings] == [
        ":".join(line.split(":")[:3]) for line in lines
    ]
    assert all(set(one) == {"file", "line", "column", "message", "hint"} for one in findings)


@pytest.mark.parametrize("command", ["plan", "run", "reconcile"])
def test_other_commands_refuse_a_broken_file_in_the_same_words(workbench: Workbench, command: str) -> None:
    file = str(FIXTURES / "bad_pipelines" / "unknown_key.yaml")
    linted = workbench("lint", file)
    told = workbench(command, file)
    assert (told.code, told.err) == (2, linted.err)
    document = workbench(command, file, "--json").document
    assert document["findings"] == workbench("lint", file, "--json").document["findings"]
    assert document["error"]["kind"] == "DefinitionError"


def test_right_files_folders_and_names_pass(workbench: Workbench) -> None:
    told = workbench("lint", "dags", "copy", str(FIXTURES / "good_pipelines" / "params.yaml"))
    assert (told.code, told.out, told.err) == (0, "2 pipelines without mistakes\n", "")
    assert workbench("lint", "copy", "--json").document == {"findings": []}


def test_a_list_of_watches_is_counted(workbench: Workbench, tmp_path: Path) -> None:
    (tmp_path / "dags" / "watches.yaml").write_text("version: 1\nwatches: []\n", encoding="utf-8")
    assert workbench("lint", "dags/watches.yaml").out == "1 list of watches without mistakes\n"
    assert workbench("lint", "dags").out == "1 pipeline and 1 list of watches without mistakes\n"


def test_a_secret_in_a_url_is_not_repeated(workbench: Workbench) -> None:
    file = FIXTURES / "bad_pipelines" / "password_in_url.yaml"
    [secret] = re.findall(r"://[^:]+:([^@]+)@", file.read_text(encoding="utf-8"))
    for command in (["lint"], ["plan"], ["lint", "--json"], ["plan", "--json"]):
        told = workbench(command[0], str(file), *command[1:])
        assert secret not in told.out + told.err


def test_a_plan_tells_what_would_happen(workbench: Workbench, tmp_path: Path) -> None:
    told = workbench("plan", "copy", "--json", "--param", "least=1")
    assert told.code == 0
    plan = told.document
    assert {"pipeline", "sources", "steps", "destinations", "changes", "destructive"} <= set(plan)
    assert [one["name"] for one in plan["sources"]["rows"]["columns"]] == ["id", "name"]
    assert [change["action"] for change in plan["changes"]] == ["create"]
    assert plan["destructive"] == []
    assert not (tmp_path / "files" / "out").exists()
    words = workbench("plan", "copy")
    assert words.code == 0
    assert "pipeline copy" in words.out


AWAY = """\
version: 1
pipeline: away
sources: {rows: {connection: odras_postgres, stream: public.t, key: [id]}}
steps: [{name: few, filter: id > 1}]
destinations: {out: {connection: files, file: out/rows.jsonl, key: [id]}}
"""


def test_a_plan_with_a_store_away_has_nulls_and_exits_0(workbench: Workbench, away: str, tmp_path: Path) -> None:
    (tmp_path / "away.yaml").write_text(AWAY, encoding="utf-8")
    told = workbench("plan", "away.yaml", "--json")
    assert told.code == 0
    plan = told.document
    assert (plan["changes"], plan["destructive"]) == (None, None)
    assert plan["sources"]["rows"]["columns"] is None
    assert plan["sources"]["rows"]["estimated_rows"] is None
    assert plan["steps"]["few"]["columns"] is None
    assert list(plan["destinations"]) == ["out"]
    assert away not in told.out + told.err
    words = workbench("plan", "away.yaml")
    assert words.code == 0
    assert "Traceback" not in words.err


def test_a_plan_with_a_connection_nobody_configured_has_nulls_too(workbench: Workbench, tmp_path: Path) -> None:
    (tmp_path / "away.yaml").write_text(AWAY, encoding="utf-8")
    told = workbench("plan", "away.yaml", "--json")
    assert told.code == 0
    assert told.document["changes"] is None


def test_a_plan_with_only_the_destination_away_still_tells_the_sources(
    workbench: Workbench, away: str, tmp_path: Path
) -> None:
    text = AWAY.replace("odras_postgres, stream: public.t", "files, stream: rows.csv").replace(
        "connection: files, file: out/rows.jsonl", "connection: odras_postgres, table: t"
    )
    (tmp_path / "away.yaml").write_text(text, encoding="utf-8")
    told = workbench("plan", "away.yaml", "--json")
    assert told.code == 0
    assert [one["name"] for one in told.document["sources"]["rows"]["columns"]] == ["id", "name"]
    assert told.document["changes"] is None
    assert away not in told.out + told.err


def test_a_stream_that_is_not_there_fails_the_plan(workbench: Workbench, tmp_path: Path) -> None:
    (tmp_path / "gone.yaml").write_text(AWAY.replace("odras_postgres", "files"), encoding="utf-8")
    told = workbench("plan", "gone.yaml", "--json")
    assert told.code == 1
    assert told.error["kind"] == "StreamUnknown"
