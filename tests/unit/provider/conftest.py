"""DAG files, parsed in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.unit.provider.cases import CASES

REPOSITORY = Path(__file__).resolve().parents[3]
LOADER = REPOSITORY / "dags" / "workbench_pipelines.py"
Dags = dict[str, Any]


@dataclass(frozen=True)
class Parsed:
    """What two processes made of the same files; a fresh one costs seconds, so they parse all that tests ask about."""

    shipped: Dags
    cases: Dags
    modules: set[str]
    again: Dags
    """The loader in another process, as inside a task of `pipeline__requirements`."""
    in_reconcile: Dags


@pytest.fixture(scope="session")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> Parsed:
    """DAG files, parsed as Airflow does."""
    folder = tmp_path_factory.mktemp("pipelines")
    for name, text in CASES.items():
        (folder / name).write_text(text)
    files = sorted((REPOSITORY / "dags").glob("*.py"))
    home = tmp_path_factory.mktemp("airflow")
    first = _parse(home, [*map(str, files), str(folder)])
    requirements, reconcile = f"{LOADER}@pipeline__requirements", f"{LOADER}@reconcile__requirements"
    second = _parse(home, [requirements, reconcile])
    return Parsed(
        shipped={dag_id: dag for file in files for dag_id, dag in first["places"][str(file)].items()},
        cases=first["places"][str(folder)],
        modules=set(first["modules"]),
        again=second["places"][requirements],
        in_reconcile=second["places"][reconcile],
    )


def _parse(home: Path, places: list[str]) -> dict[str, Any]:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "WORKBENCH"))},
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "PYTHONWARNINGS": "ignore",
    }
    command = [sys.executable, str(Path(__file__).with_name("parse_dags.py")), *places]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=REPOSITORY)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.rpartition("@@")[2])
    return found
