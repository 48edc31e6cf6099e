"""kill -9 of a load at each side of a commit: started again, nothing is lost and nothing doubled."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from conformance.destination import context
from conformance.rows import make_rows, marked
from data_workbench.connectors.base import ReadRequest
from data_workbench.connectors.connections import Connection
from data_workbench.connectors.registry import open_destination, open_source
from data_workbench.mapping.targets import Disposition, TableTarget
from data_workbench.settings import Settings

pytestmark = pytest.mark.slow

PARTS = [marked(make_rows(range(first, first + 10)).drop_columns(["tags"])) for first in (1, 11, 21)]


def load(kind: str, path: str, write: Disposition) -> None:
    """One load of three parts, from where it stands."""
    target = TableTarget(input="rows", table="rows", key=("id",), write=write)
    schema = pa.schema([item for item in PARTS[0].schema if not item.name.startswith("_wb_")])
    destination = open_destination(Connection("here", kind, host=path), Settings())
    with destination.open(target, schema, context()) as writer:
        for index in range(writer.progress.parts, len(PARTS)):
            writer.write(PARTS[index], index)
        counts = writer.finish()
    counts.check("rows")
    assert counts.out == 30


KILLED = """
import os, signal, sys
sys.path[:0] = [{tests!r}]
from unit.connectors.sql.test_sql_kill import load
from data_workbench.events import subscribed
seen = []
def listen(event):
    if event.name == {moment!r}:
        seen.append(event)
        if len(seen) == {number}:
            os.kill(os.getpid(), signal.SIGKILL)
with subscribed(listen):
    load({kind!r}, {path!r}, {write!r})
"""


@pytest.mark.parametrize("kind", ["sqlite", "duckdb"])
@pytest.mark.parametrize("write", ["append", "merge", "replace"])
@pytest.mark.parametrize("moment", ["load.before_commit", "load.after_commit"])
def test_a_killed_load_goes_on_to_the_same_state(kind: str, write: Disposition, moment: str, tmp_path: Path) -> None:
    path = str(tmp_path / "database")
    number = 1 if write == "replace" else 2  # a replace commits once
    tests = str(Path(__file__).resolve().parents[3])
    code = KILLED.format(tests=tests, moment=moment, number=number, kind=kind, path=path, write=write)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == -9, done.stderr
    load(kind, path, write)
    with open_source(Connection("here", kind, host=path), Settings()) as source:
        found = pa.Table.from_batches(list(source.read(ReadRequest("rows"))))
    assert sorted(found["id"].to_pylist()) == list(range(1, 31))
