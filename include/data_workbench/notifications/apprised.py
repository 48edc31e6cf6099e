"""Alerts to whatever apprise reaches: https://github.com/caronc/apprise/wiki lists the addresses."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from data_workbench.errors import StoreUnavailable, UsageError
from data_workbench.notifications.delivery import receiver_key
from data_workbench.notifications.words import lines_of

if TYPE_CHECKING:
    from data_workbench.metastore.alerts import Alert

_KINDS: Final = {"critical": "failure", "warning": "warning", "info": "success"}
"""Apprise's kinds of news."""


@dataclass(frozen=True)
class AppriseRoute:
    """Where alerts go.

    Args:
        name: the connection's id, for messages; addresses may hold tokens and are never shown.
        addresses: apprise's, each `scheme://…`.
    """

    name: str
    addresses: tuple[str, ...] = field(repr=False)

    def send(self, alert: Alert) -> None:
        """Tell all addresses; that each took it is a delivery."""
        if left := self.send_to(alert, None):
            raise StoreUnavailable(
                f"{len(left)} of {len(self.addresses)} receivers of {self.name!r} did not take it",
                hint="it is tried again later; see apprise's log",
            )

    def send_to(self, alert: Alert, left: Sequence[str] | None) -> list[str]:
        """Tell all addresses, or those that are left; which did not take it."""
        title, *rest = lines_of(alert)
        body, kind = "\n".join(rest) or title, _KINDS.get(alert.severity, "info")
        receivers = [self._receiver(one) for one in self.addresses]
        keys = [receiver_key(one) for one in self.addresses]
        asked = [pair for pair in zip(keys, receivers, strict=True) if left is None or pair[0] in left]
        return [key for key, one in asked if not one.notify(body=body, title=title, notify_type=kind)]

    def _receiver(self, address: str) -> Any:
        with warnings.catch_warnings(action="ignore"):  # of modules it looks for, and Python gives up
            import apprise

            found = apprise.Apprise()
            is_known = found.add(address)  # it imports all its receivers here
        if not is_known:
            raise UsageError(
                f"connection {self.name!r} has an address that apprise does not know",
                hint='its extra is {"config": [{"path": "scheme://…"}]}',
            )
        return found


def addresses_of(name: str, extra: Mapping[str, Any]) -> tuple[str, ...]:
    """The addresses of an `apprise` connection, whose extra has the form of Airflow's own provider.

    Raises:
        UsageError: there is none.
    """
    config = extra.get("config")
    entries: Sequence[Any] = [config] if isinstance(config, Mapping) else config if isinstance(config, list) else []
    found = tuple(str(one["path"]) for one in entries if isinstance(one, Mapping) and one.get("path"))
    if not found:
        raise UsageError(
            f"connection {name!r} has no address", hint='give its extra as {"config": [{"path": "scheme://…"}]}'
        )
    return found
