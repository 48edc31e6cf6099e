"""Requests to Qdrant, and what its answers mean, against a small HTTP server on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pydantic import SecretStr

from data_workbench.connectors.connections import Connection
from data_workbench.connectors.qdrant.client import PAGE, Qdrant
from data_workbench.errors import (
    AccessDenied,
    FatalError,
    ResourceExhausted,
    StoreBusy,
    StoreUnavailable,
    StreamUnknown,
    Unsupported,
    WorkbenchError,
)


@dataclass
class Answers:
    """A server that notes what it is asked and answers what it is told to."""

    url: str = ""
    status: int = 200
    answer: bytes = b'{"result": []}'
    requests: list[tuple[str, str, dict[str, str], Any]] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Answers]:
    told = Answers()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _take(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            told.requests.append((self.command, self.path, dict(self.headers), json.loads(body) if body else None))
            self.send_response(told.status)
            self.send_header("content-length", str(len(told.answer)))
            self.end_headers()
            self.wfile.write(told.answer)

        do_GET = do_PUT = do_POST = do_DELETE = _take  # noqa: N815  # the library's names

        def log_message(self, *_: object) -> None:
            """Tests print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        told.url = f"http://127.0.0.1:{listening.server_port}"
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield told
        listening.shutdown()
        thread.join()


@pytest.fixture
def store(server: Answers) -> Iterator[Qdrant]:
    found = Qdrant(Connection(id="vectors", kind="qdrant", password=SecretStr("k3y"), extra={"url": f"{server.url}/q"}))
    yield found
    found.close()


def test_a_request_carries_the_key_and_stays_below_the_url(store: Qdrant, server: Answers) -> None:
    store.delete_points("a/b ü", [1, "x"])
    [(method, path, headers, body)] = server.requests
    assert (method, path) == ("POST", "/q/collections/a%2Fb%20%C3%BC/points/delete?wait=true")
    assert headers["api-key"] == "k3y"
    assert body == {"points": [1, "x"]}


def test_a_name_of_dots_leads_to_no_other_request(store: Qdrant, server: Answers) -> None:
    store.delete_collection("..")
    assert server.requests[0][1] == "/q/collections/%2E%2E"


def test_points_go_out_exact_and_nan_as_null(store: Qdrant, server: Answers) -> None:
    store.upsert("c", [2**64 - 1], [[0.1, -1.0]], [{"text": "é😀", "number": float("nan"), "whole": 2**63}])
    batch = server.requests[0][3]["batch"]
    assert batch["ids"] == [2**64 - 1]
    assert batch["vectors"] == [[0.1, -1.0]]
    assert batch["payloads"] == [{"text": "é😀", "number": None, "whole": 2**63}]


def test_points_by_id_are_asked_for_in_pages(store: Qdrant, server: Answers) -> None:
    server.answer = b'{"result": [{"id": 7, "payload": {"a": 1}}]}'
    found = list(store.retrieve("c", list(range(PAGE + 1))))
    assert [len(body["ids"]) for *_, body in server.requests] == [PAGE, 1]
    assert [(one.id, one.payload, one.vector) for one in found] == [(7, {"a": 1}, None)] * 2


def test_a_scroll_ends_where_the_server_names_no_next_page(store: Qdrant, server: Answers) -> None:
    server.answer = b'{"result": {"points": [{"id": 1}], "next_page_offset": 2}}'
    pages = store.scroll("c", only={"must": []})
    assert [one.id for one in next(pages)] == [1]
    server.answer = b'{"result": {"points": [], "next_page_offset": null}}'
    assert list(pages) == []
    assert [body.get("offset") for *_, body in server.requests] == [None, 2]
    assert server.requests[1][3]["filter"] == {"must": []}


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, AccessDenied),
        (403, AccessDenied),
        (404, StreamUnknown),
        (409, FatalError),
        (413, ResourceExhausted),
        (429, StoreBusy),
        (500, StoreUnavailable),
        (501, Unsupported),
        (302, FatalError),
    ],
)
def test_a_refusal_has_a_meaning_and_the_servers_own_words(
    store: Qdrant, server: Answers, status: int, kind: type[WorkbenchError]
) -> None:
    server.status, server.answer = status, b'{"status": {"error": "because so"}}'
    with pytest.raises(kind, match=r"connection 'vectors'.*because so") as caught:
        store.collections()
    assert type(caught.value) is kind
    assert "k3y" not in str(caught.value)


def test_what_is_not_qdrants_json_says_where_to_look(store: Qdrant, server: Answers) -> None:
    server.answer = b"<html>welcome</html>"
    with pytest.raises(FatalError) as caught:
        store.version()
    assert "REST port" in str(caught.value.hint)


def test_a_server_that_is_away_is_named(server: Answers) -> None:
    gone = Qdrant(Connection(id="vectors", kind="qdrant", host="127.0.0.1", port=1))
    with pytest.raises(StoreUnavailable, match=r"http://127\.0\.0\.1:1 .*refused"):
        gone.version()
    gone.close()


def test_a_proxy_of_the_site_is_used(server: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.delenv("no_proxy", raising=False)
    server.answer = b'{"version": "1.18.3"}'
    store = Qdrant(Connection(id="vectors", kind="qdrant", host="vectors.example.org"))
    assert store.version() == "1.18.3"
    assert server.requests[0][1] == "http://vectors.example.org:6333/"
    store.close()
