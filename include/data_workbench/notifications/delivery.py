"""Handing stored alerts to their routes, with back-off, until a receiver has taken them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from data_workbench.errors import WorkbenchError
from data_workbench.metastore import alerts

if TYPE_CHECKING:
    from data_workbench.metastore import Metastore
    from data_workbench.metastore.alerts import Alert

log = logging.getLogger(__name__)


class Route(Protocol):
    """One receiver of alerts."""

    def send(self, alert: Alert) -> None:
        """Hand the alert over; it may come twice with the same id after a crash.

        Raises:
            WorkbenchError: it was not taken; a `RetriableError` is tried again.
        """


@dataclass
class Delivered:
    """What one round of deliveries did."""

    sent: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    """Alert id and route to the reason."""


def deliver(store: Metastore, routes: Mapping[str, Route]) -> Delivered:
    """Hand out what is due; an alert for a route that is no longer configured waits until it is, or expires."""
    done = Delivered()
    for due in alerts.due(store, list(routes)):
        try:
            routes[due.route].send(due.alert)
        except WorkbenchError as error:
            done.failed[f"{due.alert.id} {due.route}"] = error.message
            log.warning("alert %s was not taken by %s: %s", due.alert.id, due.route, error.message)
            alerts.note_failure(store, due, error.message)
        else:
            done.sent.append(due.alert.id)
            alerts.note_delivery(store, due)
    return done
