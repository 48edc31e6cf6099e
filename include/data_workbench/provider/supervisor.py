"""Airflow's components under one process, so that the local stack starts and stops them as one service.

    python -m data_workbench.provider.supervisor COMPONENT…     # e.g. scheduler dag-processor triggerer api-server

A component that ends is started again, with a growing pause; one that keeps ending brings all of them down, which
`workbench status` shows as crashed. Imports nothing of Airflow: this process has only to watch.

What a component leaves behind becomes this process's own. A killed scheduler's workers have inherited its connection to
the database, where its last transaction and the rows that it locked would stay open for as long as one of them lives:
no other scheduler could go on with their DAG runs. A worker that is in the middle of a task may end it first.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

_POLL_SECONDS = 0.2
_STEADY_SECONDS = 60.0
"""A component that lived this long starts with a clean record again."""
_MOST_RESTARTS = 5
_STOP_SECONDS = 20.0
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


@dataclass
class Component:
    """One `airflow` subcommand and its process."""

    name: str
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    restarts: int = 0
    due: float = field(default=0.0)

    def start(self) -> None:
        """Start it, printing where this process prints."""
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "airflow", *self.name.split()],
            stdin=subprocess.DEVNULL,
            preexec_fn=_die_with_parent,  # noqa: PLW1509  # no threads here, and kill -9 must leave no orphans
        )
        _say(f"{self.name}: pid {self.process.pid}")

    def watch(self, now: float) -> bool:
        """Start it again if it ended; False when it ended too often."""
        if self.process is None:
            if now >= self.due:
                self.start()
            return True
        code = self.process.poll()
        if code is None:
            if now - self.started > _STEADY_SECONDS:
                self.restarts = 0
            return True
        self.process = None
        self.restarts += 1
        self.due = now + min(2.0**self.restarts, 30.0)
        _say(f"{self.name}: ended with {code}, restart {self.restarts} of {_MOST_RESTARTS}")
        return self.restarts <= _MOST_RESTARTS

    def terminate(self) -> None:
        """Ask it to stop."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()


def supervise(names: Sequence[str]) -> int:
    """Run components until a signal asks to stop, or one keeps ending. Returns the exit code."""
    stopping = False

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    _control(_PR_SET_CHILD_SUBREAPER, 1)
    components = [Component(name) for name in names]
    steady = True
    while steady and not stopping:
        now = time.monotonic()
        alive = [component.watch(now) for component in components]
        steady = all(alive)
        _end_orphans(components)
        time.sleep(_POLL_SECONDS)
    _stop_all(components)
    _end_orphans(components)
    return 0 if steady else 1


def _stop_all(components: Sequence[Component]) -> None:
    for component in components:
        component.terminate()
    deadline = time.monotonic() + _STOP_SECONDS
    for component in components:
        if component.process is None:
            continue
        try:
            component.process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            _say(f"{component.name}: killed after {_STOP_SECONDS:.0f} s")
            component.process.kill()
            component.process.wait()


def _end_orphans(components: Sequence[Component]) -> None:
    """End the processes of components that are gone, but those that still have one of their own under way."""
    ours = {component.process.pid for component in components if component.process is not None}
    for pid in _children(os.getpid()):
        if pid not in ours and not _children(pid):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            _say(f"orphan {pid}: ended")


def _children(pid: int) -> list[int]:
    """The child processes of one; none where there is no /proc."""
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # the thread has ended
            found += map(int, thread.read_text(encoding="ascii").split())
    return found


def _die_with_parent() -> None:
    _control(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _control(option: int, value: int) -> None:
    """Linux ends a child when this process is killed, and gives it its orphans; elsewhere nothing happens."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _say(message: str) -> None:
    sys.stdout.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S')} supervisor {message}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(supervise(sys.argv[1:]))
