"""Looks at what others change in the streams of `watches.yaml`, and tells it in the journal.

A stream watched by `how: wal` has a slot on its PostgreSQL server, which keeps log until this DAG has read it: while it
is paused, that server's disk fills up to `retained`, or to its own max_slot_wal_keep_size. Take the stream out of the
file, and let this DAG run once more, to have the slot dropped.

**When**: every 5 minutes. **Who is hurt if it fails**: histories of records lack what others did; log piles up.

**Triage**: the task names each stream it cannot watch, and why. **Rerun**: clear the task; what was told is not told
twice.
"""

from datetime import timedelta
from pathlib import Path

from airflow.sdk import DAG  # noqa: TID253  # a DAG file

from data_workbench.provider.housekeeping import HOUSEKEEPING
from data_workbench.provider.operators.changes import WatchChangesOperator

FOLDER = Path(__file__).parent

with DAG(
    "watch_changes",
    schedule="*/5 * * * *",
    dagrun_timeout=timedelta(hours=2),
    doc_md=__doc__,
    description="Looks at what others change in watched streams",
    **HOUSEKEEPING,
) as dag:
    WatchChangesOperator(task_id="watch", file=str(FOLDER / "watches.yaml"), pipelines=str(FOLDER / "pipelines"))
