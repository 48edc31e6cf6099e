"""The tasks of housekeeping DAGs, named by what they do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator  # noqa: TID253  # operators are classes of the SDK; a DAG file has it loaded

from data_workbench.provider.engine import open_metastore, translated

if TYPE_CHECKING:
    from airflow.sdk import Context


class ListConnectionsOperator(BaseOperator):
    """Names the connections the pipelines use, and the metastore's: what `check_connections` maps over."""

    def __init__(self, *, folder: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.folder = folder

    def execute(self, context: Context) -> list[str]:  # noqa: ARG002  # Airflow's signature
        """Connection ids, each once, in alphabetical order; a broken file is left to its own DAG."""
        from pathlib import Path

        from data_workbench import settings as settings_module
        from data_workbench.pipelines.used_connections import used_connections

        settings = settings_module.load()
        return sorted({settings.metastore} | used_connections(Path(self.folder), settings))


class CheckConnectionOperator(BaseOperator):
    """Examines the store behind a connection and keeps what it found; fails where the connection is broken."""

    template_fields: Sequence[str] = ("connection_id",)

    def __init__(self, *, connection_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.connection_id = connection_id

    def execute(self, context: Context) -> dict[str, Any]:  # noqa: ARG002  # Airflow's signature
        """The state and its cause; a broken one was asked several times, so no retry follows."""
        from airflow.sdk.exceptions import AirflowFailException

        from data_workbench import settings as settings_module
        from data_workbench.provider.connections import airflow_connections
        from data_workbench.provider.watching import look_at

        with translated(), open_metastore() as metastore:
            found = look_at(
                self.connection_id,
                find=airflow_connections().get,
                metastore=metastore,
                settings=settings_module.load(),
            )
        if found.state == "broken":
            raise AirflowFailException(f"connection {self.connection_id!r} is broken: {found.cause}")
        self.log.info("%s is %s: %s", self.connection_id, found.state, found.cause)
        return {"connection": found.connection, "state": found.state, "cause": found.cause, "version": found.version}


class DeliverAlertsOperator(BaseOperator):
    """Hands out stored alerts by webhook and notifier, and forgets checks past their time."""

    def execute(self, context: Context) -> dict[str, Any]:
        """How many were taken; one that was not is tried again by a later run."""
        from datetime import UTC, datetime, timedelta

        from data_workbench import settings as settings_module
        from data_workbench.metastore import connection_checks
        from data_workbench.notifications import deliver
        from data_workbench.provider.alerting import routes
        from data_workbench.provider.connections import airflow_connections

        settings = settings_module.load()
        with translated(), open_metastore() as metastore:
            told = deliver(metastore, routes(settings, airflow_connections(), context))
            connection_checks.expire(metastore, datetime.now(UTC) - timedelta(days=settings.check_history_days))
        self.log.info("%s alerts delivered, %s not taken", len(told.sent), len(told.failed))
        return {"sent": len(told.sent), "failed": len(told.failed)}


class DeliverLineageOperator(BaseOperator):
    """Hands out the lineage that runs of this worker left in their outbox, and removes what is past its time.

    Args:
        folder: of `pipelines` and `contracts`, which say who takes data beside pipelines; None tells nothing of that.
    """

    def __init__(self, *, folder: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.folder = folder

    def execute(self, context: Context) -> dict[str, Any]:  # noqa: ARG002  # Airflow's signature
        """How much was handed out; what a receiver does not take waits for a later run."""
        from dataclasses import replace
        from datetime import UTC, datetime, timedelta
        from pathlib import Path

        from data_workbench import settings as settings_module
        from data_workbench.lineage import deliver_outbox
        from data_workbench.metastore import lineage_retention
        from data_workbench.pipelines.consumer_lineage import tell_consumers
        from data_workbench.provider.connections import airflow_connections

        settings, removed = settings_module.load(), 0
        with translated(), open_metastore() as metastore:
            if self.folder is not None:
                place = Path(self.folder)
                site = replace(settings, pipelines=place / "pipelines", contracts=place / "contracts")
                tell_consumers(metastore, airflow_connections(), site)
            done = deliver_outbox(settings, metastore, airflow_connections())
            if settings.lineage_retention_days > 0:
                limit = datetime.now(UTC) - timedelta(days=settings.lineage_retention_days)
                removed = lineage_retention.expire(metastore, limit)
        self.log.info("%s events removed that were past their time", removed)
        self.log.info(
            "%s events delivered, %s files wait (%s)", done.sent, done.waiting, done.trouble or "nothing amiss"
        )
        return done.as_dict()


class CleanArtifactsOperator(BaseOperator):
    """Removes staged files of runs that ended longer ago than their retention, then the runs; running ones stay."""

    def execute(self, context: Context) -> dict[str, Any]:  # noqa: ARG002  # Airflow's signature
        """How much was removed."""
        from datetime import UTC, datetime

        from data_workbench import settings as settings_module
        from data_workbench.artifacts import ArtifactStore
        from data_workbench.pipelines.retention import expire

        settings = settings_module.load()
        with translated(), open_metastore() as metastore:
            expired = expire(metastore, ArtifactStore(settings), settings, now=datetime.now(UTC))
        names = [f"{run.pipeline}/{run.run_id}" for run in expired.files]
        self.log.info("staged files of %s runs removed\n%s", len(names), "\n".join(names))
        self.log.info("%s runs removed from the history", expired.runs)
        return {"removed": len(names), "runs": expired.runs}
