"""The task that looks at watched streams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator  # noqa: TID253  # operators are classes of the SDK; a DAG file has it loaded

from data_workbench.provider.engine import open_metastore, translated

if TYPE_CHECKING:
    from airflow.sdk import Context


class WatchChangesOperator(BaseOperator):
    """Looks once at all that is watched. A second try goes on where the first was: nothing is lost or told twice.

    Args:
        file: the file of watches.
        pipelines: the folder of pipelines, whose contracts say which values are not kept.
    """

    def __init__(self, *, file: str, pipelines: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.file = file
        self.pipelines = pipelines

    def execute(self, context: Context) -> dict[str, Any]:  # noqa: ARG002  # Airflow's signature
        """What was found; fails where something cannot be watched, once all else was."""
        from dataclasses import replace
        from pathlib import Path

        from airflow.sdk.exceptions import AirflowException

        from data_workbench.pipelines.watch_files import watch_once
        from data_workbench.provider.connections import airflow_connections
        from data_workbench.provider.engine import task_settings

        settings = replace(task_settings(), watches=Path(self.file), pipelines=Path(self.pipelines))
        with translated(), open_metastore() as metastore:
            done = watch_once(metastore, airflow_connections(), settings)
        for address, count in done.found.items():
            self.log.info("%s: %s changes", address, count)
        if done.troubles:
            told = "; ".join(f"{address}: {trouble}" for address, trouble in done.troubles.items())
            raise AirflowException(f"not all is watched: {told}")
        return done.as_dict()
