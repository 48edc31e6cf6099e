"""Removes staged files of runs that ended longer ago than WORKBENCH_ARTIFACT_RETENTION_DAYS, and the runs themselves
after WORKBENCH_RUN_HISTORY_DAYS.

**When**: every night at 02:30 UTC. **Who is hurt if it fails**: nobody at once; the disk of the artifact store fills
up, and runs are refused when it is nearly full.

**Triage**: the log names the store and why it refused. **Rerun**: clear the task; what is gone stays gone, files of
unfinished runs are never touched.
"""

from datetime import timedelta

from airflow.sdk import DAG  # noqa: TID253  # a DAG file

from data_workbench.provider.operators.housekeeping import CleanArtifactsOperator
from data_workbench.provider.retries import RETRIES
from data_workbench.provider.tags import Tag

with DAG(
    "clean_artifacts",
    schedule="30 2 * * *",
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=2),
    tags=[Tag.HOUSEKEEPING.value],
    default_args={"owner": "data-workbench", **RETRIES},
    doc_md=__doc__,
    description="Removes staged files and runs past their retention",
) as dag:
    CleanArtifactsOperator(task_id="clean")
