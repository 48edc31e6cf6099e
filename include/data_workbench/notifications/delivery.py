"""Handing stored alerts to their routes, with back-off, until a receiver has taken them."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from data_workbench.errors import WorkbenchError
from data_workbench.metastore import alerts

if TYPE_CHECKING:
    from data_workbench.metastore import Metastore
    from data_workbench.metastore.alerts import Alert, Due

log = logging.getLogger(__name__)


class Route(Protocol):
    """One receiver of alerts."""

    def send(self, alert: Alert) -> None:
        """Hand the alert over; it may come twice with the same id after a crash.

        Raises:
            WorkbenchError: it was not taken; a `RetriableError` is tried again.
        """


@runtime_checkable
class SeveralReceivers(Protocol):
    """A route to more than one receiver, of which each may refuse."""

    def send_to(self, alert: Alert, left: Sequence[str] | None) -> list[str]:
        """Hand the alert over to those that are left, by their keys, or to all; the keys of those that refused.

        Raises:
            WorkbenchError: nobody was asked.
        """


def receiver_key(address: str) -> str:
    """What the metastore knows a receiver by: an address may hold a token, or be somebody's."""
    return hashlib.sha256(address.encode()).hexdigest()[:16]


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
        if not alerts.claim(store, due):
            continue  # a command and the DAG may hand out at once, and one alert is one
        left, reason = _hand_over(routes[due.route], due)
        if reason is None:
            done.sent.append(due.alert.id)
            alerts.note_delivery(store, due)
        else:
            done.failed[f"{due.alert.id} {due.route}"] = reason
            log.warning("alert %s was not taken by %s: %s", due.alert.id, due.route, reason)
            alerts.note_failure(store, due, reason, left=left)
    return done


def _hand_over(route: Route, due: Due) -> tuple[list[str] | None, str | None]:
    """Who is left to be told, None if it is everybody, and why; no reason if nobody is."""
    try:
        if not isinstance(route, SeveralReceivers):
            route.send(due.alert)
            return None, None
        left = route.send_to(due.alert, due.left)
    except WorkbenchError as error:
        return due.left, error.message
    return left, f"{len(left)} of its receivers did not take it" if left else None
