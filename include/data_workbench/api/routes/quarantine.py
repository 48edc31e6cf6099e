"""`/data/quarantine`: list and show; edit, discard and replay, which are POST, take JSON, and ask for more rights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Literal

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Depends, HTTPException, Query, Request, status

from data_workbench.api import access
from data_workbench.api.datamodels.quarantine import (
    DiscardedOut,
    DiscardIn,
    EditIn,
    RecordDetailsOut,
    RecordOut,
    RecordsOut,
    ReplayIn,
    ReplayOut,
)
from data_workbench.api.services import quarantine as service
from data_workbench.api.services import triggering
from data_workbench.errors import StateError, UsageError, WorkbenchError
from data_workbench.metastore.quarantine import QuarantineState

Id = Annotated[int, Query(ge=0, lt=2**63)]


def router() -> APIRouter:
    """Who includes it says who may look; who may change something is asked here."""
    found = APIRouter(prefix="/quarantine")
    changes = [Depends(access.from_here)]

    @found.get("")
    def records(
        pipeline: str | None = None,
        run_id: str | None = None,
        rule: str | None = None,
        state: QuarantineState | Literal["all"] = "open",
        limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
        after: Id = 0,
    ) -> RecordsOut:
        chosen = None if state == "all" else state
        return service.records(pipeline=pipeline, run_id=run_id, rule=rule, state=chosen, limit=limit, after=after)

    @found.get("/{record_id}")
    def record(record_id: int) -> RecordDetailsOut:
        with _missing():
            return service.record(record_id)

    @found.post("/{record_id}/edit", dependencies=changes)
    def edit(record_id: int, body: EditIn, user: GetUserDep, request: Request) -> RecordOut:
        with _missing():
            [pipeline] = service.pipelines_of([record_id]).values()
        access.require_trigger(f"{triggering.PIPELINE}{pipeline}", user)
        with _refused():
            return service.edit(record_id, body.set, access.author(user, body.reason, request))

    @found.post("/discard", dependencies=changes)
    def discard(body: DiscardIn, user: GetUserDep, request: Request) -> DiscardedOut:
        with _missing():
            pipelines = set(service.pipelines_of(body.records).values())
        for pipeline in sorted(pipelines):
            access.require_trigger(f"{triggering.PIPELINE}{pipeline}", user)
        return DiscardedOut(discarded=service.discard(body.records, access.author(user, body.reason, request)))

    @found.post("/replay", dependencies=changes, status_code=status.HTTP_202_ACCEPTED)
    def replay(body: ReplayIn, user: GetUserDep, request: Request) -> ReplayOut:
        access.require_trigger(f"{triggering.PIPELINE}{body.pipeline}", user)
        with _missing(), _refused():
            run_id = service.prepare_replay(body.pipeline, body.records, access.author(user, body.reason, request))
        found = triggering.trigger(
            f"{triggering.PIPELINE}{body.pipeline}",
            {"replay": body.records},
            user=user,
            request=request,
            missing=f"no DAG runs pipeline {body.pipeline!r}",
            run_id=run_id,
            note=body.reason,
        )
        return ReplayOut(dag_id=found.dag_id, dag_run_id=found.run_id, is_paused=found.is_paused)

    return found


@contextmanager
def _missing() -> Iterator[None]:
    try:
        yield
    except StateError as error:
        raise HTTPException(status.HTTP_404_NOT_FOUND, _told(error)) from None


@contextmanager
def _refused() -> Iterator[None]:
    """A caller's mistake is 400; a record that somebody was quicker with is 409."""
    try:
        yield
    except UsageError as error:
        raise HTTPException(status.HTTP_400_BAD_REQUEST, _told(error)) from None
    except StateError as error:
        raise HTTPException(status.HTTP_409_CONFLICT, _told(error)) from None


def _told(error: WorkbenchError) -> str:
    return f"{error.message} ({error.hint})" if error.hint else error.message
