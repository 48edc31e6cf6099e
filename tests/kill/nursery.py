"""A process that has everything imported and forks a child for each job: `python -m tests.kill.nursery`.

Imports take most of a short run's time; a storm has hundreds of runs. A child is a process like any other: it dies of a
SIGKILL with all its threads and connections, at whatever it was doing. One job at a time: a line with the job's file
comes in, the child's process id goes out, then its exit code.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import sys
import traceback
from pathlib import Path

import data_workbench
from data_workbench.records.arrow import prepare_process, without_pandas

_ROOMS = (
    "archive",
    "artifacts",
    "backup",
    "cli",
    "connectors",
    "lineage",
    "mapping",
    "metastore",
    "pipelines",
    "reconciliation",
    "recovery",
    "transforms",
)


def warm_up() -> None:
    """Import what a run imports. No connection and no thread may be begun here: a fork would share or lose it."""
    prepare_process()
    with without_pandas():
        for name in ("duckdb", "neo4j", "pyarrow.csv", "pyarrow.parquet", "qdrant_client", "sqlglot"):
            importlib.import_module(name)
    for room in _ROOMS:
        package = importlib.import_module(f"{data_workbench.__name__}.{room}")
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if "migrations" not in found.name:  # alembic's environment works when it is imported
                _warm(found.name)
    importlib.import_module("tests.kill.runner")


def _warm(name: str) -> None:
    """Import a module, unless it is for a package that is an extra and not there."""
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.startswith(data_workbench.__name__):
            raise


def serve() -> None:
    """Fork a child per line of standard input."""
    warm_up()
    print("ready", flush=True)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _live(Path(line.strip()))
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _live(path: Path) -> None:
    """The whole life of a child."""
    from tests.kill.runner import main

    code = 1
    try:
        job = json.loads(path.read_text())
        for stream, target in ((0, os.devnull), (1, job["out"]), (2, job["errors"])):
            os.dup2(os.open(target, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), stream)
        os.environ.update(job["variables"])
        main(job)
        code = 0
    except BaseException:  # whatever it was, the child ends here and its exit code tells
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve()
