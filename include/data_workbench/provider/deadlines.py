"""Deadlines of runs: Airflow watches the clock, the alert goes the way all alerts go.

Airflow's scheduler finds the run that is late, its triggerer calls `tell`, which stores one alert per run in the
metastore; `check_connections` hands it out. Parsed with every DAG file: nothing slow is imported here.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.sdk.definitions.deadline import DeadlineAlert

    from data_workbench.connectors.connections import Connection
    from data_workbench.language.spec import Pipeline

log = logging.getLogger(__name__)

TOPIC = "run.late"


def deadline_of(spec: Pipeline) -> DeadlineAlert | None:
    """Airflow's deadline of a pipeline's runs, counted from the moment a run was asked for or its time came."""
    if spec.deadline is None:
        return None
    from airflow.sdk.definitions.callback import AsyncCallback
    from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference

    seconds = spec.deadline.total_seconds()
    return DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=spec.deadline,
        callback=AsyncCallback(tell, kwargs={"pipeline": spec.pipeline, "seconds": seconds}),
    )


async def tell(*, pipeline: str, seconds: float, context: dict[str, Any]) -> str:
    """Store the alert that a run is late; what could not be stored is logged, and seen as the run's own trouble."""
    from data_workbench import settings as settings_module
    from data_workbench.provider.triggers import find_connection

    found = await find_connection(settings_module.load().metastore)
    told = await asyncio.to_thread(_store, pipeline, seconds, context["dag_run"], found)
    log.warning("pipeline %s: %s", pipeline, told)
    return told


def _store(pipeline: str, seconds: float, dag_run: dict[str, Any], found: Connection | None) -> str:
    from data_workbench import settings as settings_module
    from data_workbench.connectors.metastore import open_metastore
    from data_workbench.metastore import alerts
    from data_workbench.provider.alerting import route_names
    from data_workbench.provider.engine import workbench_run_id
    from data_workbench.provider.triggers import connections_of

    settings = settings_module.load()
    run_id = workbench_run_id(pipeline, str(dag_run["dag_run_id"]))
    title = f"run {run_id} of pipeline {pipeline} has not ended {_words(seconds)} after it was asked for"
    alert = alerts.Alert(
        id=alerts.id_of(TOPIC, run_id),
        topic=TOPIC,
        subject=f"pipeline:{pipeline}",
        severity="warning",
        title=title,
        detail={"pipeline": pipeline, "run_id": run_id, "state": dag_run["state"], "deadline_seconds": seconds},
    )
    with (
        open_metastore(connections_of({settings.metastore: found}).get(settings.metastore)) as metastore,
        metastore.transaction() as connection,
    ):
        alerts.add_once(connection, alert, route_names(settings))
    return title


def _words(seconds: float) -> str:
    return f"{seconds / 60:g} min" if seconds >= 60 else f"{seconds:g} s"
