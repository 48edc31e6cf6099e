"""Backfills: asked of Airflow, told from the metastore."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from data_workbench.api.datamodels.backfills import BackfillBegun, BackfillIn, BackfillOut
from data_workbench.api.services import triggering
from data_workbench.api.services.metastore import metastore
from data_workbench.metastore import backfills

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request


def begin(asked: BackfillIn, *, user: Any, request: Request) -> tuple[BackfillBegun, bool]:
    """Have Airflow run a backfill: what it is called, and whether it is new.

    Raises:
        HTTPException: 404, there is no such DAG; 400, the values do not fit; 409, the key was used for another request.
    """
    found = triggering.trigger(
        f"{triggering.BACKFILL}{asked.pipeline}",
        asked.conf(),
        user=user,
        request=request,
        missing=f"pipeline {asked.pipeline!r} has no partitions, or is not known",
        run_id=asked.idempotency_key,
        repeats=True,
    )
    begun = BackfillBegun(
        backfill=f"{asked.pipeline}__{found.run_id}",
        dag_id=found.dag_id,
        dag_run_id=found.run_id,
        paused=found.is_paused,
    )
    return begun, found.is_new


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
            found = DagRun.find_duplicate(f"{triggering.BACKFILL}{pipeline}", backfill_id[at + 2 :])
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
