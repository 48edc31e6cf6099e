"""`connections check` and `discover` over what the environment names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Workbench


def test_a_store_that_answers_and_one_that_does_not(workbench: Workbench, away: str) -> None:
    told = workbench("connections", "check", "--json")
    assert told.code == 1
    found = {row["name"]: row for row in told.document["connections"]}
    assert set(found) == {"files", "odras_postgres", "workbench_metastore"}
    assert found["files"]["state"] == "healthy"
    assert found["odras_postgres"]["state"] == "broken"
    assert "127.0.0.1" in found["odras_postgres"]["cause"]
    assert away not in told.out + told.err
    assert workbench("connections", "check", "files").code == 0


def test_connections_of_other_programs_are_left_alone(workbench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_MAIL", "smtp://user:secret@mail.example:25")
    told = workbench("connections", "check", "--json")
    assert (told.code, [row["name"] for row in told.document["connections"]]) == (0, ["files"])
    named = workbench("connections", "check", "mail", "--json")
    assert (named.code, named.document["connections"][0]["state"]) == (1, "broken")
    assert "secret" not in named.out + named.err


def test_a_connection_nobody_knows_or_can_read_is_broken(workbench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_BROKEN", '{"conn_type": "postgres", "password": "hunter2"')
    told = workbench("connections", "check", "nobody", "broken", "--json")
    assert told.code == 1
    assert [row["state"] for row in told.document["connections"]] == ["broken", "broken"]
    assert "hunter2" not in told.out + told.err
    assert "AIRFLOW_CONN_BROKEN" in told.out


def test_streams_are_discovered_with_their_columns(workbench: Workbench, tmp_path: Path) -> None:
    (tmp_path / "files" / "other.jsonl").write_text('{"a": 1}\n', encoding="utf-8")
    told = workbench("discover", "files", "--json")
    assert told.code == 0
    streams = {one["name"]: one for one in told.document["streams"]}
    assert set(streams) == {"rows.csv", "other.jsonl"}
    assert [column["name"] for column in streams["rows.csv"]["columns"]] == ["id", "name"]
    chosen = workbench("discover", "files", "*.jsonl", "--json").document["streams"]
    assert [one["name"] for one in chosen] == ["other.jsonl"]
    assert "rows.csv" in workbench("discover", "files").out


@pytest.mark.parametrize("name", ["nobody", "odras_postgres", "ftp://host/x", "http://[bad"])
def test_what_cannot_be_discovered_is_an_error_of_ours(workbench: Workbench, away: str, name: str) -> None:
    told = workbench("discover", name, "--json")
    assert told.code in (1, 2)
    assert told.error["kind"] != "Defect"
    assert away not in told.out + told.err


@pytest.mark.parametrize(
    "url", ["postgres://me:hunter2@host/db", "qdrant://host?api_key=hunter2", "file:///x?password=hunter2"]
)
def test_a_url_with_a_secret_is_refused_without_repeating_it(workbench: Workbench, url: str) -> None:
    told = workbench("discover", url, "--json")
    assert told.code == 2
    assert told.error["kind"] == "UsageError"
    assert "hunter2" not in told.out + told.err
