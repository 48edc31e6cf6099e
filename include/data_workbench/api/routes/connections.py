"""`GET /data/connections` and `GET /data/connections/{name}/checks`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, status

from data_workbench.api.datamodels.connections import ConnectionsOut, HistoryOut
from data_workbench.api.services import connections as service
from data_workbench.errors import ConnectionUnknown


def router() -> APIRouter:
    """Who includes it says who may ask."""
    found = APIRouter(prefix="/connections")

    @found.get("")
    def connections() -> ConnectionsOut:
        items = service.overview()
        return ConnectionsOut(connections=items, total_entries=len(items))

    @found.get("/{name}/checks")
    def checks(name: str, limit: Annotated[int, Query(ge=1, le=10_000)] = 288) -> HistoryOut:
        try:
            return service.history(name, limit)
        except ConnectionUnknown as error:
            raise HTTPException(status.HTTP_404_NOT_FOUND, error.message) from None

    return found
