"""The app that Airflow mounts under `/data`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastapi import FastAPI


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
    from data_workbench.api.pages import archives as archives_page
    from data_workbench.api.pages import audit as audit_page
    from data_workbench.api.pages import backups as backups_page
    from data_workbench.api.pages import connections as connections_page
    from data_workbench.api.pages import history as history_page
    from data_workbench.api.pages import lineage as lineage_page
    from data_workbench.api.pages import pipelines as pipelines_page
    from data_workbench.api.pages import quality as quality_page
    from data_workbench.api.pages import quarantine as quarantine_page
    from data_workbench.api.pages import script
    from data_workbench.api.routes import (
        archives,
        audit,
        backfills,
        backups,
        changes,
        connections,
        health,
        lineage,
        metrics,
        pipelines,
        quality,
        quarantine,
    )
    from data_workbench.errors import WorkbenchError

    app = FastAPI(title="Data Workbench", openapi_url=None, docs_url=None, redoc_url=None)
    app.include_router(health.router())
    app.include_router(metrics.router(), dependencies=[Depends(access.machine("metrics"))])
    operators = [Depends(access.operator)]
    app.include_router(connections.router(), dependencies=operators)
    app.include_router(connections_page.router(), dependencies=operators)
    app.include_router(archives.router(), dependencies=operators)
    app.include_router(archives_page.router(), dependencies=operators)
    app.include_router(backups.router(), dependencies=operators)
    app.include_router(backups_page.router(), dependencies=operators)
    app.include_router(pipelines.router(), dependencies=operators)
    app.include_router(pipelines_page.router(), dependencies=operators)
    app.include_router(backfills.router())
    app.include_router(changes.router(), dependencies=operators)
    app.include_router(lineage.receiver())
    app.include_router(lineage.router(), dependencies=operators)
    app.include_router(lineage_page.router(), dependencies=operators)
    app.include_router(quarantine.router(), dependencies=operators)
    app.include_router(quarantine_page.router(), dependencies=operators)
    app.include_router(quality.router(), dependencies=operators)
    app.include_router(quality_page.router(), dependencies=operators)
    app.include_router(history_page.router(), dependencies=operators)
    app.include_router(audit.router(), dependencies=operators)
    app.include_router(audit_page.router(), dependencies=operators)
    app.include_router(script.router(), dependencies=operators)

    @app.exception_handler(WorkbenchError)
    def answer(request: Any, error: WorkbenchError) -> JSONResponse:  # noqa: ARG001  # FastAPI's signature
        # What reaches this is the metastore's trouble; routes answer their callers' mistakes themselves.
        return JSONResponse({"error": error.as_dict()}, status_code=503)

    return app
