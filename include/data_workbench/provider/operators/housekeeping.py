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
        from data_workbench.errors import WorkbenchError
        from data_workbench.pipelines.definition import load_definition

        settings = settings_module.load()
        found = {settings.metastore}
        for path in sorted(Path(self.folder).glob("*.y*ml")):
            try:
                spec = load_definition(path, settings=settings).spec
            except WorkbenchError as error:
                self.log.warning("left out: %s", error)
                continue
            found |= {source.connection for source in spec.sources.values()}
            found |= {destination.connection for destination in spec.destinations.values()}
        return sorted(found)


class CheckConnectionOperator(BaseOperator):
    """Asks the store behind a connection whether it answers."""

    template_fields: Sequence[str] = ("connection_id",)

    def __init__(self, *, connection_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.connection_id = connection_id

    def execute(self, context: Context) -> dict[str, Any]:  # noqa: ARG002  # Airflow's signature
        """What the store said; a store that is away is asked again by the retries."""
        from data_workbench import settings as settings_module
        from data_workbench.connectors.registry import open_source
        from data_workbench.errors import StoreUnavailable
        from data_workbench.provider.connections import airflow_connections

        with translated():
            connection = airflow_connections().get(self.connection_id)
            with open_source(connection, settings_module.load()) as source:
                health = source.check()
            if not health.ok:
                raise StoreUnavailable(f"connection {self.connection_id!r}: {health.detail}")
        self.log.info("%s: %s", self.connection_id, health.detail)
        return {"connection": self.connection_id, "detail": health.detail, "version": health.version}


class CleanArtifactsOperator(BaseOperator):
    """Removes staged files of runs that ended longer ago than the retention; those of running ones stay."""

    def execute(self, context: Context) -> dict[str, Any]:  # noqa: ARG002  # Airflow's signature
        """How much was removed."""
        from datetime import UTC, datetime

        from data_workbench import settings as settings_module
        from data_workbench.artifacts import ArtifactStore, StoredRun
        from data_workbench.metastore import runs

        with translated(), open_metastore() as metastore:
            now = datetime.now(UTC)
            finished = {StoredRun(*key): ended for key, ended in runs.finished_before(metastore, now).items()}
            removed = ArtifactStore(settings_module.load()).clean(finished, now=now)
        names = [f"{run.pipeline}/{run.run_id}" for run in removed]
        self.log.info("staged files of %s runs removed\n%s", len(names), "\n".join(names))
        return {"removed": len(names)}
