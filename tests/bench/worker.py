"""One run of the engine in a process of its own: `python -m tests.bench.worker FILE`, told as one JSON document.

Moments are seconds since the process began its work; peak memory is the process's own.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

BEGAN = time.monotonic()


class Moments:
    """Listens to a run: when the first row was asked for, when the last commit was, what was spent on checks."""

    def __init__(self) -> None:
        self.reading: float | None = None
        self.committed = 0.0
        self.memory = 0
        self.beside = {"stage.checked": 0.0, "load.compared": 0.0}

    def listen(self, event: Any) -> None:
        now = time.monotonic() - BEGAN
        if event.name in ("stage.reading", "load.reading"):
            self.reading = now if self.reading is None else self.reading
        elif event.name == "load.after_commit":
            self.committed, self.memory = now, peak_memory()
        elif event.name in self.beside:
            self.beside[event.name] += event.facts["seconds"]

    def as_dict(self) -> dict[str, Any]:
        """`moved` is from first read to last commit, without Soda's and the digest's time, which stand beside."""
        reading = self.reading or 0.0
        soda, digest = self.beside["stage.checked"], self.beside["load.compared"]
        return {
            "until_reading": reading,
            "moved": self.committed - reading - soda - digest,
            "soda": soda,
            "digest": digest,
            "whole": time.monotonic() - BEGAN,
        }


def peak_memory() -> int:
    """The most memory this process ever held, in bytes."""
    with open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123  # not a file on a disk
        line = next(line for line in status if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def main(path: str) -> None:
    """Run one pipeline as `workbench run` does."""
    from data_workbench.records.arrow import prepare_process

    prepare_process()
    from tests.bench.stopwatch import Stopwatch

    from data_workbench import settings as settings_module
    from data_workbench.connectors.connections import Connections, from_environment
    from data_workbench.connectors.metastore import open_metastore
    from data_workbench.events import subscribed
    from data_workbench.pipelines.checks import load_checked
    from data_workbench.pipelines.run import Runner

    settings = settings_module.load()
    connections = Connections(from_environment)
    moments = Moments()
    with open_metastore(connections.get(settings.metastore)) as metastore, subscribed(moments.listen):
        runner = Runner(settings=settings, connections=connections, metastore=metastore)
        lineage = Stopwatch()
        lineage.watch(runner)
        document, error = runner.run(load_checked(Path(path), settings=settings), params={})
    if error is not None:
        raise error
    told = {
        "moments": {**moments.as_dict(), "lineage": lineage.seconds},
        "memory": peak_memory(),
        "memory_moved": moments.memory,
        "document": document,
    }
    print(json.dumps(told, default=str))


if __name__ == "__main__":
    main(sys.argv[1])
