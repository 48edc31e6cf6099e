"""Who is told: the webhook connections and Airflow notifiers that the settings name, as routes of `notifications`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from data_workbench.errors import RetriableError, UsageError, WorkbenchError
from data_workbench.notifications.webhook import WebhookRoute, document

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connection, Connections
    from data_workbench.metastore.alerts import Alert
    from data_workbench.notifications import Route
    from data_workbench.settings import Settings

WEBHOOK = "workbench_webhook"


def route_names(settings: Settings) -> list[str]:
    """The names an alert's deliveries are stored under; needs no connection."""
    return [*_webhook_ids(settings), *(f"notifier:{path}" for path, _ in _notifiers(settings))]


def routes(settings: Settings, connections: Connections, context: Mapping[str, Any] | None) -> dict[str, Route]:
    """The routes by name; notifiers work inside a task only, where there is a context.

    Raises:
        WorkbenchError: a connection is not known or is no webhook, a notifier is none.
    """
    found: dict[str, Route] = {name: webhook_route(connections.get(name)) for name in _webhook_ids(settings)}
    if context is not None:
        for path, arguments in _notifiers(settings):
            found[f"notifier:{path}"] = NotifierRoute(path, arguments, context)
    return found


def webhook_route(connection: Connection) -> WebhookRoute:
    """The route of a `workbench_webhook` connection: its host is the URL, its password the secret that signs."""
    if connection.kind != WEBHOOK:
        raise UsageError(
            f"connection {connection.id!r}, named by WORKBENCH_ALERT_ROUTES, is of type {connection.kind!r}",
            hint=f"name connections of type {WEBHOOK}",
        )
    return WebhookRoute(connection.id, connection.host or "", connection.secret)


class NotifierRoute:
    """One of Airflow's notifiers; its templates see the alert as `alert` beside the task's own context."""

    def __init__(self, path: str, arguments: Mapping[str, Any], context: Mapping[str, Any]) -> None:
        self._path, self._arguments, self._context = path, arguments, context

    def send(self, alert: Alert) -> None:
        """Notify. A notifier of any kind may raise anything: the alert is tried again later."""
        context = {**self._context, "alert": document(alert)}
        try:
            notifier = _notifier_class(self._path)(**self._arguments)
            notifier.render_template_fields(context)
            # Not by calling it: that logs what fails and says nothing.
            notifier.notify(context)
        except WorkbenchError:
            raise
        except Exception as error:  # what a foreign notifier raises is not ours to know
            raise RetriableError(
                f"notifier {self._path} failed ({type(error).__name__})", hint="see the task's log"
            ) from error


def _webhook_ids(settings: Settings) -> list[str]:
    return [name.strip() for name in settings.alert_routes.split(",") if name.strip()]


def _notifiers(settings: Settings) -> list[tuple[str, dict[str, Any]]]:
    if not settings.alert_notifiers:
        return []
    form = '[{"notifier": "package.module.Class", "arguments": {…}}]'
    try:
        entries = json.loads(settings.alert_notifiers)
        return [(str(entry["notifier"]), dict(entry.get("arguments") or {})) for entry in entries]
    except (ValueError, TypeError, KeyError, AttributeError):
        # The arguments may hold a secret: the value is not repeated.
        raise UsageError("WORKBENCH_ALERT_NOTIFIERS is not the JSON it should be", hint=f"write {form}") from None


def _notifier_class(path: str) -> Any:
    from airflow.sdk import BaseNotifier

    module, _, name = path.rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"there is no notifier {path!r} ({error})", hint="name an installed class") from error
    if not (isinstance(found, type) and issubclass(found, BaseNotifier)):
        raise UsageError(f"{path!r} is not a notifier", hint="name a class derived from airflow.sdk.BaseNotifier")
    return found
