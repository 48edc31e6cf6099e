"""Asking Airflow for a run of a pipeline's DAG, as its own API does: same checks, same rights, same trail.

An API server runs no load itself: it has neither the workers' connections nor their memory, and is restarted at will.
See docs/decisions/0020-replay-from-the-ui.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
    from fastapi import Request

PIPELINE = "pipeline__"


def trigger(
    pipeline: str, conf: Mapping[str, Any], *, run_id: str, note: str | None, user: BaseUser, request: Request
) -> tuple[str, str, bool]:
    """Ask for a run: DAG, DAG run, and whether the DAG is paused, so that it waits.

    Raises:
        HTTPException: there is no such DAG, it does not take this conf, or the run is there already.
    """
    from airflow.api_fastapi.core_api.datamodels.dag_run import TriggerDAGRunPostBody
    from airflow.api_fastapi.core_api.routes.public.dag_run import trigger_dag_run
    from airflow.models.dag import DagModel
    from airflow.models.dagbag import DBDagBag
    from airflow.utils.session import create_session
    from sqlalchemy import select

    dag_id = f"{PIPELINE}{pipeline}"
    body = TriggerDAGRunPostBody(logical_date=None, dag_run_id=run_id, conf=dict(conf), note=note)
    with create_session() as session:
        trigger_dag_run(dag_id, body, DBDagBag(), user, session, request)
        is_paused = session.scalar(select(DagModel.is_paused).where(DagModel.dag_id == dag_id))
    return dag_id, run_id, bool(is_paused)
