"""One run of a pipeline that kills itself at a named point.

The job names the pipeline's file, the point (`load.before_commit`, …) and at which of its occurrences to die. `broken`
says how the position is to be kept in a file instead of beside the data, which the suite must catch.
"""

from __future__ import annotations

import io
import json
import os
import signal
import traceback
from contextlib import ExitStack, redirect_stdout
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tests.kill.broken import checkpoints_in_a_file

from data_workbench.archive.compaction import compact
from data_workbench.archive.expiry import expire
from data_workbench.archive.restoring import Order, Selection, restore
from data_workbench.archive.running import Archiver
from data_workbench.archive.scrubbing import verify
from data_workbench.archive.shelf import Shelf, open_shelf
from data_workbench.audit import open_keys
from data_workbench.cli import main as run_command
from data_workbench.connectors.connections import Connections, from_environment
from data_workbench.connectors.metastore import open_metastore
from data_workbench.events import Event, subscribed
from data_workbench.language.definition import load_definition
from data_workbench.pipelines.archive_policies import load_policy
from data_workbench.pipelines.run import Runner
from data_workbench.settings import Settings, load

TRANSACTION_ROWS = 150
"""Of a graph load: several transactions in a part, so that one dies inside."""
RANGE_PAGES = 2
"""Of a range: a few pages of rows are read in several."""


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


def shelf_of(settings: Settings, connections: Connections) -> Shelf:
    """The shelf of this job, with its keys."""
    keys = open_keys(settings, makes=True)
    assert keys is not None
    return open_shelf(settings.archive_place, connections, settings, keys)


def archive(job: dict[str, Any], archiver: Archiver) -> dict[str, Any]:
    """Archive by the job's policy, or do something else with its archives."""
    policy, now = load_policy(Path(job["pipeline"]), archiver.settings), datetime.fromisoformat(job["archive"])
    done: dict[str, Any]
    if job.get("compacts"):
        done = {"made": compact(archiver, policy).made}
    elif job.get("restores"):
        back = restore(archiver, policy.archive, Order(Selection(partition=job.get("partition"))))
        done = {"rows": back.rows, "left": back.left, "waiting": back.waiting}
    elif job.get("expires"):
        over = expire(archiver, now=now)
        done = {"removed": over.removed, "replaced": over.replaced}
    elif job.get("verifies"):
        done = {"problems": verify(archiver).problems}
    else:
        ran = archiver.run(policy, now=now)
        done = {"rows": ran.rows, "taken_up": ran.taken_up, "given_up": ran.given_up}
    return {"state": "success", "error": None, **done}


def command(arguments: list[str]) -> dict[str, Any]:
    """Run a command of the workbench; its document and how it ended."""
    said, code = io.StringIO(), 0
    with redirect_stdout(said):
        try:
            run_command([*arguments, "--json"])
        except SystemExit as ended:
            code = int(ended.code or 0)
    document = json.loads(said.getvalue())
    state = "failed" if code else "success"
    return {"state": state, "error": document.get("error"), "document": document}


def main(job: dict[str, Any]) -> None:
    """Run the job's pipeline or command to its end, or to its death."""
    if "command" in job:
        with subscribed(Death(job.get("point"), job.get("occurrence", 1))):
            print("ready", flush=True)
            print(json.dumps(command(job["command"])))
        return
    settings, connections = load(), Connections(from_environment)
    with ExitStack() as stack:
        stack.enter_context(patch("data_workbench.connectors.neo4j.chunks.TRANSACTION_ROWS", TRANSACTION_ROWS))
        for ranges in ("partitions", "key_ranges"):
            stack.enter_context(patch(f"data_workbench.connectors.postgres.{ranges}.LEAST_PAGES", RANGE_PAGES))
        metastore = stack.enter_context(open_metastore(connections.get(settings.metastore)))
        if "archive" in job:
            stack.enter_context(subscribed(Death(job.get("point"), job.get("occurrence", 1))))
            print("ready", flush=True)
            print(json.dumps(archive(job, Archiver(shelf_of(settings, connections), connections, settings, metastore))))
            return
        runner = Runner(settings=settings, connections=connections, metastore=metastore)
        definition = load_definition(job["pipeline"], settings=settings)
        stack.enter_context(subscribed(Death(job.get("point"), job.get("occurrence", 1))))
        if job.get("broken"):  # after the death, which comes between a commit and its note
            note = Path(job["pipeline"]).with_name("checkpoint.json")
            stack.enter_context(checkpoints_in_a_file(note, job["broken"]))
        print("ready", flush=True)
        document, error = runner.run(definition, params={})
    if error:
        traceback.print_exception(error)
    print(json.dumps({"state": document["state"], "error": error.as_dict() if error else None, "document": document}))
