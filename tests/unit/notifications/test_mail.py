"""A mail server that is real, and refuses some receivers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.mail_server import MailServer

from data_workbench.errors import StoreUnavailable
from data_workbench.metastore.alerts import Alert
from data_workbench.notifications import AppriseRoute, MailRoute

ALERT = Alert("quality.broken", "contract:x", "critical", "contract x does not hold", {"owner": "team"})


class Office(MailServer):
    """The server with routes to it."""

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
    office.full = {"b@example.org"}
    left = route.send_to(ALERT, None)
    assert office.receivers == [["a@example.org", "c@example.org"]]
    assert len(left) == 1
    assert "example.org" not in left[0], "no address leaves the connection"
    assert route.send_to(ALERT, left) == left, "still refused, and nobody else hears of it"
    office.full = set()
    assert route.send_to(ALERT, left) == []
    assert office.receivers[1:] == [["b@example.org"]]
    office.full = {"b@example.org"}
    with pytest.raises(StoreUnavailable, match="refuses 1 of 2"):
        office.route("a@example.org", "b@example.org").send(ALERT)


def test_who_left_the_connection_meanwhile_is_told_nothing(office: Office) -> None:
    office.full = {"b@example.org"}
    left = office.route("a@example.org", "b@example.org").send_to(ALERT, None)
    assert office.route("a@example.org").send_to(ALERT, left) == []
    assert office.receivers == [["a@example.org"]]


def test_of_addresses_of_apprise_only_the_one_that_failed_is_told_again(office: Office) -> None:
    there = f"mailto://127.0.0.1:{office.port}?from=w@example.org&to=a@example.org"
    route = AppriseRoute("ops", (there, "json://127.0.0.1:1/secret-token"))
    [left] = route.send_to(ALERT, None)
    assert office.receivers == [["a@example.org"]]
    assert "secret" not in left
    assert route.send_to(ALERT, [left]) == [left]
    assert len(office.got) == 1
