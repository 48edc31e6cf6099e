"""Moves rows that are past their time into archives, by every policy in `dags/archives`, and expires old archives.

**When**: every night at 03:30 UTC. **Who is hurt if it fails**: nobody at once; tables stay larger than they should.

**Triage**: the log names the policy, the table or the shelf that refused, and the next step; other policies have run.
`NotAllowed` names a foreign key that points at rows which are past their time. **Rerun**: clear the task: what a killed
try left is taken up, and no row is lost or doubled.
"""

from datetime import timedelta
from pathlib import Path

from airflow.sdk import DAG  # noqa: TID253  # a DAG file

from data_workbench.provider.housekeeping import HOUSEKEEPING
from data_workbench.provider.operators.archives import ArchiveExpiredOperator, ExpireArchivesOperator

POLICIES = str(Path(__file__).parent / "archives")

with DAG(
    "archive_expired",
    schedule="30 3 * * *",
    dagrun_timeout=timedelta(hours=12),
    doc_md=__doc__,
    description="Moves rows past their time into archives, and expires archives",
    **HOUSEKEEPING,
) as dag:
    archive = ArchiveExpiredOperator(task_id="archive", policies=POLICIES)
    archive >> ExpireArchivesOperator(task_id="expire", policies=POLICIES)
