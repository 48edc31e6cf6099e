"""How every command answers wrong use: exit 2, one block on stderr, one JSON document if asked for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from data_workbench.cli.root import root

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Workbench


def every_command(group: click.Group = root, before: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The path of each command."""
    from data_workbench.cli import local, pipelines, stores  # noqa: F401  # they add their commands

    found: list[tuple[str, ...]] = []
    for name, one in group.commands.items():
        path = (*before, name)
        found += every_command(one, path) if isinstance(one, click.Group) else [path]
    return found


WRONG = {
    "unknown command": ["shake"],
    "unknown option": ["lint", "--fast", "x.yaml"],
    "missing argument": ["run"],
    "unknown pipeline": ["plan", "nowhere"],
    "path that is not there": ["lint", "nowhere.yaml"],
    "bad param": ["plan", "copy", "--param", "least"],
    "param without a name": ["plan", "copy", "--param", "=3"],
    "unknown param": ["plan", "copy", "--param", "most=3"],
    "param of another type": ["plan", "copy", "--param", "least=many"],
    "limit of nothing": ["run", "copy", "--limit", "0"],
    "state nobody knows": ["quarantine", "list", "--state", "lost"],
    "record that is no number": ["quarantine", "show", "first"],
    "subcommand that is not there": ["db", "downgrade"],
    "option of another command": ["plan", "copy", "--repair"],
    "services nobody knows": ["up", "oracle"],
}


@pytest.mark.parametrize("arguments", WRONG.values(), ids=WRONG)
def test_wrong_use_ends_with_2_and_says_what_is_wrong(workbench: Workbench, arguments: list[str]) -> None:
    told = workbench(*arguments)
    assert (told.code, told.out) == (2, "")
    assert "UsageError: " in told.err
    assert "Traceback" not in told.err
    as_json = workbench(*arguments, "--json")
    assert as_json.code == 2
    assert as_json.error["kind"] == "UsageError"
    assert as_json.err == told.err


@pytest.mark.parametrize("path", every_command(), ids=" ".join)
def test_every_command_takes_json_and_tells_of_itself(workbench: Workbench, path: tuple[str, ...]) -> None:
    told = workbench(*path, "--help")
    assert (told.code, told.err) == (0, "")
    assert "--json" in told.out
    wrong = workbench(*path, "--json", "--no-such-option")
    assert wrong.code == 2
    assert "--no-such-option" in wrong.error["message"]


def test_the_command_alone_shows_what_there_is(workbench: Workbench) -> None:
    told = workbench("--help")
    assert told.code == 0
    assert {path[0] for path in every_command()} <= set(told.out.split())
    assert "odras" in workbench("--version").out.lower() or workbench("--version").out.startswith("workbench")


NEEDS_METASTORE = [
    ["run", "copy"],
    ["reconcile", "copy"],
    ["runs"],
    ["quarantine", "list"],
    ["quarantine", "show", "1"],
    ["quarantine", "replay", "copy"],
    ["db", "upgrade"],
]


@pytest.mark.parametrize("arguments", NEEDS_METASTORE, ids=" ".join)
def test_a_metastore_that_is_down_is_named_early(workbench: Workbench, away: str, arguments: list[str]) -> None:
    told = workbench(*arguments, "--json")
    assert told.code == 1
    assert told.error["kind"] == "StoreUnavailable"
    assert "metastore" in told.error["message"]
    assert told.error["hint"]
    assert away not in told.out + told.err


def test_a_metastore_nobody_configured_is_asked_for(workbench: Workbench) -> None:
    told = workbench("run", "copy", "--json")
    assert told.code == 1
    assert told.error["kind"] == "ConnectionUnknown"
    assert "AIRFLOW_CONN_WORKBENCH_METASTORE" in told.error["hint"]


def test_a_setting_that_does_not_parse_is_wrong_use(workbench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_BATCH_ROWS", "many")
    told = workbench("plan", "copy", "--json")
    assert told.code == 2
    assert "WORKBENCH_BATCH_ROWS" in told.error["message"]


def test_a_defect_is_no_traceback_and_no_wrong_use(workbench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("half a thought")

    monkeypatch.setattr("data_workbench.pipelines.explain.explain", broken)
    told = workbench("plan", "copy", "--json")
    assert told.code == 1
    assert told.error["kind"] == "Defect"
    assert "half a thought" in told.error["message"]


def test_ctrl_c_says_how_to_go_on(workbench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("data_workbench.pipelines.explain.explain", interrupted)
    told = workbench("plan", "copy")
    assert (told.code, told.out) == (130, "")
    assert "Interrupted: " in told.err
    as_json = workbench("plan", "copy", "--json")
    assert as_json.code == 130
    assert as_json.error["kind"] == "Interrupted"


@pytest.mark.slow
def test_a_reader_that_goes_away_is_no_defect(workbench: Workbench, tmp_path: Path) -> None:
    workbench("--help")
    reading, writing = os.pipe()
    os.close(reading)
    code = "from data_workbench.cli import main; main(['lint', 'dags/pipelines/copy.yaml', '--json'])"
    with os.fdopen(writing, "w") as pipe:
        done = subprocess.run(
            [sys.executable, "-c", code], stdout=pipe, stderr=subprocess.PIPE, text=True, cwd=tmp_path, timeout=60
        )
    assert done.returncode == 1
    assert done.stderr == ""


def test_names_beyond_ascii_are_written_as_they_are(workbench: Workbench, tmp_path: Path) -> None:
    (tmp_path / "é.yaml").write_text("version: 1\npipeline: ünïcode\n", encoding="utf-8")
    told = workbench("lint", "é.yaml", "--json")
    assert told.code == 2
    assert "é.yaml" in told.out
    assert json.loads(told.out)["findings"][0]["file"] == "é.yaml"
