"""Who is told: the connections and Airflow notifiers that the settings name, as routes of `notifications`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from data_workbench.errors import RetriableError, UsageError, WorkbenchError
from data_workbench.notifications import AppriseRoute, MailRoute
from data_workbench.notifications.apprised import addresses_of
from data_workbench.notifications.names import notifiers, route_ids, route_names
from data_workbench.notifications.webhook import SHAPES, WebhookRoute, document

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connection, Connections
    from data_workbench.metastore.alerts import Alert
    from data_workbench.notifications import Route
    from data_workbench.settings import Settings

__all__ = ["NotifierRoute", "route_names", "routes", "webhook_route"]
WEBHOOK = "workbench_webhook"


def routes(settings: Settings, connections: Connections, context: Mapping[str, Any] | None) -> dict[str, Route]:
    """The routes by name; notifiers work inside a task only, where there is a context.

    Raises:
        WorkbenchError: a connection is not known or is none of a receiver, a notifier is none.
    """
    found: dict[str, Route] = {name: _route(connections.get(name)) for name in route_ids(settings)}
    if context is not None:
        for path, arguments in notifiers(settings):
            found[f"notifier:{path}"] = NotifierRoute(path, arguments, context)
    return found


def _route(connection: Connection) -> Route:
    """The route that a connection's type says."""
    kinds: dict[str, Callable[[Connection], Route]] = {
        WEBHOOK: webhook_route,
        "smtp": mail_route,
        "apprise": lambda one: AppriseRoute(one.id, addresses_of(one.id, one.extra)),
    }
    if connection.kind not in kinds:
        raise UsageError(
            f"connection {connection.id!r}, named by WORKBENCH_ALERT_ROUTES, is of type {connection.kind!r}",
            hint=f"name connections of type {', '.join(kinds)}",
        )
    return kinds[connection.kind](connection)


def mail_route(connection: Connection) -> MailRoute:
    """The route of an `smtp` connection, in the form of Airflow's own provider, and `to` in its extra beside."""
    extra = connection.extra
    to = extra.get("to") or ()
    receivers = to.split(",") if isinstance(to, str) else to
    has_ssl = not extra.get("disable_ssl", False)
    return MailRoute(
        name=connection.id,
        host=connection.host or "",
        port=connection.port or (465 if has_ssl else 587),
        sender=str(extra.get("from_email") or connection.login or ""),
        to=tuple(str(one).strip() for one in receivers if str(one).strip()),
        login=connection.login,
        password=connection.secret,
        has_ssl=has_ssl,
        has_tls=not extra.get("disable_tls", False),
    )


def webhook_route(connection: Connection) -> WebhookRoute:
    """The route of a `workbench_webhook` connection: its host is the URL, its password the secret that signs.

    With `{"shape": "slack"}` in its extra it is told as Slack's incoming webhooks want it.
    """
    if connection.kind != WEBHOOK:
        raise UsageError(
            f"connection {connection.id!r} is of type {connection.kind!r}", hint=f"name one of type {WEBHOOK}"
        )
    shape = connection.extra.get("shape", "standard")
    if shape not in SHAPES:
        raise UsageError(
            f"webhook connection {connection.id!r} has the shape {shape!r}", hint=f"shapes are {', '.join(SHAPES)}"
        )
    return WebhookRoute(connection.id, connection.host or "", connection.secret, shape)


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
