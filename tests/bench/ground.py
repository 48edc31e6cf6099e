"""Where measurements happen: real servers in a folder of their own, SQL, psql, and engine runs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from data_workbench.provider.local import airflow_service, settings_environment
from data_workbench.servers import Stack, postgres_dsn
from data_workbench.servers.postgres import PostgresService
from data_workbench.settings import PORT_OFFSETS, Settings, load

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Ran:
    """What one run of the engine took."""

    moments: dict[str, float]
    memory: int
    """The most the process ever held, the comparison included."""
    memory_moved: int
    """The most it held until the last commit."""
    document: dict[str, Any]

    @property
    def moved(self) -> float:
        """Seconds from first read to last commit."""
        return self.moments["moved"]


@dataclass
class Ground:
    """A stack for measuring."""

    stack: Stack
    rows: int
    rounds: int
    csv_megabytes: int = 1
    """Size of the CSV file that becomes Parquet."""
    say: Callable[[str], None] = field(default=lambda text: print(f"  {text}", file=sys.stderr, flush=True))

    @property
    def settings(self) -> Settings:
        return self.stack.settings

    @property
    def dsn(self) -> str:
        """The database that is read and written."""
        return postgres_dsn(self.settings, "odras")

    @property
    def files(self) -> Path:
        """The folder of connection `workbench_files`."""
        folder = self.settings.home.absolute() / "files"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """Run SQL."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def psql(self, statement: str) -> list[str]:
        """A psql command line for one statement, from the same binaries as the server."""
        return [PostgresService(self.settings).program("psql"), "-qAtX", "-d", self.dsn, "-c", statement]

    def run(self, name: str, text: str, **settings: object) -> Ran:
        """Run a pipeline in a process of its own; staged files are removed afterwards.

        Args:
            settings: of the engine, by name, for this run alone.
        """
        path = self.write(name, text)
        done = subprocess.run(
            [sys.executable, "-m", "tests.bench.worker", str(path)],
            env=self.environment() | {f"WORKBENCH_{key.upper()}": str(value) for key, value in settings.items()},
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
        )
        shutil.rmtree(self.settings.home.absolute() / "artifacts", ignore_errors=True)
        if done.returncode != 0:
            raise RuntimeError(f"the run of {name} failed:\n{done.stderr[-3000:]}")
        told = json.loads(done.stdout)
        moments = {key: round(value, 3) for key, value in told["moments"].items()}
        return Ran(moments, told["memory"], told["memory_moved"], told["document"])

    def write(self, name: str, text: str) -> Path:
        """A pipeline as a file."""
        folder = self.settings.home.absolute() / "bench"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{name}.yaml"
        path.write_text(textwrap.dedent(text))
        return path

    def environment(self) -> dict[str, str]:
        """Of a child: settings and connections of this ground."""
        return {**os.environ, **settings_environment(self.settings), **self.stack.environment(), "PYTHONPATH": ""}


def in_turns(rounds: int, *measures: Callable[[], Any]) -> list[list[Any]]:
    """A B A B …: one list of results per measure, so that a busy moment of the machine meets all alike."""
    results: list[list[Any]] = [[] for _ in measures]
    for _ in range(rounds):
        for place, measure in enumerate(measures):
            results[place].append(measure())
    return results


def seconds(work: Callable[[], Any]) -> float:
    """How long a piece of work takes."""
    began = time.monotonic()
    work()
    return time.monotonic() - began


@contextmanager
def open_ground(
    *, rows: int, rounds: int, services: Sequence[str], csv_megabytes: int = 1, home: Path | None = None
) -> Iterator[Ground]:
    """Servers on free ports in a temporary folder; stopped and removed afterwards, unless the folder is given."""
    from data_workbench.connectors.connections import Connections, from_environment
    from data_workbench.connectors.metastore import open_metastore

    folder = home or Path(tempfile.mkdtemp(prefix="workbench-bench-"))
    cache = os.environ.get("WORKBENCH_CACHE") or str(REPOSITORY / ".workbench" / "cache")
    pipelines = folder / "dags" / "pipelines"
    pipelines.mkdir(parents=True, exist_ok=True)
    settings = Settings(home=folder, cache=cache, port_base=_free_base(), min_free_disk=1, pipelines=pipelines)
    stack = Stack(settings, extra=[airflow_service(settings)])
    try:
        stack.up(services)
        connections = Connections(lambda name: from_environment(name, stack.environment()))
        with open_metastore(connections.get(settings.metastore)) as metastore:
            metastore.upgrade()
        yield Ground(stack, rows, rounds, csv_megabytes)
    finally:
        stack.down()
        if home is None:
            for place in [entry.resolve() for entry in folder.iterdir() if entry.is_symlink()]:
                shutil.rmtree(place, ignore_errors=True)
            shutil.rmtree(folder, ignore_errors=True)


def _free_base() -> int:
    import socket

    given = os.environ.get("WORKBENCH_BENCH_PORT_BASE")
    if given:
        return int(given)
    first = load().port_base + 2000 + os.getpid() % 200 * 20
    for base in range(first, 60_000, 20):
        try:
            for offset in PORT_OFFSETS.values():
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", base + offset))
        except OSError:
            continue
        return base
    raise RuntimeError("no free ports")
