"""Servers made for one purpose are gone when whoever made them was killed, at the latest when the next are made."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from data_workbench.servers.scratch import remove_left_behind, scratch_folder

_HOLDER = """
import sys
from data_workbench.servers.scratch import scratch_stack
from data_workbench.settings import load
with scratch_stack(load(), ["qdrant"]) as stack:
    print(stack.settings.home, flush=True)
    sys.stdin.read()
"""


@contextmanager
def holder(folder: Path) -> Iterator[tuple[subprocess.Popen[str], Path, psutil.Process]]:
    """A process with a scratch server; its folder, and the server."""
    environment = {**os.environ, "TMPDIR": str(folder), "WORKBENCH_HOME": str(folder / "home")}
    command = [sys.executable, "-c", _HOLDER]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        home = Path(process.stdout.readline().strip())
        server = psutil.Process(json.loads((home / "run" / "qdrant.pid").read_text())["pid"])
        yield process, home, server


def is_gone(server: psutil.Process) -> bool:
    """A container's first process may reap nobody."""
    return not server.is_running() or server.status() == psutil.STATUS_ZOMBIE


def test_what_a_killed_process_left_behind_goes_and_what_is_held_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with holder(tmp_path) as (process, home, server):
        remove_left_behind()
        assert not is_gone(server)
        process.kill()
        process.wait()
        assert not is_gone(server), "it outlives who started it"
        with scratch_folder() as mine:
            assert is_gone(server)
            assert not home.exists()
            remove_left_behind()
            assert mine.exists()
    assert not mine.exists()
