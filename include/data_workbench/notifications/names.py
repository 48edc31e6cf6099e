"""The routes that the settings name, without opening any of them: an alert is stored for each by its name."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from data_workbench.errors import UsageError

if TYPE_CHECKING:
    from data_workbench.settings import Settings


def route_names(settings: Settings) -> list[str]:
    """The names an alert's deliveries are stored under; needs no connection."""
    return [*route_ids(settings), *(f"notifier:{path}" for path, _ in notifiers(settings))]


def route_ids(settings: Settings) -> list[str]:
    """The connections that are routes."""
    return [name.strip() for name in settings.alert_routes.split(",") if name.strip()]


def notifiers(settings: Settings) -> list[tuple[str, dict[str, Any]]]:
    """Airflow's notifiers, each with its arguments."""
    if not settings.alert_notifiers:
        return []
    form = '[{"notifier": "package.module.Class", "arguments": {…}}]'
    try:
        entries = json.loads(settings.alert_notifiers)
        return [(str(entry["notifier"]), dict(entry.get("arguments") or {})) for entry in entries]
    except (ValueError, TypeError, KeyError, AttributeError):
        # The arguments may hold a secret: the value is not repeated.
        raise UsageError("WORKBENCH_ALERT_NOTIFIERS is not the JSON it should be", hint=f"write {form}") from None
