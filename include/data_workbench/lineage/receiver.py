"""An OpenLineage server, as its HTTP transport speaks to it: one event a POST."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from data_workbench.errors import AccessDenied, StoreBusy, StoreUnavailable, UsageError

if TYPE_CHECKING:
    import httpx

    from data_workbench.connectors.connections import Connections
    from data_workbench.connectors.http.config import HttpConfig

_PATH = "/api/v1/lineage"
"""Where servers of OpenLineage listen, unless the URL has a path of its own."""
_SECONDS = 5.0
_NO_EVENT = frozenset({400, 413, 415, 422})


class HttpReceiver:
    """Posts events to one address."""

    def __init__(self, name: str, config: HttpConfig) -> None:
        from data_workbench.connectors.http.auth import Credentials

        parts = urlsplit(config.url)
        self._name = name
        self._url = config.url if parts.path.strip("/") else f"{config.url.rstrip('/')}{_PATH}"
        who = Credentials(config)
        self._headers = {
            **{key: value.get_secret_value() for key, value in config.headers.items()},
            **who.headers(),
            "content-type": "application/json",
            "user-agent": "odras-data-workbench",
        }
        self._query = dict(who.query)
        self._trust = config.ca_bundle

    def send(self, events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Post each; those that the server says are no events.

        Raises:
            StoreUnavailable: it does not answer, or not with 2xx.
            StoreBusy: it asks for patience.
            AccessDenied: it refuses us.
        """
        import ssl

        import httpx

        trust = ssl.create_default_context(cafile=self._trust) if self._trust else True
        refused = []
        with httpx.Client(headers=self._headers, timeout=_SECONDS, follow_redirects=False, verify=trust) as client:
            for event in events:
                try:
                    answer = client.post(self._url, content=json.dumps(event), params=self._query)
                except httpx.HTTPError as error:
                    raise StoreUnavailable(
                        f"OpenLineage server {self._name!r} does not answer ({type(error).__name__})",
                        hint="events wait in the outbox and are sent later",
                    ) from None  # the exception's text may hold the query
                if answer.status_code in _NO_EVENT:
                    refused.append(event)
                elif not answer.is_success:
                    raise self._meaning(answer)
        return refused

    def _meaning(self, answer: httpx.Response) -> Exception:
        told = f"OpenLineage server {self._name!r} answered HTTP {answer.status_code}"
        if answer.status_code in (401, 403):
            return AccessDenied(told, hint="check the password of the connection WORKBENCH_LINEAGE_RECEIVER names")
        if answer.status_code == 429:
            return StoreBusy(told, hint="events wait in the outbox and are sent later")
        return StoreUnavailable(told, hint="events wait in the outbox and are sent later")


def open_receiver(place: str, connections: Connections) -> HttpReceiver:
    """The server that WORKBENCH_LINEAGE_RECEIVER names.

    Raises:
        UsageError: it is no URL without a password, and no connection of an API.
    """
    from data_workbench.connectors.connections import Connection
    from data_workbench.connectors.registry import spec_of

    if "://" in place:
        parts = urlsplit(place)
        if parts.username or parts.password:
            raise UsageError(
                "WORKBENCH_LINEAGE_RECEIVER holds a login",
                hint="make a connection of type workbench_rest, and name it there",
            )
        connection = Connection(id=parts.hostname or place, kind="workbench_rest", host=place)
    else:
        connection = connections.get(place)
    if connection.kind != "workbench_rest":
        raise UsageError(
            f"connection {place!r}, named by WORKBENCH_LINEAGE_RECEIVER, is of type {connection.kind!r}",
            hint="name one of type workbench_rest",
        )
    config: Any = spec_of(connection.kind).of(connection)
    return HttpReceiver(connection.id, config)
