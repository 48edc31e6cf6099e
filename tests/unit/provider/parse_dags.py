"""Parses DAG files as Airflow does and prints what came out as JSON; run in a process of its own.

Airflow's own imports warn, and tests take warnings as errors; and what a parse imports is only seen in a fresh process.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
from pathlib import Path
from typing import Any


def parse(places: list[str]) -> dict[str, Any]:
    """The DAGs of each place (a DAG file, or a folder of pipeline files), and which modules parsing them brought in.

    `PLACE@DAG_ID` is parsed as inside a task of that DAG.
    """
    found = {place: _dags(place) for place in places}
    modules = sorted({name.partition(".")[0] for name in sys.modules})
    told = {place: {dag_id: _told(dag) for dag_id, dag in dags.items()} for place, dags in found.items()}
    return {"modules": modules, "places": told}


def _dags(place: str) -> dict[str, Any]:
    from airflow.sdk import DAG

    from data_workbench.provider.dag_factory import pipeline_dags

    path, _, dag_id = place.partition("@")
    if dag_id:
        os.environ["_AIRFLOW_PARSING_CONTEXT_DAG_ID"] = dag_id
    names = runpy.run_path(path) if Path(path).is_file() else dict(pipeline_dags(path))
    os.environ.pop("_AIRFLOW_PARSING_CONTEXT_DAG_ID", None)
    return {value.dag_id: value for value in names.values() if isinstance(value, DAG)}


def _told(dag: Any) -> dict[str, Any]:
    from airflow.serialization.serialized_objects import DagSerialization

    return {
        "tags": sorted(dag.tags),
        "doc": dag.doc_md,
        "owner": dag.owner,
        "schedule": str(dag.schedule),
        "catchup": dag.catchup,
        "max_active_runs": dag.max_active_runs,
        "params": {name: {"default": param.value, **param.schema} for name, param in _params(dag).items()},
        "tasks": {
            task.task_id: {
                "retries": task.retries,
                "owner": task.owner,
                "upstream": sorted(task.upstream_task_ids),
                "outlets": [asset.name for asset in getattr(task, "outlets", [])],
            }
            for task in dag.tasks
        },
        "serialised": DagSerialization.to_dict(dag),
    }


def _params(dag: Any) -> dict[str, Any]:
    return {name: dag.params.get_param(name) for name in dag.params}


if __name__ == "__main__":
    sys.stdout.write("\n@@" + json.dumps(parse(sys.argv[1:]), default=str, sort_keys=True))
