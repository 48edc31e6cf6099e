"""Holds every dataset that has a contract of its own, in `dags/contracts`, against it.

**When**: every hour at a quarter past. **Who is hurt if it fails**: whoever relies on the dataset; its contract names
the owner.

**Triage**: the red task is named after its contract, its log says which checks do not hold; failing rows and how to
find the rest: `workbench check CONTRACT`. `not_evaluated` means that a store did not answer: see the page "Connections"
under Browse. **Rerun**: clear the task; it only looks, and each time it looks goes into the history.
"""

from datetime import timedelta
from pathlib import Path

from airflow.sdk import DAG  # noqa: TID253  # a DAG file

from data_workbench.provider.housekeeping import HOUSEKEEPING
from data_workbench.provider.operators.housekeeping import DeliverAlertsOperator
from data_workbench.provider.operators.quality import ListContractsOperator, QualityCheckOperator

FOLDER = Path(__file__).parent

with DAG(
    "check_quality",
    schedule="15 * * * *",
    dagrun_timeout=timedelta(hours=2),
    doc_md=__doc__,
    description="Holds datasets against their contracts",
    **HOUSEKEEPING,
) as dag:
    contracts = ListContractsOperator(task_id="contracts", folder=str(FOLDER / "contracts"))
    check = QualityCheckOperator.partial(
        task_id="check",
        pipelines=str(FOLDER / "pipelines"),
        map_index_template="{{ task.contract.rpartition('/')[2].rpartition('.')[0] }}",
    ).expand(contract=contracts.output)
    check >> DeliverAlertsOperator(task_id="tell", trigger_rule="all_done")
