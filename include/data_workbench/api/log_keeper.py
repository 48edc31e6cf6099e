"""Takes over Airflow's event log and its assets while its API server runs, so that nobody has to remember to.

A middleware, as that is what a plugin may add to the server as a whole: it passes on every request untouched, and
begins and ends its thread with the server. Several workers, or servers, may do so at once: each entry is taken over
once.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, MutableMapping

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

log = logging.getLogger(__name__)


def _take_over() -> int:
    from data_workbench.api.services import airflow_assets, airflow_log

    return airflow_log.take_over() + airflow_assets.take_over()


def _set_seconds() -> float:
    """As the settings say; settings that cannot be read keep nobody from serving."""
    from data_workbench import settings
    from data_workbench.errors import WorkbenchError

    try:
        return settings.load().audit_airflow_seconds
    except WorkbenchError as error:
        log.warning("Airflow's event log and assets are not taken over into the metastore: %s", error.message)
        return 0.0


class LogKeeper:
    """ASGI middleware around Airflow's server.

    Args:
        seconds: between two looks; 0: none. WORKBENCH_AUDIT_AIRFLOW_SECONDS without it.
    """

    def __init__(self, app: App, *, seconds: float | None = None, take_over: Callable[[], int] = _take_over) -> None:
        self._app, self._seconds, self._take_over = app, seconds, take_over
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._said: str | None = None

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Pass it on; of the server's life take note."""
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return
        self._begin()
        try:
            await self._app(scope, receive, send)
        finally:
            self._stopped.set()

    def _begin(self) -> None:
        if self._seconds is None:
            self._seconds = _set_seconds()
        if self._seconds > 0:
            self._thread = threading.Thread(target=self._work, name="audit-airflow-log", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        assert self._seconds is not None
        while not self._stopped.wait(self._seconds):
            self._look()

    def _look(self) -> None:
        """Once; what is amiss is said when it is new, and tried again."""
        try:
            self._take_over()
        except Exception as error:  # the server serves on, whatever ails the metastore
            said = f"{type(error).__name__}: {error}"
            if said != self._said:
                log.warning("Airflow's event log, or its assets, wait to be taken over into the metastore: %s", said)
            self._said = said
        else:
            self._said = None
