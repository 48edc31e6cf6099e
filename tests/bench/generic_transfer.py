"""Airflow's GenericTransfer in a process of its own, from one table into another of the same database.

Airflow stands among the engine's own pins, so this runs in the engine's environment. The operator holds all rows in
memory unless it pages, and it pages by LIMIT and OFFSET: the form without pages is the quicker one and is measured.
"""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version

from tests.bench.peer_worker import peak_memory


def main() -> None:
    """Run it once; the connection `bench_peer` comes from the environment."""
    from airflow.providers.common.sql.operators.generic_transfer import GenericTransfer

    question = json.load(sys.stdin)
    transfer = GenericTransfer(
        task_id="transfer",
        sql=f"SELECT {question['columns']} FROM {question['table']}",
        destination_table=question["into"],
        source_conn_id="bench_peer",
        destination_conn_id="bench_peer",
        # Without this it inserts row by row.
        insert_args={"commit_every": 10_000, "executemany": True, "fast_executemany": True},
    )
    began = time.monotonic()
    transfer.execute({})
    took = time.monotonic() - began
    versions = {one: version(one) for one in ("apache-airflow-providers-common-sql", "apache-airflow")}
    print("@@" + json.dumps({"seconds": took, "memory": peak_memory(), "versions": versions}))


if __name__ == "__main__":
    main()
