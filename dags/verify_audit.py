"""Verifies the audit trail against the heads signed so far, and signs its newest entry.

**When**: every hour, at 25 past. **Who is hurt if it fails**: whoever has to show what was done: the log names the
first entry that was edited, removed, put in or moved.

**Triage**: `workbench audit verify` lists all entries concerned. `cut` after a restore of the metastore is true: begin
a new file of heads and keep the old one with the reason. **Rerun**: clear the task; it signs another head.
"""

from datetime import timedelta

from airflow.sdk import DAG  # noqa: TID253  # a DAG file

from data_workbench.provider.housekeeping import HOUSEKEEPING
from data_workbench.provider.operators.audit import VerifyAuditOperator

with DAG(
    "verify_audit",
    schedule="25 * * * *",
    dagrun_timeout=timedelta(hours=1),
    doc_md=__doc__,
    description="Verifies and signs the audit trail",
    **HOUSEKEEPING,
) as dag:
    VerifyAuditOperator(task_id="verify")
