"""The command line over a metastore and a database of this test."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import psycopg
import pytest

from data_workbench.cli import main

if TYPE_CHECKING:
    from tests.conftest import PostgresDatabase

    from data_workbench.servers import Stack

COMMAND = [sys.executable, "-c", "from data_workbench.cli import main; main()"]

PIPELINE = """\
version: 1
pipeline: letters
params: {least: {type: integer, default: 0}}
sources:
  rows: {connection: site, stream: public.letters, key: [id], where: id >= $least}
steps:
  - {name: clean, derive: {loud: upper(word)}}
contract:
  clean: {columns: {word: {required: true}}, on_invalid: quarantine}
destinations:
  out: {connection: site, table: loud_letters, key: [id]}
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
        [line] = self.out.splitlines()
        found: dict[str, Any] = json.loads(line)
        return found


@dataclass
class Shell:
    """A folder with a pipeline and an environment in which commands run."""

    folder: Path
    variables: Mapping[str, str]
    dsn: str

    def __call__(self, *arguments: str, **environment: str) -> Answer:
        """Run a command in this process: starting an interpreter for each takes longer than the command."""
        out, err = io.StringIO(), io.StringIO()
        code = 0
        with (
            patch.dict(os.environ, {**self.variables, **environment}, clear=True),
            chdir(self.folder),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            try:
                main(list(arguments))
            except SystemExit as ended:
                code = int(ended.code or 0)
        assert "Traceback" not in err.getvalue(), err.getvalue()
        return Answer(code, out.getvalue(), err.getvalue())

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def interrupt(self, *arguments: str, when: Callable[[], bool]) -> Answer:
        """Run a command and press Ctrl-C as soon as `when` says so."""
        process = subprocess.Popen(
            [*COMMAND, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=dict(self.variables),
            cwd=self.folder,
            # A test run in the background of a shell ignores Ctrl-C, and what it starts would, too.
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        )
        deadline = time.monotonic() + 90
        while not when():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=180)
        return Answer(process.returncode, out, err)


@pytest.fixture
def shell(stack: Stack, postgres: PostgresDatabase, tmp_path: Path) -> Shell:
    """Three letters in a table, one of them without a word, and a fresh metastore in the same database."""
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public")
        connection.execute("DROP SCHEMA IF EXISTS _workbench CASCADE")
        connection.execute("CREATE TABLE letters (id int PRIMARY KEY, word text)")
        connection.execute("INSERT INTO letters VALUES (1, 'alpha'), (2, 'beta'), (3, NULL)")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_CONN_", "WORKBENCH_"))}
    site = json.dumps(postgres.airflow)
    variables = {
        **kept,
        "AIRFLOW_CONN_SITE": site,
        "AIRFLOW_CONN_WORKBENCH_METASTORE": site,
        "WORKBENCH_HOME": str(tmp_path / "home"),
        "WORKBENCH_PIPELINES": str(tmp_path),
        "WORKBENCH_MIN_FREE_DISK": "0",
    }
    (tmp_path / "letters.yaml").write_text(PIPELINE, encoding="utf-8")
    shell = Shell(tmp_path, variables, postgres.dsn)
    assert shell("db", "upgrade").code == 0
    return shell
