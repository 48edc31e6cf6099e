"""Looks at the backups: how old the newest is, whether one was tried, the room that is left; tells what is wrong.

**When**: every 15 minutes. **Who is hurt if it fails**: nobody at once; the page "Backups" grows old, and a backup that
is missing, damaged or late is not told.

**Triage**: a red task says why the metastore or the settings could not be read. What is wrong with the backups is an
alert, an incident (`workbench incidents list`) and stands on the page. **Rerun**: clear the task; it only reads.
"""

from datetime import timedelta

from airflow.sdk import DAG  # noqa: TID253  # a DAG file

from data_workbench.provider.housekeeping import HOUSEKEEPING
from data_workbench.provider.operators.backups import WatchBackupsOperator

with DAG(
    "watch_backups",
    schedule="*/15 * * * *",
    dagrun_timeout=timedelta(hours=1),
    doc_md=__doc__,
    description="Looks at the backups, and tells what is missing, damaged, late or full",
    **HOUSEKEEPING,
) as dag:
    WatchBackupsOperator(task_id="watch")
