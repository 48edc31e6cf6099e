"""Asking Airflow for a run of a DAG, as its own API does: same checks, same rights, same trail.

An API server runs no load itself: it has neither the workers' connections nor their memory, and is restarted at will.
See docs/decisions/0020-replay-from-the-ui.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
    from fastapi import Request

PIPELINE, BACKFILL = "pipeline__", "backfill__"


@dataclass(frozen=True)
class Triggered:
    """The DAG run that was asked for."""

    dag_id: str
    run_id: str
    is_paused: bool
    """The DAG is, so that the run waits."""
    is_new: bool


def trigger(
    dag_id: str,
    conf: Mapping[str, Any],
    *,
    user: BaseUser,
    request: Request,
    missing: str,
    run_id: str | None = None,
    note: str | None = None,
    repeats: bool = False,
) -> Triggered:
    """Ask for a run.

    Args:
        missing: what is said where there is no such DAG.
        run_id: what it is to be called; Airflow chooses if None.
        repeats: a run of this id with the same conf is what was asked for, and not made twice.

    Raises:
        HTTPException: 404, there is no such DAG; 400, it does not take this conf; 409, another run has the id.
    """
    from airflow.api_fastapi.core_api.datamodels.dag_run import TriggerDAGRunPostBody
    from airflow.api_fastapi.core_api.routes.public.dag_run import trigger_dag_run
    from airflow.models import DagModel, DagRun
    from airflow.models.dagbag import DBDagBag
    from airflow.utils.session import create_session
    from fastapi import HTTPException, status

    bag, given = DBDagBag(), dict(conf)
    with create_session() as session:
        dag, known = bag.get_latest_version_of_dag(dag_id, session=session), session.get(DagModel, dag_id)
        if dag is None or known is None:
            raise HTTPException(status.HTTP_404_NOT_FOUND, missing)
        unknown = sorted(set(given) - set(dag.params))
        if unknown:
            raise HTTPException(status.HTTP_400_BAD_REQUEST, f"params: {dag_id} takes no {unknown[0][:60]!r}")
        is_paused = bool(known.is_paused)
        found: Any = DagRun.find_duplicate(dag_id, run_id) if repeats and run_id else None
        if found is not None and dict(found.conf or {}) != given:
            raise HTTPException(
                status.HTTP_409_CONFLICT, f"idempotency_key {str(run_id)!r} was used for another request"
            )
        is_new = found is None
        if found is None:
            body = TriggerDAGRunPostBody(logical_date=None, dag_run_id=run_id, conf=given, note=note)
            found = trigger_dag_run(dag_id, body, bag, user, session, request)
        return Triggered(dag_id, str(found.run_id), is_paused, is_new)
