"""Makes a backup set of all stores at one moment, checks every chunk of it, and removes sets past their time.

**When**: every night at 01:30 UTC. **Who is hurt if it fails**: nobody at once; the recovery point grows older, and
earlier sets stay as they are.

**Triage**: the log names the store or the repository that refused, and the next step. A red `check` means the new set
is damaged: look at the repository's disk before making another. **Rerun**: clear the task; a set is made anew.
"""

from datetime import timedelta

from airflow.sdk import DAG  # noqa: TID253  # a DAG file

from data_workbench.provider.housekeeping import HOUSEKEEPING
from data_workbench.provider.operators.backups import (
    CheckBackupOperator,
    CreateBackupOperator,
    PruneBackupsOperator,
)

with DAG(
    "backup_stores",
    schedule="30 1 * * *",
    dagrun_timeout=timedelta(hours=12),
    doc_md=__doc__,
    description="Makes a backup set of all stores, checks it, and thins out",
    **HOUSEKEEPING,
) as dag:
    create = CreateBackupOperator(task_id="create")
    check = CheckBackupOperator(task_id="check", set_id="{{ ti.xcom_pull(task_ids='create')['set'] }}")
    create >> check >> PruneBackupsOperator(task_id="prune")
