"""What goes wrong at an API: each fault ends in success after a while, or in a named error, never in a hang."""

from __future__ import annotations

import gzip
import zlib
from typing import Any

import pytest

from api_server import Fault, RawServer
from api_server.raw import Script, head
from data_workbench.connectors.base import ReadRequest
from data_workbench.connectors.rest.source import RestSource
from data_workbench.errors import (
    AccessDenied,
    FatalError,
    ResourceExhausted,
    SchemaConflict,
    StoreBusy,
    StoreUnavailable,
    StreamUnknown,
    WorkbenchError,
)

CLOSED = {"types": {"id": "integer"}, "sample": 0}
GOOD = b'[{"id": 1}, {"id": 2}]'
WHOLE = [head(content_type="application/json", content_length="22", connection="close"), GOOD]


def ids(source: RestSource, stream: str = "items", **says: Any) -> list[int]:
    request = ReadRequest(stream=stream, columns=("id",), options={"rest": {**CLOSED, **says}})
    return [one for batch in source.read(request) for one in batch.column("id").to_pylist()]


# ------------------------------------------------------------------------------------------------- after a while


@pytest.mark.parametrize(
    "faults",
    [
        [Fault(500), Fault(502), Fault(503), Fault(504)],
        [Fault(429, headers={"retry-after": "0"}), Fault(429)],
        [Fault(503, headers={"retry-after": "0"})],
        [Fault(408)],
        [Fault(200, b'{"items": [{"id"')],
        [Fault(200, b'[{"id": 1, "name": "cut')],
    ],
)
def test_a_passing_fault_is_waited_out(api, open_source, faults) -> None:
    api.fail("/v1/items", *faults)
    assert len(ids(open_source())) == 20


def test_a_fault_in_the_middle_repeats_that_page_alone(api, open_source) -> None:
    source = open_source()
    paginator = {"type": "offset", "total_path": "total"}
    assert len(ids(source, "by_offset", paginator=paginator)) == 20
    asked = len(api.asked("/v1/by_offset"))
    reading = source.read(ReadRequest(stream="by_offset", options={"rest": {**CLOSED, "paginator": paginator}}))
    batches = iter(reading)
    api.fail("/v1/by_offset", Fault(500))
    assert sum(batch.num_rows for batch in batches) == 20
    assert len(api.asked("/v1/by_offset")) == 2 * asked + 1


# -------------------------------------------------------------------------------------------------- named errors


@pytest.mark.parametrize(
    ("fault", "kind", "says"),
    [
        (Fault(401, b'{"message": "who?"}'), AccessDenied, "answers 401: who"),
        (Fault(403), AccessDenied, "answers 403"),
        (Fault(404), StreamUnknown, "answers 404"),
        (Fault(410), StreamUnknown, "answers 410"),
        (Fault(400, b'{"detail": "bad filter"}'), FatalError, "answers 400: bad filter"),
        (Fault(429), StoreBusy, r"answers 429.*3 tries"),
        (Fault(429, headers={"retry-after": "3600"}), StoreBusy, "asks to wait 3600 s"),
        (Fault(500), StoreUnavailable, r"answers 500.*3 tries"),
        (Fault(200, b"<html>login</html>", {"content-type": "text/html; charset=utf-8"}), SchemaConflict, "HTML"),
        (Fault(200, b"id,name", {"content-type": "text/csv"}), SchemaConflict, "text/csv, which is no JSON"),
        (Fault(200, b"\xff\xfe", {}), SchemaConflict, "not UTF-8"),
        (Fault(200, b'[{"id": 1}'), StoreUnavailable, r"cut off.*3 tries"),
        (Fault(200, b"[" * 100_000 + b"]" * 100_000), ResourceExhausted, "nested too deep"),
        (Fault(200, b"[" + b" " * 300_000 + b"]"), ResourceExhausted, "more than 250000 bytes"),
        (Fault(200, gzip.compress(b" " * 50_000_000), {"content-encoding": "gzip"}), ResourceExhausted, "more than"),
        (Fault(200, b"no gzip", {"content-encoding": "gzip"}), SchemaConflict, "packed answer is damaged"),
        (Fault(200, gzip.compress(GOOD)[:-9], {"content-encoding": "gzip"}), StoreUnavailable, "cut off"),
        (Fault(200, GOOD, {"content-encoding": "br"}), SchemaConflict, "packed as 'br'"),
        (Fault(200, b"1" * 6000), SchemaConflict, "no JSON"),
    ],
)
def test_what_stays_wrong_is_named(api, open_source, fault: Fault, kind: type[WorkbenchError], says: str) -> None:
    api.always("/v1/items", fault)
    source = open_source(max_tries=3, max_response_bytes=250_000)
    with pytest.raises(kind, match=says) as caught:
        ids(source)
    assert type(caught.value) is kind
    assert caught.value.hint


def test_packed_answers_are_unpacked(api, open_source) -> None:
    for packing, body in (("gzip", gzip.compress(GOOD)), ("deflate", zlib.compress(GOOD))):
        api.fail("/v1/items", Fault(200, body, {"content-encoding": packing}))
        assert ids(open_source()) == [1, 2]


# ------------------------------------------------------------------------------------------------ endless pages

PAGE = b'{"data": [{"id": 1}], "next": "again", "more": true}'


@pytest.mark.parametrize(
    ("paginator", "says"),
    [
        ({"type": "page_number"}, "same records as the one before"),
        ({"type": "offset"}, "same records as the one before"),
        ({"type": "cursor", "cursor_path": "next"}, "the cursor to the next page was met before"),
        ({"type": "json_link", "next_url_path": "next"}, "the link to the next page was met before"),
    ],
)
def test_pages_without_an_end_are_named(api, open_source, paginator: dict[str, Any], says: str) -> None:
    api.always("/v1/items", Fault(200, PAGE))
    api.always("/v1/again", Fault(200, PAGE))
    with pytest.raises(ResourceExhausted, match=says):
        ids(open_source(), data_selector="data", paginator=paginator)
    assert len(api.met) <= 3


def test_a_link_to_itself_is_named(api, open_source) -> None:
    api.always("/v1/items", Fault(200, GOOD, {"link": '</v1/items>; rel="next"'}))
    with pytest.raises(ResourceExhausted, match="link to the next page was met before"):
        ids(open_source())
    assert len(api.met) == 1


@pytest.mark.parametrize(("cap", "most"), [("max_pages", 2), ("max_records", 5), ("max_bytes", 1500)])
def test_caps_end_a_read(api, open_source, cap: str, most: int) -> None:
    with pytest.raises(ResourceExhausted, match=f"`{cap}` ends the read"):
        ids(open_source(), "by_offset", paginator={"type": "offset"}, **{cap: most})
    assert len(api.met) <= 3


def test_a_404_behind_the_last_page_is_the_end(api, open_source) -> None:
    for page in (b'[{"id": 1}]', b'[{"id": 2}]'):
        api.fail("/v1/items", Fault(200, page))
    api.always("/v1/items", Fault(404, b'{"detail": "Invalid page."}'))
    assert ids(open_source(), paginator={"type": "page_number"}) == [1, 2]


# --------------------------------------------------------------------------------------------- sockets that fail


def raw(open_source: Any, server: RawServer, **extra: Any) -> RestSource:
    return open_source(server.base_url, **{"timeout": 0.3, "max_tries": 2, **extra})  # type: ignore[no-any-return]


HALF = [head(content_type="application/json", content_length="22"), GOOD[:9]]
CHUNKED = [head(content_type="application/json", transfer_encoding="chunked"), b"9\r\n" + GOOD[:9] + b"\r\n"]


@pytest.mark.parametrize(
    "script",
    [
        Script(HALF, "reset"),
        Script(HALF, "close"),
        Script(HALF, "half"),
        Script(HALF, "hold"),
        Script(CHUNKED, "close"),
        Script(CHUNKED, "hold"),
        Script([], "close"),
        Script([], "reset"),
        Script([], "hold"),
        Script([b"HTTP/1.1 2"], "close"),
        Script([b"SSH-2.0-hello\r\n"], "close"),
    ],
    ids=lambda script: f"{len(b''.join(script.chunks))}-{script.ending}",
)
def test_a_broken_connection_is_tried_again_and_then_named(open_source, script: Script) -> None:
    with RawServer(script, Script(WHOLE)) as server:
        assert ids(raw(open_source, server)) == [1, 2]
        assert server.connections == 2
    with RawServer(script) as server:
        with pytest.raises(StoreUnavailable, match="2 tries"):
            ids(raw(open_source, server))
        assert server.connections == 2


def test_an_answer_that_drips_is_bounded(open_source) -> None:
    drip = Script(
        [head(content_type="application/json", transfer_encoding="chunked"), *([b"1\r\n \r\n"] * 50_000)], "hold"
    )
    with RawServer(drip) as server, pytest.raises(ResourceExhausted, match="still answering"):
        ids(raw(open_source, server, response_seconds=0.01, timeout=5))


def test_a_server_that_is_not_there_is_named(open_source) -> None:
    with RawServer(Script([])) as server:
        url = server.base_url
    source = open_source(url, max_tries=2)
    with pytest.raises(StoreUnavailable, match="ConnectError"):
        ids(source)
    health = source.check()
    assert not health.ok
    assert "ConnectError" in health.detail
