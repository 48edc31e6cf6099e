"""Makes one archive of the small ones of a partition, by every policy in `dags/archives` that says `compact: true`.

**When**: Saturdays at 05:00 UTC, after the night's archiving and a day before all archives are verified. **Who is hurt
if it fails**: nobody at once; look-ups open more files than they need to.

**Triage**: the log names the policy, what refused, and the next step; the other policies were compacted. `StoreBusy` is
archiving that is still at work. **Rerun**: clear the task: what is one already stays as it is, and each row is live in
one archive at every moment.
"""

from datetime import timedelta
from pathlib import Path

from airflow.sdk import DAG  # noqa: TID253  # a DAG file

from data_workbench.provider.housekeeping import HOUSEKEEPING
from data_workbench.provider.operators.archives import CompactArchivesOperator

with DAG(
    "compact_archives",
    schedule="0 5 * * 6",
    dagrun_timeout=timedelta(hours=12),
    doc_md=__doc__,
    description="Makes one of a partition's small archives, where a policy wants it",
    **HOUSEKEEPING,
) as dag:
    CompactArchivesOperator(task_id="compact", policies=str(Path(__file__).parent / "archives"))
