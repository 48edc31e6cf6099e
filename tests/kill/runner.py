"""Runs one pipeline in a process that kills itself at a named point: `python -m tests.kill.runner JOB.json`.

The job names the pipeline's file, the settings, the point (`load.before_commit`, …) and at which of its occurrences to
die. `broken` swaps the checkpoint beside the data for one in a file, which the suite must catch.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

from data_workbench.connectors.connections import Connections, from_environment
from data_workbench.connectors.metastore import open_metastore
from data_workbench.events import Event, subscribed
from data_workbench.pipelines.definition import load_definition
from data_workbench.pipelines.run import Runner
from data_workbench.settings import load


class Death:
    """Kills this process at the n-th event of a name."""

    def __init__(self, point: str | None, occurrence: int) -> None:
        self.point, self.left = point, occurrence

    def __call__(self, event: Event) -> None:
        if event.name != self.point:
            return
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def break_checkpoints(path: Path) -> None:
    """Keep the position of PostgreSQL loads in a file, written after the commit, as a naive loader does."""
    from data_workbench.connectors.base import Progress
    from data_workbench.connectors.postgres.checkpoints import Checkpoint
    from data_workbench.connectors.postgres.writer import TableWriter
    from data_workbench.records.accounting import WriteCounts

    commit = TableWriter._commit_part

    def load_from_file(self: Checkpoint, connection: object) -> tuple[Progress, list[Any], None]:
        known = json.loads(path.read_text()) if path.exists() else {}
        found = known.get(self.context.run_id)
        if found is None:
            return Progress(), [], None
        return Progress(found["parts"], WriteCounts.from_dict(found["counts"])), [], None

    def save_nothing(self: Checkpoint, *_: object, **__: object) -> None:
        return None

    def commit_then_note(self: TableWriter, part: Any, index: int) -> WriteCounts:
        counts = commit(self, part, index)
        progress = {"parts": self.progress.parts, "counts": self.progress.counts.as_dict()}
        path.write_text(json.dumps({self.context.run_id: progress}))
        return counts

    Checkpoint.load, Checkpoint.save = load_from_file, save_nothing  # type: ignore[method-assign,assignment]
    TableWriter._commit_part = commit_then_note  # type: ignore[method-assign]


def main(job: dict[str, Any]) -> None:
    """Run the job's pipeline to its end, or to its death."""
    if job.get("broken"):
        break_checkpoints(Path(job["broken"]))
    settings, connections = load(), Connections(from_environment)
    with open_metastore(connections.get(settings.metastore)) as metastore:
        runner = Runner(settings=settings, connections=connections, metastore=metastore)
        definition = load_definition(job["pipeline"], settings=settings)
        print("ready", flush=True)
        with subscribed(Death(job.get("point"), job.get("occurrence", 1))):
            document, error = runner.run(definition, params={})
    if error:
        traceback.print_exception(error)
    print(json.dumps({"state": document["state"], "error": error.as_dict() if error else None, "document": document}))


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
