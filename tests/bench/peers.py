"""The peers: other programs that do the same, each in a process and an environment of its own.

`make bench-peers` installs them beside the engine, never into it. A peer that is not there, or that fails, is told as
not available with the reason; its figure is left out.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.figures import middle
from tests.bench.ground import REPOSITORY, Ground

PYTHON = REPOSITORY / ".venv-bench" / "bin" / "python"
WORKER = Path(__file__).with_name("peer_worker.py")


@dataclass
class Told:
    """What a peer has shown in its turns.

    Args:
        missing: why it could not be measured; None if it could.
    """

    name: str
    rows: int
    samples: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    missing: str | None = None

    @property
    def seconds(self) -> float:
        """The median."""
        return middle(self.samples)

    @property
    def rate(self) -> float:
        """Rows a second."""
        return self.rows / self.seconds

    def as_dict(self) -> dict[str, Any]:
        """For a figure's details."""
        if self.missing is not None:
            return {"peer": self.name, "missing": self.missing}
        return {
            "peer": self.name,
            "peer_rows": self.rows,
            "peer_seconds": self.seconds,
            "peer_samples": [round(one, 3) for one in self.samples],
            "peer_memory_mb": max(self.memory) // 2**20,
            "versions": self.versions,
        }


def take_turn(ground: Ground, told: Told, worker: str, question: Mapping[str, str]) -> None:
    """One sample of a peer, in its own process; a peer that failed once is not asked again."""
    if told.missing is not None:
        return
    if not PYTHON.exists():
        told.missing = "not installed (make bench-peers)"
        return
    _note(told, _run(ground, [str(PYTHON), str(WORKER), worker], dict(question), _environment(ground)))


def take_own_turn(ground: Ground, told: Told, module: str, question: Mapping[str, str]) -> None:
    """One sample of a peer that is among the engine's own pins."""
    if told.missing is None:
        environment = ground.environment() | {"AIRFLOW_CONN_BENCH_PEER": ground.dsn}
        environment["AIRFLOW_HOME"] = str(ground.settings.home.absolute() / "peer_airflow")
        _note(told, _run(ground, [sys.executable, "-m", module], dict(question), environment))


def _note(told: Told, answer: Mapping[str, Any] | str) -> None:
    if isinstance(answer, str):
        told.missing = answer
        return
    told.samples.append(answer["seconds"])
    told.memory.append(answer["memory"])
    told.versions = answer["versions"]


def _run(
    ground: Ground, command: Sequence[str], question: dict[str, str], environment: Mapping[str, str]
) -> Mapping[str, Any] | str:
    done = subprocess.run(
        command,
        input=json.dumps({"dsn": ground.dsn, **question}),
        env=dict(environment),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]
        ground.say(f"not available: {reason[:300]}")
        return reason.replace(ground.dsn, "DSN")[:300]
    found: dict[str, Any] = json.loads(done.stdout.rpartition("@@")[2])
    return found


def _environment(ground: Ground) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "HOME") if name in os.environ}
    folder = ground.settings.home.absolute() / "peers"
    folder.mkdir(exist_ok=True)
    return {**kept, "TMPDIR": str(folder), "DLT_DATA_DIR": str(folder / "dlt")}


def peer_file(ground: Ground, name: str) -> Path:
    """A place for what a peer writes; what was there is removed."""
    path = ground.settings.home.absolute() / "peers" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    return path
