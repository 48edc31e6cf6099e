"""Reads every archive and checks signature, hashes, rows and content, and that nothing is lost or foreign: the scrub.

**When**: Sundays at 05:00 UTC. **Who is hurt if it fails**: whoever needs a row of that archive back.

**Triage**: the log names each archive and what is wrong with it. Bring its folder back from a copy; "nobody
knows of it" is a folder that somebody put there. **Rerun**: clear the task; it only reads.
"""

from datetime import timedelta

from airflow.sdk import DAG  # noqa: TID253  # a DAG file

from data_workbench.provider.operators.archives import CheckArchivesOperator
from data_workbench.provider.retries import RETRIES
from data_workbench.provider.tags import Tag

with DAG(
    "verify_archives",
    schedule="0 5 * * 0",
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=12),
    tags=[Tag.HOUSEKEEPING.value],
    default_args={"owner": "data-workbench", **RETRIES},
    doc_md=__doc__,
    description="Checks every archive",
) as dag:
    CheckArchivesOperator(task_id="check")
