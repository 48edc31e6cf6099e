"""Who we are: every way of logging in, tokens that end or are refused, and secrets that show up nowhere."""

from __future__ import annotations

import logging
import traceback
from typing import Any

import pytest

from api_server import ApiServer, Fault
from api_server.server import LOGIN, SECRET, TOKEN, AuthMode
from data_workbench.connectors.base import ReadRequest
from data_workbench.connectors.rest.source import RestSource
from data_workbench.errors import AccessDenied, WorkbenchError

PAGED = {"rest": {"data_selector": "data", "paginator": {"type": "page_number"}}}
LINKED = {"rest": {"paginator": {"type": "json_link", "next_url_path": "next"}}}

WAYS: dict[AuthMode, dict[str, Any]] = {
    "none": {},
    "basic": {"login": LOGIN, "password": SECRET},
    "bearer": {"password": SECRET},
    "key_header": {"auth": "api_key", "password": SECRET},
    "key_query": {"auth": "api_key", "password": SECRET, "api_key_in": "query", "api_key_name": "api_key"},
    "oauth2": {"auth": "oauth2_client_credentials", "login": LOGIN, "password": SECRET},
}


def way(api: ApiServer, mode: AuthMode, **more: Any) -> dict[str, Any]:
    """The connection's fields for a way of logging in, and the server told to ask for it."""
    api.auth = mode
    token_url = {"token_url": f"{api.origin}/token"} if mode == "oauth2" else {}
    return {**WAYS[mode], **token_url, **more}


def ids(source: RestSource, stream: str = "by_page", options: Any = PAGED) -> list[int]:
    reading = source.read(ReadRequest(stream=stream, columns=("id",), options=options))
    return [one for batch in reading for one in batch.column("id").to_pylist()]


@pytest.mark.parametrize("mode", WAYS)
def test_every_way_of_logging_in_reads_all_rows(api, open_source, mode: AuthMode) -> None:
    source = open_source(**way(api, mode))
    assert source.check().ok
    assert sorted(ids(source)) == list(range(1, 21))


@pytest.mark.parametrize("mode", [mode for mode in WAYS if mode != "none"])
def test_wrong_credentials_are_denied_at_once(api, open_source, mode: AuthMode) -> None:
    source = open_source(**way(api, mode) | {"password": "wrong"})
    with pytest.raises(AccessDenied, match="401"):
        ids(source)
    assert not source.check().ok
    assert len(api.asked("/v1/by_page")) <= 1, "a refusal is not tried again"


def test_next_links_keep_the_key_out_and_are_followed_with_it(api, open_source) -> None:
    source = open_source(**way(api, "key_query"))
    assert sorted(ids(source, "by_link", LINKED)) == list(range(1, 21))
    assert all(one.query.count(("api_key", SECRET)) == 1 for one in api.asked("/v1/by_link"))


# ------------------------------------------------------------------------------------------------------- OAuth2


def test_a_token_is_asked_for_once(api, open_source) -> None:
    ids(open_source(**way(api, "oauth2")))
    assert len(api.asked("/token")) == 1


def test_a_token_near_its_end_is_renewed(api, open_source) -> None:
    api.token_lasts = 0
    ids(open_source(**way(api, "oauth2")))
    assert len(api.asked("/token")) > 5


def test_a_refused_token_is_renewed_once_and_the_request_repeated(api, open_source) -> None:
    source = open_source(**way(api, "oauth2"))
    ids(source)
    api.revoke()
    assert sorted(ids(source)) == list(range(1, 21))
    assert len(api.asked("/token")) == 2


def test_a_second_refusal_is_denied(api, open_source) -> None:
    source = open_source(**way(api, "oauth2"))
    api.always("/v1/items", Fault(401, b"{}"))
    with pytest.raises(AccessDenied, match="401"):
        ids(source, "items", {})
    assert len(api.asked("/v1/items")) == 2


def test_client_credentials_may_go_in_the_body_with_scope(api, open_source) -> None:
    source = open_source(**way(api, "oauth2", token_auth="body", scope="read:all", audience="api"))
    ids(source)
    form = api.asked("/token")[0].body.decode()
    assert "scope=read%3Aall" in form
    assert "audience=api" in form
    assert "authorization" not in api.asked("/token")[0].headers


def test_a_token_url_that_fails_for_a_moment_is_asked_again(api, open_source) -> None:
    api.fail("/token", Fault(503), Fault(200, b'{"access_tok'))
    assert sorted(ids(open_source(**way(api, "oauth2")))) == list(range(1, 21))


def test_a_token_url_without_a_token_is_named(api, open_source) -> None:
    api.always("/token", Fault(200, b'{"token": "elsewhere"}'))
    with pytest.raises(AccessDenied, match="access_token"):
        ids(open_source(**way(api, "oauth2")))


# ------------------------------------------------------------------------------------------------------- canaries


def everything_of(error: BaseException) -> str:
    """All that a failing run could print or store: messages, hints, the chain of causes with its traceback."""
    said = [str(error), "".join(traceback.format_exception(error))]
    if isinstance(error, WorkbenchError):
        said.append(str(error.as_dict()))
    return "\n".join(said)


@pytest.mark.parametrize("mode", [mode for mode in WAYS if mode != "none"])
@pytest.mark.parametrize(
    "fault",
    [
        Fault(401, f'{{"message": "bad key {SECRET}"}}'.encode()),
        Fault(403, f'{{"message": "no {SECRET}"}}'.encode()),
        Fault(404),
        Fault(400, f'{{"errors": [{{"message": "{TOKEN}1 and {SECRET}"}}]}}'.encode()),
        Fault(429, headers={"retry-after": "99999"}),
        Fault(500, f"it was {SECRET}".encode()),
        Fault(200, f"<html>{SECRET}</html>".encode(), {"content-type": "text/html"}),
        Fault(200, f'{{"a": "{SECRET}"'.encode()),
        Fault(302, headers={"location": f"https://elsewhere.example/?api_key={SECRET}"}),
    ],
    ids=lambda fault: str(fault.status) if isinstance(fault, Fault) else fault,
)
def test_no_secret_shows_in_errors_or_logs(api, open_source, mode: AuthMode, fault: Fault, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    source = open_source(**way(api, mode, max_tries=2))
    api.always("/v1/items", fault)
    with pytest.raises(WorkbenchError) as caught:
        ids(source, "items", {})
    shown = everything_of(caught.value) + caplog.text + repr(source.config) + source.check().detail
    assert SECRET not in shown
    assert mode != "oauth2" or TOKEN not in shown
    assert "api_key=" not in shown


@pytest.mark.parametrize("mode", ["bearer", "key_query", "oauth2"])
def test_an_api_that_repeats_our_key_does_not_make_it_data(api, open_source, mode: AuthMode) -> None:
    source = open_source(**way(api, mode))
    rows = [row for batch in source.read(ReadRequest(stream="echo")) for row in batch.to_pylist()]
    assert rows
    assert SECRET not in str(rows)
    assert TOKEN not in str(rows)


def test_headers_of_the_connection_are_secrets_too(api, open_source, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    source = open_source(headers={"X-Tenant": "canary-header-value-123456"})
    assert ids(source, "items", {})
    assert api.asked("/v1/items")[0].headers["x-tenant"] == "canary-header-value-123456"
    assert "canary-header" not in caplog.text + repr(source.config)


# ------------------------------------------------------------------------------------------------- other origins


@pytest.mark.parametrize("how", ["link", "redirect"])
def test_another_origin_is_refused(api, open_source, how: str) -> None:
    with ApiServer() as other:
        source = open_source(**way(api, "bearer"))
        leads_to(api, other, how)
        with pytest.raises(AccessDenied, match="leads to"):
            ids(source, "by_link", LINKED)
        assert other.met == []


@pytest.mark.parametrize("how", ["link", "redirect"])
def test_an_allowed_origin_is_followed_without_credentials(api, open_source, how: str) -> None:
    with ApiServer() as other:
        other.always("/v1/more", Fault(200, b'{"results": [{"id": 99}], "next": null}'))
        source = open_source(**way(api, "bearer", allowed_hosts=other.origin, headers={"X-Tenant": "t"}))
        leads_to(api, other, how)
        assert 99 in ids(source, "by_link", LINKED)
        assert other.met
        for one in other.met:
            assert "authorization" not in one.headers
            assert "x-tenant" not in one.headers


def leads_to(api: ApiServer, other: ApiServer, how: str) -> None:
    target = f"{other.origin}/v1/more"
    if how == "link":
        api.always("/v1/by_link", Fault(200, f'{{"results": [{{"id": 1}}], "next": "{target}"}}'.encode()))
    else:
        api.always("/v1/by_link", Fault(307, headers={"location": target}))


@pytest.mark.parametrize("link", ["file:///etc/passwd", "gopher://127.0.0.1/", "//elsewhere.example/x", "http://[bad"])
def test_only_http_and_the_pinned_host_are_followed(api, open_source, link: str) -> None:
    api.always("/v1/by_link", Fault(200, f'{{"results": [], "next": "{link}"}}'.encode()))
    with pytest.raises(AccessDenied, match="leads to"):
        ids(open_source(), "by_link", {"rest": {**LINKED["rest"], "types": {"id": "integer"}, "sample": 0}})


def test_a_redirect_within_the_origin_is_followed_with_credentials(api, open_source) -> None:
    source = open_source(**way(api, "bearer"))
    api.fail("/v1/old", Fault(301, headers={"location": "/v1/items"}))
    assert sorted(ids(source, "old", {"rest": {"sample": 0, "types": {"id": "integer"}}})) == list(range(1, 21))


def test_redirects_in_a_circle_end(api, open_source) -> None:
    api.always("/v1/items", Fault(302, headers={"location": "/v1/items"}))
    with pytest.raises(WorkbenchError, match="redirects more than"):
        ids(open_source(), "items", {})
