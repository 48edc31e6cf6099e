"""Asks every connection the pipelines use whether its store answers.

**When**: every hour. **Who is hurt if it fails**: nobody yet; the pipelines that use the connection will be.

**Triage**: the red task is named after its connection, its log says which server and why; retries have passed by then.
**Rerun**: clear the task; it only asks.
"""

from datetime import timedelta
from pathlib import Path

from airflow.sdk import DAG  # noqa: TID253  # a DAG file

from data_workbench.provider.operators.housekeeping import CheckConnectionOperator, ListConnectionsOperator
from data_workbench.provider.retries import RETRIES
from data_workbench.provider.tags import Tag

with DAG(
    "check_connections",
    schedule="@hourly",
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=1),
    tags=[Tag.HOUSEKEEPING.value],
    default_args={"owner": "data-workbench", **RETRIES},
    doc_md=__doc__,
    description="Asks every connection the pipelines use whether its store answers",
) as dag:
    connections = ListConnectionsOperator(task_id="connections", folder=str(Path(__file__).parent / "pipelines"))
    CheckConnectionOperator.partial(task_id="check", map_index_template="{{ task.connection_id }}").expand(
        connection_id=connections.output
    )
