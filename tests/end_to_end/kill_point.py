"""A plugin for the tests' Airflow: at a named moment of a run, the process that the order names gets SIGKILL.

The order is a file: `{"point", "occurrence", "pids", "and_parent"}`; a pid of 0 is the process the moment is in.
Whoever carries it out takes the file away first, so that one order is one death.
"""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from airflow.plugins_manager import AirflowPlugin

from data_workbench.events import Event, subscribed

ORDER = Path(os.environ.get("WORKBENCH_HOME", ".")) / "kill-order.json"


class Killer:
    """Listens in every process that loads plugins."""

    def __init__(self) -> None:
        self.seen: dict[str, int] = {}

    def __call__(self, event: Event) -> None:
        """Carry out the order if this is its moment."""
        if not ORDER.exists():
            return
        order = json.loads(ORDER.read_text())
        if event.name != order["point"]:
            return
        self.seen[event.name] = self.seen.get(event.name, 0) + 1
        if self.seen[event.name] < order["occurrence"]:
            return
        try:
            ORDER.rename(ORDER.with_suffix(".done"))
        except FileNotFoundError:
            return
        if order["and_parent"]:  # the process of the executor that watches over this task
            os.kill(os.getppid(), signal.SIGKILL)
        for pid in order["pids"]:
            os.kill(pid or os.getpid(), signal.SIGKILL)


_listening = subscribed(Killer())
_listening.__enter__()


class KillPlugin(AirflowPlugin):
    """Only its being loaded counts."""

    name = "kill_point"
