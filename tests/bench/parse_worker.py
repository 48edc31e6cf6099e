"""One parse of a DAG file in a process of its own: `python -m tests.bench.parse_worker DAG_FILE [DAG_ID]`.

With a DAG's id it is parsed as inside one of its tasks. Airflow is imported before the clock starts, as it is in the
processes that parse; what our loader brings in is part of the parse.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
import time

from tests.bench.worker import peak_memory


def main(file: str, dag_id: str | None = None) -> None:
    """Parse, serialise as the dag-processor does, and tell."""
    from airflow.sdk import DAG
    from airflow.serialization.serialized_objects import DagSerialization

    if dag_id is not None:
        os.environ["_AIRFLOW_PARSING_CONTEXT_DAG_ID"] = dag_id
    before = peak_memory()
    wall, cpu = time.monotonic(), time.process_time()
    dags = [value for value in runpy.run_path(file).values() if isinstance(value, DAG)]
    told = {"seconds": time.monotonic() - wall, "cpu_seconds": time.process_time() - cpu, "dags": len(dags)}
    if dag_id is None:
        cpu = time.process_time()
        for dag in dags:
            DagSerialization.to_dict(dag)
        told["serialising_cpu_seconds"] = time.process_time() - cpu
    rounded = {name: round(value, 3) for name, value in told.items()}
    print("\n@@" + json.dumps({**rounded, "memory_before": before, "memory": peak_memory()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
