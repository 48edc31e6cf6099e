"""A mail server that is real, and refuses some receivers."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from data_workbench.errors import StoreUnavailable
from data_workbench.metastore.alerts import Alert
from data_workbench.notifications import AppriseRoute, MailRoute

ALERT = Alert("quality.broken", "contract:x", "critical", "contract x does not hold", {"owner": "team"})


class Office:
    """Takes mail but for those whom it `refuses`."""

    def __init__(self) -> None:
        from aiosmtpd.controller import Controller

        self.got: list[list[str]] = []
        self.refuses: set[str] = set()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.controller = Controller(self, hostname="127.0.0.1", port=self.port)

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        if address in self.refuses:
            return "450 mailbox full"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.got.append(envelope.rcpt_tos)
        return "250 OK"

    def route(self, *to: str) -> MailRoute:
        return MailRoute("ops", "127.0.0.1", self.port, "workbench@example.org", to, has_ssl=False, has_tls=False)


@pytest.fixture
def office() -> Iterator[Office]:
    found = Office()
    found.controller.start()
    yield found
    found.controller.stop()


def test_only_who_was_refused_is_told_again(office: Office) -> None:
    route = office.route("a@example.org", "b@example.org", "c@example.org")
    office.refuses = {"b@example.org"}
    left = route.send_to(ALERT, None)
    assert office.got == [["a@example.org", "c@example.org"]]
    assert len(left) == 1
    assert "example.org" not in left[0], "no address leaves the connection"
    assert route.send_to(ALERT, left) == left, "still refused, and nobody else hears of it"
    office.refuses = set()
    assert route.send_to(ALERT, left) == []
    assert office.got[1:] == [["b@example.org"]]
    office.refuses = {"b@example.org"}
    with pytest.raises(StoreUnavailable, match="refuses 1 of 2"):
        office.route("a@example.org", "b@example.org").send(ALERT)


def test_who_left_the_connection_meanwhile_is_told_nothing(office: Office) -> None:
    office.refuses = {"b@example.org"}
    left = office.route("a@example.org", "b@example.org").send_to(ALERT, None)
    assert office.route("a@example.org").send_to(ALERT, left) == []
    assert office.got == [["a@example.org"]]


def test_of_addresses_of_apprise_only_the_one_that_failed_is_told_again(office: Office) -> None:
    there = f"mailto://127.0.0.1:{office.port}?from=w@example.org&to=a@example.org"
    route = AppriseRoute("ops", (there, "json://127.0.0.1:1/secret-token"))
    [left] = route.send_to(ALERT, None)
    assert office.got == [["a@example.org"]]
    assert "secret" not in left
    assert route.send_to(ALERT, [left]) == [left]
    assert len(office.got) == 1
