"""Removes staged files of runs that ended longer ago than WORKBENCH_ARTIFACT_RETENTION_DAYS, and the runs themselves
after WORKBENCH_RUN_HISTORY_DAYS.

**When**: every night at 02:30 UTC. **Who is hurt if it fails**: nobody at once; the disk of the artifact store fills
up, and runs are refused when it is nearly full.

**Triage**: the log names the store and why it refused. **Rerun**: clear the task; what is gone stays gone, files of
unfinished runs are never touched.
"""

from datetime import timedelta

from airflow.sdk import DAG  # noqa: TID253  # a DAG file

from data_workbench.provider.housekeeping import HOUSEKEEPING
from data_workbench.provider.operators.housekeeping import CleanArtifactsOperator

with DAG(
    "clean_artifacts",
    schedule="30 2 * * *",
    dagrun_timeout=timedelta(hours=2),
    doc_md=__doc__,
    description="Removes staged files and runs past their retention",
    **HOUSEKEEPING,
) as dag:
    CleanArtifactsOperator(task_id="clean")
