"""The command line in this process, in a folder of its own and with an environment of its own."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from data_workbench.cli import main

GOOD = """\
version: 1
pipeline: copy
params: {least: {type: integer, default: 0}}
sources: {rows: {connection: files, stream: rows.csv, key: [id], where: id >= $least}}
destinations: {out: {connection: files, file: out/rows.jsonl, key: [id]}}
"""


@dataclass(frozen=True)
class Answer:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document, and nothing else, on stdout."""
        lines = self.out.splitlines()
        assert len(lines) == 1, self.out
        found: dict[str, Any] = json.loads(lines[0])
        return found

    @property
    def error(self) -> dict[str, Any]:
        """The document's error; stderr says the same in one block without a traceback."""
        error: dict[str, Any] = self.document["error"]
        assert set(error) == {"kind", "message", "hint", "run_id"}
        assert error["message"].split("\n")[0] in self.err
        assert "Traceback" not in self.err
        return error


Workbench = Callable[..., Answer]


@pytest.fixture
def workbench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Workbench:
    """Runs a command in an empty folder; nothing of this machine's environment reaches it."""
    for name in [name for name in os.environ if name.startswith(("AIRFLOW_CONN_", "WORKBENCH_"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "rows.csv").write_text("id,name\n1,one\n2,two\n", encoding="utf-8")
    (tmp_path / "dags" / "pipelines").mkdir(parents=True)
    (tmp_path / "dags" / "pipelines" / "copy.yaml").write_text(GOOD, encoding="utf-8")
    monkeypatch.setenv(
        "AIRFLOW_CONN_FILES", json.dumps({"conn_type": "workbench_files", "host": f"file://{tmp_path}/files"})
    )

    def run(*arguments: str) -> Answer:
        capfd.readouterr()
        try:
            main(list(arguments))
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
        return Answer(code, *capfd.readouterr())

    return run


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> str:
    """A password of stores whose ports nobody listens at: `odras_postgres` and the metastore."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    secret = "s3cr3t-of-nobody"
    for name in ("ODRAS_POSTGRES", "WORKBENCH_METASTORE"):
        value = {
            "conn_type": "postgres",
            "host": "127.0.0.1",
            "port": port,
            "login": "u",
            "password": secret,
            "schema": "d",
        }
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", json.dumps(value))
    return secret
