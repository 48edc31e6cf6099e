"""What a killed component leaves behind holds nothing up, on real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems give nobody the orphans")

COMPONENT = """
import os, pathlib, subprocess, sys, time
here = pathlib.Path(__file__).parent
(here / "component").write_text(str(os.getpid()))
children = [subprocess.Popen([sys.executable, str(here / name)]) for name in ("idle.py", "busy.py")]
(here / "children").write_text(" ".join(str(child.pid) for child in children))
time.sleep(600)
"""
IDLE = "import time; time.sleep(600)"
BUSY = """
import pathlib, subprocess, sys, time
subprocess.run([sys.executable, str(pathlib.Path(__file__).with_name("task.py"))])
time.sleep(600)
"""
TASK = """
import pathlib, time
while not pathlib.Path(__file__).with_name("done").exists():
    time.sleep(0.05)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A supervisor over a component that has an idle child, and one with a task of its own."""
    package = tmp_path / "airflow"
    package.mkdir()
    for name, text in (("__init__", ""), ("__main__", COMPONENT), ("idle", IDLE), ("busy", BUSY), ("task", TASK)):
        (package / f"{name}.py").write_text(text)
    command = [sys.executable, "-m", "data_workbench.provider.supervisor", "scheduler"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL) as supervisor:
        family = psutil.Process(supervisor.pid)
        yield package
        (package / "done").touch()
        left = family.children(recursive=True)
        supervisor.send_signal(signal.SIGTERM)
        supervisor.wait(60)
    for process in left:
        if process.is_running():
            process.kill()


def wait_for(there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not there():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)


def numbers(path: Path) -> list[int]:
    return [int(word) for word in path.read_text().split()] if path.exists() else []


def test_idle_workers_of_a_killed_component_end_and_a_busy_one_ends_its_task_first(folder: Path) -> None:
    wait_for(lambda: len(numbers(folder / "children")) == 2)
    [component], (idle, busy) = numbers(folder / "component"), numbers(folder / "children")
    wait_for(lambda: len(psutil.Process(busy).children()) == 1)
    os.kill(component, signal.SIGKILL)
    wait_for(lambda: not psutil.pid_exists(idle))
    wait_for(lambda: numbers(folder / "component") not in ([], [component]))
    assert psutil.pid_exists(busy)
    (folder / "done").touch()
    wait_for(lambda: not psutil.pid_exists(busy))
