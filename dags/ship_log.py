"""Takes over the log of the PostgreSQL server in WORKBENCH_POINT_IN_TIME, so that it can go back to any moment.

**When**: every minute. **Who is hurt if it fails**: nobody at once; the moments one can go back to end where it last
succeeded, and the server keeps the log that was not taken.

**Triage**: the log says whether the receiver, the server or the repository is in trouble. A lost slot needs a new base
backup. **Rerun**: clear the task, or wait for the next minute: what was missed is taken then.
"""

from datetime import timedelta

from airflow.sdk import DAG  # noqa: TID253  # a DAG file

from data_workbench.provider.housekeeping import HOUSEKEEPING
from data_workbench.provider.operators.backups import ShipLogOperator

with DAG(
    "ship_log",
    schedule="* * * * *",
    dagrun_timeout=timedelta(minutes=30),
    doc_md=__doc__,
    description="Takes over PostgreSQL's log for restores to a moment",
    **HOUSEKEEPING,
) as dag:
    ShipLogOperator(task_id="ship")
