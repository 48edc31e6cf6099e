"""Reads every archive and checks signature, hashes, rows and content, and that nothing is lost or foreign: the scrub.

**When**: Sundays at 05:00 UTC. **Who is hurt if it fails**: whoever needs a row of that archive back.

**Triage**: the log names each archive and what is wrong with it. Bring its folder back from a copy; "nobody
knows of it" is a folder that somebody put there. **Rerun**: clear the task; it only reads.
"""

from datetime import timedelta

from airflow.sdk import DAG  # noqa: TID253  # a DAG file

from data_workbench.provider.housekeeping import HOUSEKEEPING
from data_workbench.provider.operators.archives import CheckArchivesOperator

with DAG(
    "verify_archives",
    schedule="0 5 * * 0",
    dagrun_timeout=timedelta(hours=12),
    doc_md=__doc__,
    description="Checks every archive",
    **HOUSEKEEPING,
) as dag:
    CheckArchivesOperator(task_id="check")
