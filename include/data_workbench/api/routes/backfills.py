"""`POST /data/backfills`, `GET /data/backfills` and `GET /data/backfills/{id}`."""

from __future__ import annotations

from typing import Annotated, Any

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response, status

from data_workbench.api import access
from data_workbench.api.datamodels.backfills import BackfillBegun, BackfillIn, BackfillOut
from data_workbench.api.services import backfills as service
from data_workbench.api.services import triggering


def router() -> APIRouter:
    """Whoever may trigger the backfill's DAG may begin one; operators may look."""
    found = APIRouter(prefix="/backfills")

    @found.post("", status_code=status.HTTP_201_CREATED, dependencies=[Depends(access.from_here)])
    def begin(asked: BackfillIn, user: GetUserDep, request: Request, response: Response) -> BackfillBegun:
        access.require_trigger(f"{triggering.BACKFILL}{asked.pipeline}", user)
        begun, is_new = service.begin(asked, user=user, request=request)
        if not is_new:
            response.status_code = status.HTTP_200_OK
        return begun

    @found.get("", dependencies=[Depends(access.operator)])
    def backfills(
        pipeline: str | None = None, limit: Annotated[int, Query(ge=1, le=1_000)] = 100
    ) -> dict[str, list[dict[str, Any]]]:
        return {"backfills": service.listed(pipeline, limit)}

    @found.get("/{backfill_id}", dependencies=[Depends(access.operator)])
    def backfill(backfill_id: str) -> BackfillOut:
        known = service.told(backfill_id)
        if known is None:
            raise HTTPException(status.HTTP_404_NOT_FOUND, f"no backfill {backfill_id[:200]!r} is known")
        return known

    return found
