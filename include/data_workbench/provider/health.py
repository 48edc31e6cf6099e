"""`/data/health`: the one address that answers anonymous callers, for load balancers and monitoring.

It says whether this Airflow's workbench can work, and nothing about where anything is: no host, no name, no message of
a server.
"""

from __future__ import annotations

import time
from importlib.metadata import version
from threading import Lock
from typing import TYPE_CHECKING, Any

from data_workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from fastapi import FastAPI

_FRESH_SECONDS = 5.0
"""Anonymous callers cannot make the metastore work harder than one question in this time."""


class MetastoreProbe:
    """Whether the metastore answers with a current schema; asked at most once in a while."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._asked = float("-inf")
        self._state = "unknown"

    def state(self) -> str:
        """`healthy`, `outdated` (run `workbench db upgrade`) or `unreachable`."""
        with self._lock:
            if time.monotonic() - self._asked > _FRESH_SECONDS:
                self._state = _ask()
                self._asked = time.monotonic()
            return self._state


def _ask() -> str:
    from data_workbench import settings as settings_module
    from data_workbench.connectors.connections import Connections, from_environment
    from data_workbench.connectors.metastore import open_metastore
    from data_workbench.errors import StateError

    try:
        # The API server has no task's access to Airflow's connections: the metastore's stands in the environment.
        with open_metastore(Connections(from_environment).get(settings_module.load().metastore)) as metastore:
            metastore.check()
    except StateError:
        return "outdated"
    except WorkbenchError:
        return "unreachable"
    return "healthy"


class HealthApp:
    """What is mounted under `/data`. Every task process loads the plugin, so FastAPI is imported on the first call."""

    def __init__(self) -> None:
        self._app: FastAPI | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer by ASGI."""
        if self._app is None:
            self._app = health_app()
        await self._app(scope, receive, send)


def health_app() -> FastAPI:
    """The app itself; it offers no API description to anonymous callers."""
    from fastapi import FastAPI
    from fastapi.responses import JSONResponse

    app = FastAPI(title="Data Workbench", openapi_url=None, docs_url=None, redoc_url=None)
    probe = MetastoreProbe()

    @app.get("/health")
    def health() -> Any:
        state = probe.state()
        body = {"status": state, "version": version("odras-data-workbench"), "metastore": {"status": state}}
        return JSONResponse(body, status_code=200 if state == "healthy" else 503)

    return app
