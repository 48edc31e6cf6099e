"""Asks every connection the pipelines use how its store is, keeps the answers, and tells what changed.

**When**: every 5 minutes. **Who is hurt if it fails**: nobody yet; pipelines that use a broken connection wait for it.

**Triage**: the red task is named after its connection, its log says which server and why; the page "Connections" under
Browse shows since when. A red `tell` means an alert could not be stored or routed, its log says which.
**Rerun**: clear the task; it only asks, and a receiver knows a repeated alert by its id.
"""

from datetime import timedelta
from pathlib import Path

from airflow.sdk import DAG  # noqa: TID253  # a DAG file

from data_workbench.provider.housekeeping import HOUSEKEEPING
from data_workbench.provider.operators.housekeeping import (
    CheckConnectionOperator,
    DeliverAlertsOperator,
    ListConnectionsOperator,
)

with DAG(
    "check_connections",
    schedule="*/5 * * * *",
    dagrun_timeout=timedelta(hours=1),
    doc_md=__doc__,
    description="Asks every connection the pipelines use how its store is, and tells what changed",
    **HOUSEKEEPING,
) as dag:
    connections = ListConnectionsOperator(task_id="connections", folder=str(Path(__file__).parent / "pipelines"))
    check = CheckConnectionOperator.partial(task_id="check", map_index_template="{{ task.connection_id }}").expand(
        connection_id=connections.output
    )
    check >> DeliverAlertsOperator(task_id="tell", trigger_rule="all_done")
