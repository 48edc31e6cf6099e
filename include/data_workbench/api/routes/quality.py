"""`/data/quality`: datasets, checks, incidents, and what is unusual.

Who acknowledges or snoozes an incident, or calls a value expected, may trigger `check_quality`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Depends, HTTPException, Request, status

from data_workbench.api import access
from data_workbench.api.datamodels.quality import (
    AcknowledgeIn,
    AnomalyOut,
    ExpectIn,
    IncidentOut,
    QualityCheckOut,
    QualityOut,
    SnoozeIn,
)
from data_workbench.api.services import quality as service
from data_workbench.errors import UsageError

DAG = "check_quality"
"""Who may run it may answer for what it finds."""


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

    @found.get("/incidents")
    def incidents(everything: bool = False) -> list[IncidentOut]:  # of the query
        return service.incidents(is_open=not everything)

    @found.post("/incidents/{number}/acknowledge", dependencies=[Depends(access.from_here)])
    def acknowledge(number: int, body: AcknowledgeIn, user: GetUserDep, request: Request) -> IncidentOut:
        access.require_trigger(DAG, user)
        return _open(service.acknowledge(number, access.author(user, body.reason, request)), number)

    @found.post("/incidents/{number}/snooze", dependencies=[Depends(access.from_here)])
    def snooze(number: int, body: SnoozeIn, user: GetUserDep, request: Request) -> IncidentOut:
        access.require_trigger(DAG, user)
        until = datetime.now(UTC) + timedelta(hours=body.hours)
        return _open(service.snooze(number, access.author(user, body.reason, request), until), number)

    @found.get("/anomalies")
    def anomalies(dataset: str | None = None) -> list[AnomalyOut]:
        return service.unusual(dataset)

    @found.post("/anomalies/expected", dependencies=[Depends(access.from_here)])
    def expected(body: ExpectIn, user: GetUserDep, request: Request) -> AnomalyOut:
        access.require_trigger(DAG, user)
        told = service.expect(body, access.author(user, body.reason, request))
        if told is None:
            raise HTTPException(status.HTTP_404_NOT_FOUND, f"nothing unusual of {body.name} was measured then")
        return told

    return found


def _open(found: IncidentOut | None, number: int) -> IncidentOut:
    if found is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"there is no open incident {number}")
    return found
