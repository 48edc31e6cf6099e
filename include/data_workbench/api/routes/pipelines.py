"""`GET /data/pipelines`, `GET /data/pipelines/{name}/runs` and `GET /data/runs/{run_id}`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, status

from data_workbench.api.datamodels.pipelines import PipelinesOut, RunDetailsOut, RunOut
from data_workbench.api.services import pipelines as service
from data_workbench.errors import UsageError


def router() -> APIRouter:
    """Who includes it says who may ask."""
    found = APIRouter()

    @found.get("/pipelines")
    def pipelines() -> PipelinesOut:
        items = [one for one, _ in service.overview(1)]
        return PipelinesOut(pipelines=items, total_entries=len(items))

    @found.get("/pipelines/{name}/runs")
    def runs(name: str, limit: Annotated[int, Query(ge=1, le=1_000)] = 100) -> list[RunOut]:
        try:
            return service.history(name, limit)[0]
        except UsageError as error:
            raise _missing(error) from None

    @found.get("/runs/{run_id}")
    def run(run_id: str) -> RunDetailsOut:
        try:
            return service.details(run_id)[0]
        except UsageError as error:
            raise _missing(error) from None

    return found


def _missing(error: UsageError) -> HTTPException:
    return HTTPException(status.HTTP_404_NOT_FOUND, error.message)
