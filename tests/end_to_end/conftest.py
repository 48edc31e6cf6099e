"""One whole stack with Airflow, in a folder and on ports of its own, gone afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest

if TYPE_CHECKING:
    from data_workbench.provider.rest import AirflowClient
    from data_workbench.servers import Stack

REPOSITORY = Path(__file__).resolve().parents[2]
_HERE = Path(__file__).parent

# The smallest pipeline, and one that cannot be read. No store but files, so Neo4j and Qdrant need not start.
PLANETS = """\
version: 1
pipeline: planets
description: Planets that are not dwarfs.
owner: tests
params:
  batch_id: {type: uuid}
  project_id: {type: uuid}
sources:
  planets:
    connection: workbench_files
    stream: planets.csv
    key: [name]
    options: {delimiter: ",", types: {moons: integer}}
steps:
  - {name: real, filter: "kind <> 'dwarf'"}
contract:
  real:
    columns: {moons: {required: true, min: 0}}
    on_invalid: quarantine
destinations:
  table: {connection: odras_postgres, table: public.planets, key: name, write: merge}
  file: {connection: workbench_files, file: out/planets.jsonl, write: replace}
reconcile: {full: "0 3 1 1 *"}
"""
POINTS = """\
version: 1
pipeline: planet_points
description: Planets as points, to see what a run does while their store is away.
owner: tests
sources:
  planets: {connection: workbench_files, stream: planets.csv, key: [name], options: {delimiter: ","}}
destinations:
  points:
    connection: odras_qdrant
    input: planets
    collection: planets
    key: name
    embed: {text: name, model: hashing-384}
"""
ARRIVING = """\
version: 1
pipeline: arriving
description: Whatever lies in the inbox, as soon as it does.
owner: tests
schedule: {file: "inbox/*.csv", every: 2s}
sources:
  moons:
    connection: workbench_files
    stream: inbox/*.csv
    key: [name]
    cursor: {column: _file_modified}
    options: {delimiter: ",", changes: auto}
destinations:
  table: {connection: odras_postgres, table: public.moons, key: name, write: merge}
"""
READINGS = """\
version: 1
pipeline: readings
description: Readings day by day, asked for.
owner: tests
params: {since: {type: timestamp}, until: {type: timestamp}}
partitions: {grain: day, from: since, to: until, start: 2026-01-01}
sources:
  rows: {connection: odras_postgres, stream: public.readings, where: "at >= $since and at < $until"}
destinations:
  out: {connection: odras_postgres, input: rows, table: public.readings_copy, write: append}
"""
CAUGHT_UP = """\
version: 1
pipeline: caught_up
description: Readings of every day since the first, by a clock; each run is late.
owner: tests
schedule: "@daily"
catchup: true
deadline: 1s
params: {since: {type: timestamp}, until: {type: timestamp}}
partitions: {grain: day, from: since, to: until, start: START}
sources:
  rows: {connection: odras_postgres, stream: public.late_readings, where: "at >= $since and at < $until"}
destinations:
  out: {connection: odras_postgres, input: rows, table: public.late_copy, write: append}
"""
TOLD = """\
version: 1
pipeline: told
description: Planets, when a message says so.
owner: tests
schedule: {topic: planets, connection: events, every: 1s, params: {batch_id: batch.id}}
params: {batch_id: {type: uuid}}
sources:
  planets: {connection: workbench_files, stream: planets.csv, key: [name], options: {delimiter: ","}}
destinations:
  table: {connection: odras_postgres, input: planets, table: public.told_planets, key: name, write: merge}
"""
KILLED = """\
version: 1
pipeline: killed
description: What kills are tried on; appended and merged, several parts each.
owner: tests
params: {round: {type: integer}}
sources:
  rows: {connection: odras_postgres, stream: public.kill_rows, where: "round = $round"}
steps:
  - {name: same, derive: {letters: "length(word)"}}
destinations:
  appended: {connection: odras_postgres, table: public.kill_appended, write: append}
  merged: {connection: odras_postgres, table: public.kill_merged, key: [round, id], write: merge}
"""
RANGED = """\
version: 1
pipeline: ranged
description: A table that is read in ranges of its key, each by a task of its own.
owner: tests
sources:
  rows: {connection: odras_postgres, stream: public.wide_rows, key: [id], cursor: {column: seen}, ranges: 3}
steps:
  - {name: some, select: [id, seen]}
destinations:
  out: {connection: odras_postgres, table: public.wide_copy, key: id, write: merge}
"""
OLDS = """\
version: 1
archive: olds
connection: odras_postgres
dataset: public.olds
age: {column: at, older_than: 1y}
"""
ROWS = "name,kind,moons\nEarth,rock,1\nMars,rock,2\nPluto,dwarf,5\nVulcan,rock,-1\n"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what lies in this folder; a loaded machine starts Airflow slowly."""
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.end_to_end)
            item.add_marker(pytest.mark.timeout(900))


@dataclass(frozen=True)
class Running:
    """Airflow, up and logged in to."""

    client: AirflowClient
    stack: Stack
    url: str
    access: tuple[str, str]
    """User and password."""


@pytest.fixture(scope="session")
def airflow(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Airflow on the test stack's PostgreSQL, with a DAG folder of the tests."""
    from data_workbench.connectors.connections import from_environment
    from data_workbench.connectors.metastore import open_metastore
    from data_workbench.provider.local import airflow_credentials, airflow_service
    from data_workbench.provider.rest import AirflowClient
    from data_workbench.servers import Stack

    pipelines = _dag_folder(tmp_path_factory.mktemp("repository"))
    settings = replace(stack.settings, pipelines=pipelines, part_rows=150, batch_rows=100)
    found = from_environment("workbench_metastore", stack.environment())
    assert found is not None
    with open_metastore(found) as metastore:
        metastore.upgrade()
    files = settings.home / "files"
    files.mkdir(parents=True, exist_ok=True)
    (files / "planets.csv").write_text(ROWS)
    whole = Stack(settings, extra=[airflow_service(settings)])
    # A worker that is killed is missed after five minutes by default.
    patience = {"SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60"}
    try:
        with patch.dict("data_workbench.provider.local._FIXED", patience):
            whole.up(["airflow"])
        access = airflow_credentials(settings)
        with AirflowClient(*access) as client:
            yield Running(client, whole, access.url, (access.user, access.password))
    finally:
        whole.down(["airflow"])


def _dag_folder(repository: Path) -> Path:
    """The product's DAG files and plugin, with pipelines of the tests."""
    pipelines = repository / "dags" / "pipelines"
    pipelines.mkdir(parents=True)
    for file in (REPOSITORY / "dags").glob("*.py"):
        (repository / "dags" / file.name).symlink_to(file)
    (repository / "plugins").mkdir()
    for file in [*(REPOSITORY / "plugins").glob("*.py"), _HERE / "kill_point.py"]:
        (repository / "plugins" / file.name).symlink_to(file)
    (pipelines / "planets.yaml").write_text(PLANETS)
    (pipelines / "planet_points.yaml").write_text(POINTS)
    (pipelines / "arriving.yaml").write_text(ARRIVING)
    (pipelines / "told.yaml").write_text(TOLD)
    (pipelines / "killed.yaml").write_text(KILLED)
    (pipelines / "ranged.yaml").write_text(RANGED)
    (pipelines / "readings.yaml").write_text(READINGS)
    (repository / "dags" / "archives").mkdir()
    (repository / "dags" / "archives" / "olds.yaml").write_text(OLDS)
    first = datetime.now(UTC) - timedelta(days=2)
    (pipelines / "caught_up.yaml").write_text(CAUGHT_UP.replace("START", f"{first:%Y-%m-%d}"))
    (pipelines / "broken.yaml").write_text(
        PLANETS.replace("filter:", "fliter:").replace("pipeline: planets", "pipeline: broken")
    )
    return pipelines


def read_connection(stack: Stack, name: str) -> dict[str, object]:
    """An Airflow connection of the stack as a dictionary."""
    value: dict[str, object] = json.loads(stack.environment()[f"AIRFLOW_CONN_{name.upper()}"])
    return value
