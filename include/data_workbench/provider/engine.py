"""The engine inside a task: settings, connections and the metastore, opened when a task runs, never at parse time."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from data_workbench import settings as settings_module
from data_workbench.errors import FatalError, WorkbenchError
from data_workbench.provider.connections import airflow_connections

if TYPE_CHECKING:
    from airflow.sdk import Context

    from data_workbench.metastore import Metastore
    from data_workbench.metastore.audit import Author
    from data_workbench.pipelines.run import Runner
    from data_workbench.settings import Settings

_UNUSUAL = re.compile(r"[^A-Za-z0-9_.:+@=-]")
_LONGEST = 180


@contextmanager
def open_metastore() -> Iterator[Metastore]:
    """The metastore, checked: it answers and its schema is current."""
    from data_workbench.connectors.metastore import open_metastore as opened

    settings = settings_module.load()
    with opened(airflow_connections().get(settings.metastore)) as metastore:
        metastore.check()
        yield metastore


@contextmanager
def open_runner() -> Iterator[Runner]:
    """A runner over the connections Airflow knows; a task without a slot of a connection is deferred, not kept."""
    from data_workbench.records.arrow import prepare_process

    prepare_process()
    from data_workbench.pipelines.run import Runner

    with open_metastore() as metastore:
        engine = Runner(settings=task_settings(), connections=airflow_connections(), metastore=metastore, waits=False)
        try:
            yield engine
        finally:
            engine.deliver_lineage()


def author_of(context: Context) -> Author:
    """Who triggered a DAG run, for the audit trail; Airflow itself where nobody did."""
    from data_workbench.metastore.audit import Author

    dag_run = context["dag_run"]
    reason = f"{dag_run.run_type} run {dag_run.run_id} of {dag_run.dag_id}"
    return Author(dag_run.triggering_user_name or "airflow", "airflow", reason)


def task_settings() -> Settings:
    """Settings of a task: `file:` connections reach listed folders only, by default the workbench's own."""
    settings = settings_module.load()
    return settings if settings.file_roots else replace(settings, file_roots=str(settings.home.absolute() / "files"))


def workbench_run_id(pipeline: str, dag_run_id: str) -> str:
    """The run's id in the metastore: DAG run ids repeat between pipelines, and may hold characters files may not."""
    run_id = f"{pipeline}__{dag_run_id}"
    if _UNUSUAL.search(run_id) or len(run_id) > _LONGEST:
        digest = hashlib.sha256(run_id.encode()).hexdigest()[:12]
        run_id = f"{_UNUSUAL.sub('-', run_id)[: _LONGEST - 13]}-{digest}"
    return run_id


@contextmanager
def translated() -> Iterator[None]:
    """Errors as Airflow acts on them: fatal fails the task now, anything else rises and is retried with back-off."""
    from airflow.sdk.exceptions import AirflowFailException

    try:
        yield
    except FatalError as error:
        raise AirflowFailException(told(error)) from error


def told(error: WorkbenchError) -> str:
    """Kind, message and next step in one text."""
    hint = f" | next: {error.hint}" if error.hint else ""
    return f"{error.kind}: {error.message}{hint}"
