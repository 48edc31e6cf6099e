"""`GET /data/archives`."""

from __future__ import annotations

from fastapi import APIRouter

from data_workbench.api.datamodels.archives import ArchivesOut
from data_workbench.api.services import archives as service


def router() -> APIRouter:
    """Who includes it says who may ask."""
    found = APIRouter(prefix="/archives")

    @found.get("")
    def archives() -> ArchivesOut:
        return service.overview()

    return found
