"""Whether an API answers, and whether it knows us."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from data_workbench.connectors.base import Health
from data_workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from data_workbench.connectors.http.config import HttpConfig


def check(config: HttpConfig, ask: Callable[[], Any], *, tolerates: tuple[type[WorkbenchError], ...] = ()) -> Health:
    """Ask once, with the client's patience.

    Args:
        tolerates: errors that are an answer, too: of a base URL where nothing stands.
    """
    plain = ", credentials over plain HTTP" if config.is_exposed else ""
    way = f"{config.url} by {config.way}{plain}" if config.way != "none" else config.url
    try:
        ask()
    except WorkbenchError as error:
        if type(error) in tolerates:
            return Health(ok=True, detail=f"{way}: answers, without JSON at its base")
        return Health(ok=False, detail=error.message)
    return Health(ok=True, detail=way)
