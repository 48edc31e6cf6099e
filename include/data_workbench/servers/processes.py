"""Detached server processes and the pid files by which they are found again.

A pid alone proves nothing, for pids are used again: a pid file carries the process's start time as well, and
only a process with both is ours to report or to stop.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from data_workbench.servers.account import Account

_LARGEST_LOG = 16 * 1024**2

# Children of this process. Kept so that they are reaped when stopped, and not reported as leaked until then.
_children: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True)
class PidFile:
    """`<home>/run/NAME.pid`: a process this stack started."""

    path: Path

    def write(self, process: psutil.Process) -> None:
        """Note a process that was just started."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps({"pid": process.pid, "started": process.create_time()}))

    def process(self) -> psutil.Process | None:
        """The live process this file names, or None if it ended or the pid is somebody else's now."""
        try:
            noted = json.loads(self.path.read_text())
            process = psutil.Process(noted["pid"])
            if abs(process.create_time() - noted["started"]) > 1.0:
                return None
            if process.status() == psutil.STATUS_ZOMBIE:
                _reap(process.pid)
                return None
        except (OSError, ValueError, KeyError, TypeError, psutil.NoSuchProcess):
            return None
        return process

    def remove(self) -> None:
        """Forget the process."""
        self.path.unlink(missing_ok=True)


def start_detached(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    folder: Path,
    log: Path,
    account: Account | None,
) -> psutil.Process:
    """Start a process that outlives the caller, printing to a log file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > _LARGEST_LOG:
        log.replace(log.with_suffix(".old.log"))
    options: dict[str, Any] = account.popen_options() if account else {}
    with log.open("ab") as output:
        child = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**os.environ, **environment},
            start_new_session=True,
            **options,
        )
    _children[child.pid] = child
    return psutil.Process(child.pid)


def stop(process: psutil.Process, *, signal_number: int, timeout: float) -> bool:
    """Ask a process to stop, and kill it and what it left behind when time is up.

    Returns:
        Whether it stopped by itself.
    """
    try:
        family = process.children(recursive=True)
        process.send_signal(signal_number)
    except psutil.NoSuchProcess:
        return True
    deadline = time.monotonic() + timeout
    graceful = _wait(process, deadline)
    _, left = psutil.wait_procs(family, timeout=max(0.0, deadline - time.monotonic()) if graceful else 0.0)
    for survivor in [*left, *([] if graceful else [process])]:
        try:
            survivor.kill()
        except psutil.NoSuchProcess:
            continue
    if not graceful:
        _wait(process, time.monotonic() + 5.0)
    _reap(process.pid)
    return graceful


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log, for an error message."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, log.stat().st_size - 16_384))
            return "\n".join(stream.read().decode(errors="replace").splitlines()[-lines:])
    except OSError:
        return "(no log)"


def _wait(process: psutil.Process, deadline: float) -> bool:
    while time.monotonic() < deadline:
        _reap(process.pid)
        if not process.is_running() or _is_zombie(process):
            return True
        time.sleep(0.05)
    return False


def _is_zombie(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _reap(pid: int) -> None:
    child = _children.get(pid)
    if child is not None and child.poll() is not None:
        del _children[pid]


@atexit.register
def _part_from_children() -> None:
    """They run on when this process ends, as they are meant to; Popen would call each one forgotten."""
    for child in _children.values():
        if child.poll() is None:
            child.returncode = 0
