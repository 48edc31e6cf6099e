"""Restores the newest backup set into servers made for this, and compares every fingerprint: the drill.

**When**: Sundays at 04:00 UTC. **Who is hurt if it fails**: everybody, on the day a restore is needed.

**Triage**: the log says store by store what came back. `not_verified` names what the drill's servers lack; `failed`
means the set does not come back as it was: make another at once (`backup_stores`), and keep the older ones.
**Rerun**: clear the task; the servers of a drill live for it only.
"""

from datetime import timedelta

from airflow.sdk import DAG  # noqa: TID253  # a DAG file

from data_workbench.provider.housekeeping import HOUSEKEEPING
from data_workbench.provider.operators.backups import CheckBackupOperator

with DAG(
    "verify_backups",
    schedule="0 4 * * 0",
    dagrun_timeout=timedelta(hours=12),
    doc_md=__doc__,
    description="Restores the newest backup set into servers made for it, and compares",
    **HOUSEKEEPING,
) as dag:
    CheckBackupOperator(task_id="drill", drill=True)
