"""Looks at archiving: whether each policy is carried out, when archives were verified, whether the shelf answers.

**When**: every hour, at 40 past. **Who is hurt if it fails**: nobody at once; archiving that fails, is overdue or lost
its shelf is not told.

**Triage**: a red task says why the metastore, a policy or the settings could not be read. What is wrong with archiving
is an alert and an incident (`workbench incidents list`). **Rerun**: clear the task; it only reads.
"""

from datetime import timedelta
from pathlib import Path

from airflow.sdk import DAG  # noqa: TID253  # a DAG file

from data_workbench.provider.housekeeping import HOUSEKEEPING
from data_workbench.provider.operators.archives import WatchArchivesOperator

with DAG(
    "watch_archives",
    schedule="40 * * * *",
    dagrun_timeout=timedelta(hours=1),
    doc_md=__doc__,
    description="Looks at archiving, and tells what failed, is overdue, damaged or away",
    **HOUSEKEEPING,
) as dag:
    WatchArchivesOperator(task_id="watch", policies=str(Path(__file__).parent / "archives"))
