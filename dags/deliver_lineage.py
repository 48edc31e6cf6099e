"""Hands out the lineage that runs left in the outbox of this worker's WORKBENCH_HOME.

Each run delivers its own events at its end. What is left is of killed runs, and of times when the metastore or the
OpenLineage server of WORKBENCH_LINEAGE_RECEIVER was away. Before that it tells lineage who takes data beside pipelines.

**When**: every 10 minutes. **Who is hurt if it fails**: nobody at once; lineage is late, none is lost.

**Triage**: the log names the receiver and why it did not take the events; they wait in `<home>/lineage/outbox`.
**Rerun**: clear the task; a receiver knows repeated events.
"""

from datetime import timedelta
from pathlib import Path

from airflow.sdk import DAG  # noqa: TID253  # a DAG file

from data_workbench.provider.housekeeping import HOUSEKEEPING
from data_workbench.provider.operators.housekeeping import DeliverLineageOperator

FOLDER = Path(__file__).parent

with DAG(
    "deliver_lineage",
    schedule="*/10 * * * *",
    dagrun_timeout=timedelta(hours=1),
    doc_md=__doc__,
    description="Hands out lineage that runs left behind",
    **HOUSEKEEPING,
) as dag:
    DeliverLineageOperator(task_id="deliver", folder=str(FOLDER))
