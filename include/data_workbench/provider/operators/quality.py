"""Tasks that hold data against its contracts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator  # noqa: TID253  # operators are classes of the SDK; a DAG file has it loaded

from data_workbench.provider.engine import open_metastore, task_settings, translated

if TYPE_CHECKING:
    from airflow.sdk import Context


class ListContractsOperator(BaseOperator):
    """Names the contract files of a folder: what `check_quality` maps over."""

    def __init__(self, *, folder: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.folder = folder

    def execute(self, context: Context) -> list[str]:  # noqa: ARG002  # Airflow's signature
        """Paths, by name; a broken file is told by its own task."""
        from dataclasses import replace
        from pathlib import Path

        from data_workbench.pipelines.contract_files import contract_files

        return [str(path) for path in contract_files(replace(task_settings(), contracts=Path(self.folder)))]


class QualityCheckOperator(BaseOperator):
    """Holds a dataset against a contract; fails where a check at level `fail` is broken or could not be evaluated.

    Safe to run twice: it only looks, and each time it looks goes into the history.

    Args:
        contract: a contract's file, its name, or a dataset as CONNECTION:STREAM.
        pipelines: the folder of the pipelines, whose contracts say what is not to be shown.
        fail: False only reports, so that what follows in a DAG is published all the same.
    """

    template_fields: Sequence[str] = ("contract",)

    def __init__(self, *, contract: str, pipelines: str | None = None, fail: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.contract = contract
        self.pipelines = pipelines
        self.fail = fail

    def execute(self, context: Context) -> dict[str, int]:  # noqa: ARG002  # Airflow's signature
        """How many checks had which outcome."""
        from collections import Counter

        from airflow.sdk.exceptions import AirflowFailException

        with translated():
            found = self._checked()
        broken = [one for one in found if one["level"] == "fail" and one["outcome"] in ("failed", "not_evaluated")]
        for one in found:
            self.log.info("%s: %s: %s %s", one["dataset"], one["name"], one["outcome"], one["reason"] or "")
        if broken and self.fail:
            told = "; ".join(f"{one['name']}: {one['reason'] or one['failing']}" for one in broken[:5])
            raise AirflowFailException(f"{len(broken)} checks of {self.contract} do not hold: {told}")
        return dict(Counter(one["outcome"] for one in found))

    def _checked(self) -> list[dict[str, Any]]:
        from dataclasses import replace
        from pathlib import Path

        from data_workbench.errors import UsageError
        from data_workbench.pipelines.contracts import Contracts
        from data_workbench.provider.alerting import route_names
        from data_workbench.provider.connections import airflow_connections
        from data_workbench.records.arrow import prepare_process

        prepare_process()
        settings = task_settings()
        if self.pipelines is not None:
            settings = replace(settings, pipelines=Path(self.pipelines))
        with open_metastore() as metastore:
            contracts = Contracts(settings, airflow_connections(), metastore, route_names(settings))
            chosen = contracts.find(self.contract)
            if not chosen:
                raise UsageError(f"there is no contract {self.contract!r}", hint="name a file of dags/contracts")
            return contracts.check(chosen)
