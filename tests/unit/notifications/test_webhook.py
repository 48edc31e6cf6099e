"""A receiver that is real, and checks what it gets."""

from __future__ import annotations

import base64
import json
import queue
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from data_workbench.errors import AccessDenied, FatalError, StoreUnavailable, UsageError
from data_workbench.metastore.alerts import Alert
from data_workbench.notifications import WebhookRoute

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()
ALERT = Alert("connection.broken", "connection:graph", "critical", "connection graph is broken", {"cause": "gone"})


class Receiver(HTTPServer):
    """Keeps what was posted, and answers with `status`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = 204
        self.unending = threading.Event()
        """While it is set, bodies have no end."""
        self.taken: list[tuple[dict[str, str], str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook?token=canary"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        self.server.taken.append(({name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(self.server.status)
        self.end_headers()
        while self.server.unending.is_set():
            try:
                self.wfile.write(b"and so on, ")
            except OSError:  # nobody listens any more
                return

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_receiver_can_verify_what_it_gets_and_sees_any_change(receiver: Receiver) -> None:
    WebhookRoute("ops", receiver.url, SECRET).send(ALERT)
    headers, body = receiver.taken[0]
    assert headers["webhook-id"] == ALERT.id
    assert Webhook(SECRET).verify(body, headers)["data"]["cause"] == "gone"
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body.replace("gone", "fine"), headers)
    assert json.loads(body)["type"] == "connection.broken"


def test_without_a_secret_nothing_is_signed(receiver: Receiver) -> None:
    WebhookRoute("ops", receiver.url).send(ALERT)
    headers, _ = receiver.taken[0]
    assert "webhook-signature" not in headers
    assert headers["webhook-id"] == ALERT.id


@pytest.mark.parametrize(
    ("status", "kind"), [(401, AccessDenied), (403, AccessDenied), (500, StoreUnavailable), (302, StoreUnavailable)]
)
def test_any_other_answer_is_no_delivery_and_names_no_url(receiver: Receiver, status: int, kind: type) -> None:
    receiver.status = status
    with pytest.raises(kind, match=f"HTTP {status}") as caught:
        WebhookRoute("ops", receiver.url, SECRET).send(ALERT)
    assert "canary" not in str(caught.value) + repr(caught.value.__cause__)


@pytest.mark.parametrize(("status", "outcome"), [(200, "taken"), (500, "refused")])
def test_of_an_answer_without_an_end_the_status_is_enough(receiver: Receiver, status: int, outcome: str) -> None:
    receiver.status = status
    receiver.unending.set()
    told: queue.Queue[str] = queue.Queue()

    def tell() -> None:
        try:
            WebhookRoute("ops", receiver.url, SECRET).send(ALERT)
        except StoreUnavailable:
            told.put("refused")
        else:
            told.put("taken")

    telling = threading.Thread(target=tell)
    telling.start()
    try:
        assert told.get(timeout=5) == outcome
    finally:
        receiver.unending.clear()
        telling.join()
    assert len(receiver.taken) == 1


def test_a_receiver_that_is_away_is_tried_again_later(receiver: Receiver) -> None:
    route = WebhookRoute("ops", "http://127.0.0.1:1/hook?token=canary", SECRET)
    with pytest.raises(StoreUnavailable, match="'ops' does not answer") as caught:
        route.send(ALERT)
    assert "canary" not in str(caught.value) + repr(route)


def test_what_is_no_webhook_is_refused_with_the_next_step() -> None:
    with pytest.raises(UsageError, match="no http or https address"):
        WebhookRoute("ops", "file:///etc/passwd")
    with pytest.raises(FatalError, match="is not base64") as caught:
        WebhookRoute("ops", "http://127.0.0.1:1", "é-canary").send(ALERT)
    assert "canary" not in str(caught.value)
