"""The app that Airflow mounts under `/data`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastapi import APIRouter, FastAPI


class WorkbenchApp:
    """Builds the app on the first call: every task process loads the plugin, and few of them serve HTTP."""

    def __init__(self) -> None:
        self._app: FastAPI | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer by ASGI."""
        if self._app is None:
            self._app = workbench_app()
        await self._app(scope, receive, send)


def workbench_app() -> FastAPI:
    """The app itself; it offers no API description to anonymous callers."""
    from fastapi import Depends, FastAPI
    from fastapi.responses import JSONResponse

    from data_workbench.api import access
    from data_workbench.api.routes import backfills, health, lineage, metrics
    from data_workbench.errors import WorkbenchError

    app = FastAPI(title="Data Workbench", openapi_url=None, docs_url=None, redoc_url=None)
    app.include_router(health.router())
    app.include_router(metrics.router(), dependencies=[Depends(access.machine("metrics"))])
    app.include_router(backfills.router())  # asks for rights itself, as the next does
    app.include_router(lineage.receiver())
    for router in (*_operators_routes(), *_pages()):
        app.include_router(router, dependencies=[Depends(access.operator)])

    @app.exception_handler(WorkbenchError)
    def answer(request: Any, error: WorkbenchError) -> JSONResponse:  # noqa: ARG001  # FastAPI's signature
        # What reaches this is the metastore's trouble; routes answer their callers' mistakes themselves.
        return JSONResponse({"error": error.as_dict()}, status_code=503)

    return app


def _operators_routes() -> list[APIRouter]:
    """For programs with an operator's rights."""
    from data_workbench.api.routes import (
        archives,
        audit,
        backups,
        changes,
        connections,
        lineage,
        pipelines,
        quality,
        quarantine,
    )

    return [
        archives.router(),
        audit.router(),
        backups.router(),
        changes.router(),
        connections.router(),
        lineage.router(),
        pipelines.router(),
        quality.router(),
        quarantine.router(),
    ]


def _pages() -> list[APIRouter]:
    """For people with an operator's rights, in a browser."""
    from data_workbench.api.pages import (
        archives,
        audit,
        backups,
        connections,
        history,
        lineage,
        pipelines,
        quality,
        quarantine,
        script,
    )

    return [
        archives.router(),
        audit.router(),
        backups.router(),
        connections.router(),
        history.router(),
        lineage.router(),
        pipelines.router(),
        quality.router(),
        quarantine.router(),
        script.router(),
    ]
