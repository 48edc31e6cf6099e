"""Backfills: asked of Airflow, told from the metastore."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from data_workbench.api.datamodels.backfills import BackfillBegun, BackfillIn, BackfillOut
from data_workbench.api.services.metastore import metastore
from data_workbench.metastore import backfills

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request

DAG: Final = "backfill__"


def begin(asked: BackfillIn, *, user: Any, request: Request) -> tuple[BackfillBegun, bool]:
    """Have Airflow run a backfill: what it is called, and whether it is new.

    Raises:
        HTTPException: 404, there is no such DAG; 400, the values do not fit; 409, the key was used for another request.
    """
    from airflow.api_fastapi.core_api.datamodels.dag_run import TriggerDAGRunPostBody
    from airflow.api_fastapi.core_api.routes.public.dag_run import trigger_dag_run
    from airflow.models import DagModel, DagRun
    from airflow.models.dagbag import DBDagBag
    from airflow.utils.session import create_session
    from fastapi import HTTPException, status

    dag_id, bag, conf = f"{DAG}{asked.pipeline}", DBDagBag(), asked.conf()
    with create_session() as session:
        dag = bag.get_latest_version_of_dag(dag_id, session=session)
        known = session.get(DagModel, dag_id)
        if dag is None or known is None:
            raise HTTPException(
                status.HTTP_404_NOT_FOUND, f"pipeline {asked.pipeline!r} has no partitions, or is not known"
            )
        unknown = sorted(set(conf) - set(dag.params))
        if unknown:
            raise HTTPException(status.HTTP_400_BAD_REQUEST, f"params: {asked.pipeline} takes no {unknown[0][:60]!r}")
        paused = bool(known.is_paused)
        found: Any = DagRun.find_duplicate(dag_id, asked.idempotency_key) if asked.idempotency_key else None
        if found is not None and dict(found.conf or {}) != conf:
            raise HTTPException(
                status.HTTP_409_CONFLICT, f"idempotency_key {asked.idempotency_key!r} was used for another request"
            )
        is_new = found is None
        if found is None:
            body = TriggerDAGRunPostBody(logical_date=None, dag_run_id=asked.idempotency_key, conf=conf)
            found = trigger_dag_run(dag_id, body, bag, user, session, request)
        run_id = str(found.run_id)
    return BackfillBegun(
        backfill=f"{asked.pipeline}__{run_id}", dag_id=dag_id, dag_run_id=run_id, paused=paused
    ), is_new


def told(backfill_id: str) -> BackfillOut | None:
    """One backfill, queued ones included; None if there is none."""
    with metastore() as store:
        found = backfills.find(store, backfill_id)
        parts = backfills.partitions(store, backfill_id) if found else []
    if found is not None:
        return BackfillOut.model_validate(backfills.document(found, parts))
    queued = next(_queued(backfill_id), None)
    if queued is None:
        return None
    pipeline, conf = queued
    return BackfillOut(
        backfill=backfill_id,
        pipeline=pipeline,
        state="queued",
        request=conf,
        parallel=int(conf.get("parallel", 1)),
        counts={},
        partitions=[],
    )


def _queued(backfill_id: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The DAG run of a backfill that has not begun. A pipeline's name may hold the separator, too."""
    from airflow.models import DagRun

    for at in range(len(backfill_id)):
        if backfill_id.startswith("__", at):
            pipeline = backfill_id[:at]
            found = DagRun.find_duplicate(f"{DAG}{pipeline}", backfill_id[at + 2 :])
            if found is not None:
                yield pipeline, dict(found.conf or {})


def latest(pipeline: str | None, limit: int) -> list[dict[str, Any]]:
    """The latest backfills, latest first, with their partitions."""
    with metastore() as store:
        found = backfills.list_backfills(store, pipeline=pipeline, limit=limit)
        return [backfills.document(one, backfills.partitions(store, one.id)) for one in found]


def listed(pipeline: str | None, limit: int) -> list[dict[str, Any]]:
    """The latest backfills, latest first, without their partitions."""
    with metastore() as store:
        found = backfills.list_backfills(store, pipeline=pipeline, limit=limit)
        counts = backfills.counts(store, [one.id for one in found])
    told = [{**backfills.document(one, []), "counts": counts[one.id]} for one in found]
    return [{name: value for name, value in one.items() if name != "partitions"} for one in told]
