"""`GET /data/backups` and `GET /data/backups/{set}`."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, status

from data_workbench.api.datamodels.backups import BackupSetDetailOut, BackupsOut
from data_workbench.api.services import backups as service
from data_workbench.errors import StateError


def router() -> APIRouter:
    """Who includes it says who may ask."""
    found = APIRouter(prefix="/backups")

    @found.get("")
    def backups() -> BackupsOut:
        return service.overview()

    @found.get("/{set_id}")
    def details(set_id: str) -> BackupSetDetailOut:
        try:
            return service.details(set_id)
        except StateError as error:
            raise HTTPException(status.HTTP_404_NOT_FOUND, error.message) from None

    return found
