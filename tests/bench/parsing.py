"""What Airflow spends on our DAG file: a folder of pipelines parsed whole, and one pipeline inside its own task.

Goals are held against processor time, as the dag-processor parses beside everything else; the clock's time is told
beside it.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.bench.figures import Figure, middle
from tests.bench.ground import REPOSITORY, Ground

from data_workbench.language.rule_files import is_pipeline_file

MEGABYTE = 1024**2
LOADER = "workbench_pipelines.py"


def measure(ground: Ground) -> list[Figure]:
    """Folders of 50 and of 200 pipelines, copies of the shipped ones under names of their own."""
    few, many = _folder(ground, 50), _folder(ground, 200)
    rounds = max(3, ground.rounds)
    ground.say("parsing 50 and 200 pipelines, and one alone")
    fifty = [_parse(ground, few) for _ in range(rounds)]
    all_of_them = [_parse(ground, many) for _ in range(rounds)]
    own = [_parse(ground, many, "pipeline__requirements_1") for _ in range(rounds)]
    memory = max(one["memory"] for one in all_of_them) / MEGABYTE
    return [
        _figure("parse_50", "DAG file with 50 pipelines: processor time of a parse", fifty, 2.0),
        _figure("parse_200", "DAG file with 200 pipelines: processor time of a parse", all_of_them, 6.0),
        Figure("parse_memory", "memory, 200 pipelines parsed and serialised", memory, 300, "less", "MB"),
        _figure("parse_own", "inside a task, its own pipeline of 200: processor time of a parse", own, 0.3),
    ]


def _figure(name: str, what: str, samples: list[dict[str, Any]], goal: float) -> Figure:
    taken = middle([one["cpu_seconds"] for one in samples])
    details = {"wall_seconds": middle([one["seconds"] for one in samples]), "samples": samples}
    return Figure(name, what, taken, goal, "less", "s", details)


def _folder(ground: Ground, count: int) -> Path:
    """A DAG folder with so many pipelines; the loader's path."""
    folder = ground.settings.home.absolute() / f"dags_{count}"
    pipelines = folder / "pipelines"
    pipelines.mkdir(parents=True, exist_ok=True)
    shipped = sorted(filter(is_pipeline_file, (REPOSITORY / "dags" / "pipelines").glob("*")))
    for number in range(count):
        source = shipped[number % len(shipped)]
        name = f"{source.stem}_{number // len(shipped)}"
        text = re.sub(r"^pipeline: .*$", f"pipeline: {name}", source.read_text(), count=1, flags=re.MULTILINE)
        (pipelines / f"{name}.yaml").write_text(text)
    return Path(shutil.copy(REPOSITORY / "dags" / LOADER, folder))


def _parse(ground: Ground, loader: Path, *dag_id: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.bench.parse_worker", str(loader), *dag_id],
        env=ground.environment() | {"AIRFLOW_HOME": str(ground.settings.home.absolute() / "parsing")},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"the parse failed:\n{done.stderr[-2000:]}")
    told: dict[str, Any] = json.loads(done.stdout.rpartition("@@")[2])
    return told
