"""`GET /data/quality` and `GET /data/quality/checks`."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, status

from data_workbench.api.datamodels.quality import QualityCheckOut, QualityOut
from data_workbench.api.services import quality as service
from data_workbench.errors import UsageError


def router() -> APIRouter:
    """Who includes it says who may ask."""
    found = APIRouter(prefix="/quality")

    @found.get("")
    def quality() -> QualityOut:
        items, _, _ = service.overview()
        return QualityOut(datasets=items, total_entries=len(items))

    @found.get("/checks")
    def checks(dataset: str) -> list[QualityCheckOut]:
        try:
            return service.details(dataset).checks
        except UsageError as error:
            raise HTTPException(status.HTTP_404_NOT_FOUND, error.message) from None

    return found
