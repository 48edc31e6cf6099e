"""`/data/audit`: who did what, when and why; whether that is whole; an export with its proof."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query, status
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask

from data_workbench.api import access
from data_workbench.api.services import airflow_log
from data_workbench.api.services import audit as service
from data_workbench.errors import AccessDenied, StateError, UsageError, WorkbenchError

Text = Annotated[str | None, Query(max_length=1_000)]


def router() -> APIRouter:
    """Who includes it says who may look; nothing here changes an entry."""
    found = APIRouter(prefix="/audit")

    @found.get("")
    def entries(
        since: Text = None,
        until: Text = None,
        action: Text = None,
        object: Text = None,  # noqa: A002  # the field's name
        actor: Text = None,
        origin: Text = None,
        run_id: Text = None,
        before: Annotated[int | None, Query(ge=1, lt=2**63)] = None,
        limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
    ) -> dict[str, Any]:
        with _answered():
            search = service.search_of(
                since=since,
                until=until,
                action=action,
                object=object,
                actor=actor,
                origin=origin,
                run_id=run_id,
                before=before,
            )
            trail = service.listed(search, limit)
        return {"entries": [one.told() for one in trail.entries], "total_entries": trail.count}

    @found.get("/verify")
    def verify() -> dict[str, Any]:
        with _answered():
            return service.verified().as_dict()

    @found.get("/export")
    def export() -> FileResponse:
        with _answered():
            place = service.exported()
        clean = BackgroundTask(shutil.rmtree, place.parent, ignore_errors=True)
        headers = {"cache-control": "no-store"}
        return FileResponse(place, filename=place.name, media_type="application/zip", headers=headers, background=clean)

    @found.post("/airflow", dependencies=[Depends(access.from_here)])
    def airflow() -> dict[str, int]:
        return {"taken": airflow_log.take_over()}

    return found


@contextmanager
def _answered() -> Iterator[None]:
    """A caller's mistake is 400; what the state of things does not allow is 409."""
    try:
        yield
    except UsageError as error:
        raise HTTPException(status.HTTP_400_BAD_REQUEST, _told(error)) from None
    except (StateError, AccessDenied) as error:
        raise HTTPException(status.HTTP_409_CONFLICT, _told(error)) from None


def _told(error: WorkbenchError) -> str:
    return f"{error.message} ({error.hint})" if error.hint else error.message
