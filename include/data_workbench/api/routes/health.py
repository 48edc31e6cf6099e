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
    from fastapi import APIRouter

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
    from data_workbench.api.services.metastore import metastore
    from data_workbench.errors import StateError

    try:
        with metastore():
            return "healthy"
    except StateError:
        return "outdated"
    except WorkbenchError:
        return "unreachable"


def router() -> APIRouter:
    """The route; what it says of the metastore is a few seconds old at most."""
    from fastapi import APIRouter
    from fastapi.responses import JSONResponse

    found, probe = APIRouter(), MetastoreProbe()

    @found.get("/health")
    def health() -> Any:
        state = probe.state()
        body = {"status": state, "version": version("odras-data-workbench"), "metastore": {"status": state}}
        return JSONResponse(body, status_code=200 if state == "healthy" else 503)

    return found
