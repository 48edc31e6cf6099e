"""What is asked and what becomes of the answers: params, cursors, nesting, types, waiting."""

from __future__ import annotations

import datetime as dt
import json
import threading
import time
from typing import Any

import pyarrow as pa
import pytest

from api_server import ApiServer, Fault
from data_workbench.connectors.base import CursorRequest, ReadRequest
from data_workbench.connectors.http.parallel import THREAD
from data_workbench.connectors.rest.source import RestSource
from data_workbench.errors import ResourceExhausted, SchemaConflict, StateError, StoreBusy, StreamUnknown, UsageError

NOW = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)


def rows(source: RestSource, stream: str, says: dict[str, Any], **asked: Any) -> list[dict[str, Any]]:
    reading = source.read(ReadRequest(stream=stream, options={"rest": says}, now=NOW, **asked))
    return [row for batch in reading for row in batch.to_pylist()]


def answers(api: ApiServer, *records: Any, path: str = "/v1/items") -> None:
    api.always(path, Fault(200, json.dumps(list(records)).encode()))


# ------------------------------------------------------------------------------------------------------- params

HOSTILE = "a&b=c #/../?x=1%20é\"'"


def test_params_are_bound_and_encoded(api, open_source) -> None:
    says = {"params": {"q": "$text", "n": 5, "on": True, "ids": [1, "$number"], "none": "$missing", "dollar": "$$text"}}
    rows(open_source(), "items", says, params={"text": HOSTILE, "number": 7})
    assert api.asked("/v1/items")[-1].query == [
        ("q", HOSTILE), ("n", "5"), ("on", "true"), ("ids", "1"), ("ids", "7"), ("dollar", "$text"),
    ]  # fmt: skip


def test_params_in_a_path_are_one_segment(api, open_source) -> None:
    says = {"path_params": {"name": "$name"}, "types": {"id": "integer"}, "sample": 0}
    with pytest.raises(StreamUnknown):
        rows(open_source(), "by/{name}/x", says, params={"name": "../a/b?c"})
    assert api.met[-1].raw_path == "/v1/by/..%2Fa%2Fb%3Fc/x"
    with pytest.raises(SchemaConflict, match="cannot stand in a path"):
        rows(open_source(), "by/{name}/x", says, params={"name": ".."})
    with pytest.raises(SchemaConflict, match="has no value here"):
        rows(open_source(), "by/{name}/x", says, params={"name": None})


def test_params_in_a_body_keep_their_types(api, open_source) -> None:
    says = {
        "method": "POST",
        "body": {"active": "$active", "deep": {"at": "$at", "list": ["$number", None]}},
        "data_selector": "hits",
        "paginator": {"type": "cursor", "cursor_path": "next_cursor"},
    }
    params = {"active": True, "at": NOW, "number": 3}
    found = rows(open_source(), "search", says, params=params, columns=("id", "active"))
    assert {row["active"] for row in found} == {True}
    assert len(found) == 10
    body = json.loads(api.asked("/v1/search")[-1].body)
    assert body == {"active": True, "deep": {"at": "2026-06-01T00:00:00Z", "list": [3, None]}, "cursor": 9}


def test_headers_of_the_source_are_sent(api, open_source) -> None:
    rows(open_source(), "items", {"headers": {"Accept-Language": "de"}})
    assert api.met[-1].headers["accept-language"] == "de"


@pytest.mark.parametrize("stream", ["https://elsewhere.example/x", "//elsewhere.example", "../up", "a?b=1", "a\\b"])
def test_a_stream_is_a_path_below_the_base_url(open_source, stream: str) -> None:
    with pytest.raises(UsageError, match="no path below"):
        rows(open_source(), stream, {})


# ------------------------------------------------------------------------------------------------------ cursors


def cursor(watermark: str | None, lag: dt.timedelta | None = None) -> CursorRequest:
    return CursorRequest("updated_at", lag, {"watermark": watermark} if watermark else None)


BY_PAGE = {"data_selector": "data", "paginator": {"type": "page_number", "has_more_path": "more"}}


@pytest.mark.parametrize(
    ("spelling", "expected"),
    [
        ("iso8601", "2026-01-01T00:00:10Z"),
        ("date", "2026-01-01"),
        ("unix", "1767225610"),
        ("unix_ms", "1767225610000"),
        ("%Y%m%d%H%M%S", "20260101000010"),
    ],
)
def test_what_changed_is_asked_for_from_watermark_less_lag(api, open_source, spelling: str, expected: str) -> None:
    says = {**BY_PAGE, "incremental": {"start_param": "since", "end_param": "until", "format": spelling}}
    state = cursor("2026-01-01 00:00:15.000000Z", dt.timedelta(seconds=5))
    found = rows(open_source(), "by_page", says, cursor=state)
    assert sorted(row["id"] for row in found) == list(range(10, 21)), "filtered, though the API did not"
    query = dict(api.asked("/v1/by_page")[-1].query)
    assert query["since"] == expected
    assert "until" in query


def test_the_first_read_begins_at_the_initial_value(api, open_source) -> None:
    says = {**BY_PAGE, "incremental": {"start_param": "updated_since", "initial_value": "2026-01-01T00:00:18+00:00"}}
    assert len(rows(open_source(), "by_page", says, cursor=cursor(None))) == 3


def test_a_lag_on_a_text_cursor_is_named(api, open_source) -> None:
    says = {**BY_PAGE, "types": {"updated_at": "text"}, "incremental": {"start_param": "updated_since"}}
    with pytest.raises(SchemaConflict, match="no lag can be taken"):
        rows(open_source(), "by_page", says, cursor=cursor("2026", dt.timedelta(seconds=5)))


def test_a_row_from_the_future_does_not_carry_the_watermark_away(api, open_source) -> None:
    answers(api, {"id": 1, "updated_at": "2026-01-01T00:00:00Z"}, {"id": 2, "updated_at": "2099-01-01T00:00:00Z"})
    reading = open_source().read(ReadRequest(stream="items", cursor=cursor(None), now=NOW))
    assert sum(batch.num_rows for batch in reading) == 2
    assert reading.position() == {"watermark": "2026-01-01 00:00:00.000000Z"}


def test_a_stored_cursor_in_the_future_is_named(open_source) -> None:
    with pytest.raises(StateError, match="in the future of 2026-06-01"):
        open_source().read(ReadRequest(stream="items", cursor=cursor("2099-01-01 00:00:00Z"), now=NOW))


# ------------------------------------------------------------------------------------------------------ nesting

NESTED: dict[str, Any] = {
    "data_selector": "items",
    "paginator": {"type": "offset", "total_path": "total"},
    "parent": {
        "stream": "projects",
        "keys": {"project_id": "id", "project": "name"},
        "paginator": {"type": "page_number"},
    },
}


@pytest.mark.parametrize("parallel", [1, 2, 8])
def test_children_carry_their_parents_keys_in_order(open_source, parallel: int) -> None:
    says = {**NESTED, "parent": {**NESTED["parent"], "parallel": parallel}}
    found = rows(open_source(), "projects/{project_id}/items", says)
    assert [(row["project_id"], row["project"], row["id"]) for row in found] == [
        *((1, "project 1", 100 + one) for one in range(5)),
        *((3, "project 3", 300 + one) for one in range(4)),
    ]


def test_a_parent_that_is_gone_fails_or_is_skipped(api, open_source) -> None:
    api.always("/v1/projects/2/items", Fault(404))
    stream = "projects/{project_id}/items"
    with pytest.raises(StreamUnknown):
        rows(open_source(), stream, NESTED)
    assert len(rows(open_source(), stream, {**NESTED, "parent": {**NESTED["parent"], "not_found": "skip"}})) == 9


def test_a_parent_without_its_key_is_named(open_source) -> None:
    says = {**NESTED, "parent": {**NESTED["parent"], "keys": {"project_id": "uuid"}}}
    with pytest.raises(SchemaConflict, match="no key at 'uuid'"):
        rows(open_source(), "projects/{project_id}/items", says)


def test_an_error_in_one_of_many_ends_the_read_and_its_threads(api, open_source) -> None:
    api.projects = [{"id": one, "name": "x", "items": [{"id": one}]} for one in range(30)]
    api.always("/v1/projects/7/items", Fault(403))
    source = open_source()
    with pytest.raises(Exception, match="answers 403"):
        rows(source, "projects/{project_id}/items", {**NESTED, "types": {"id": "integer"}, "sample": 0})
    assert [one.name for one in threading.enumerate() if one.name == THREAD] == []


def test_grandchildren_know_all_above_them(api, open_source) -> None:
    answers(api, {"id": "a"}, {"id": "b"}, path="/v1/orgs")
    for org in "ab":
        answers(api, {"id": 1}, {"id": 2}, path=f"/v1/orgs/{org}/teams")
        for team in (1, 2):
            answers(api, {"name": f"{org}{team}"}, path=f"/v1/orgs/{org}/teams/{team}/people")
    teams = {"stream": "orgs/{org}/teams", "keys": {"org": "org", "team": "id"}}
    says = {"parent": {**teams, "parent": {"stream": "orgs", "keys": {"org": "id"}}}}
    found = rows(open_source(), "orgs/{org}/teams/{team}/people", says)
    assert [(row["org"], row["team"], row["name"]) for row in found] == [
        ("a", 1, "a1"), ("a", 2, "a2"), ("b", 1, "b1"), ("b", 2, "b2"),
    ]  # fmt: skip


# -------------------------------------------------------------------------------------------------------- types


def test_nested_values_become_columns_by_path(api, open_source) -> None:
    answers(api, {"id": 1, "address": {"city": "Ulm"}, "tags": [{"k": "a"}, {"k": "b"}]}, {"id": 2, "address": None})
    found = rows(open_source(), "items", {"columns": {"city": "address.city", "keys": "tags[*].k"}})
    assert [(row["city"], row["keys"]) for row in found] == [("Ulm", ["a", "b"]), (None, [])]
    assert json.loads(found[0]["address"]) == {"city": "Ulm"}


def test_the_schema_of_a_sample_stays_and_drift_is_rejected_row_by_row(api, open_source) -> None:
    good = [{"id": one, "size": one, "at": "2026-01-01"} for one in range(5)]
    drifted = [
        {"id": 5, "size": "big"},
        {"id": 6, "size": 1.5},
        {"id": 7, "size": True},
        {"id": 8, "at": "soon"},
        "text",
    ]
    answers(api, *good, *drifted, {"id": 9, "size": "12", "new": 1})
    source = open_source()
    reading = source.read(ReadRequest(stream="items", options={"rest": {"sample": 5}}))
    found = [row for batch in reading for row in batch.to_pylist()]
    assert reading.schema.field("size").type == pa.int64()
    assert reading.schema.field("at").type == pa.date32()
    assert [row["id"] for row in found] == [0, 1, 2, 3, 4, 9]
    assert found[-1]["size"] == 12
    assert [(one.rule, one.key.get("id")) for one in reading.rejections] == [
        ("type", 5), ("type", 6), ("type", 7), ("type", 8), ("json_object", None),
    ]  # fmt: skip
    assert "'size'" in reading.rejections[0].reason
    assert '"big"' in reading.rejections[0].reason
    assert reading.rejections[0].key["record"] == 6


def test_decimals_keep_their_digits(api, open_source) -> None:
    body = b'[{"id": 1, "price": 0.1000000000000000055}, {"id": 2, "price": 12345678901234567.89}]'
    api.always("/v1/items", Fault(200, body))
    found = rows(open_source(), "items", {"types": {"price": "decimal(38,19)"}})
    assert [str(row["price"]) for row in found] == ["0.1000000000000000055", "12345678901234567.8900000000000000000"]


def test_too_much_drift_ends_the_read(api, open_source) -> None:
    answers(api, *({"id": "x"} for _ in range(10_001)))
    with pytest.raises(SchemaConflict, match="more than 10000 records do not fit"):
        rows(open_source(), "items", {"types": {"id": "integer"}, "sample": 0})


def test_an_empty_stream_needs_declared_columns(api, open_source) -> None:
    answers(api)
    with pytest.raises(SchemaConflict, match="its columns are not known"):
        rows(open_source(), "items", {})
    assert rows(open_source(), "items", {"types": {"id": "integer"}}) == []


def test_several_lists_need_a_selector(api, open_source) -> None:
    api.always("/v1/items", Fault(200, b'{"items": [{"id": 1}], "errors": [], "one": {"x": 2}}'))
    with pytest.raises(SchemaConflict, match="the lists 'items', 'errors'"):
        rows(open_source(), "items", {})
    with pytest.raises(SchemaConflict, match=r"nothing at 'data\.items'"):
        rows(open_source(), "items", {"data_selector": "data.items"})
    assert rows(open_source(), "items", {"data_selector": "one"}) == [{"x": 2}]


def test_signs_of_more_pages_are_said_aloud(api, open_source, caplog) -> None:
    rows(open_source(), "by_link", {})
    assert "names no paginator: one page is read" in caplog.text


# ------------------------------------------------------------------------------------------------------ waiting


def test_requests_keep_the_pace(api, open_source) -> None:
    started = time.monotonic()
    rows(open_source(requests_per_second=20), "by_offset", {"paginator": {"type": "offset"}, "sample": 1})
    assert time.monotonic() - started > (len(api.met) - 2) / 20


def test_a_spent_quota_is_waited_for(api, open_source) -> None:
    api.fail("/v1/items", Fault(200, b'[{"id": 1}]', {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "0.4"}))
    started = time.monotonic()
    rows(open_source(), "items", {})
    assert time.monotonic() - started >= 0.4
    api.fail("/v1/items", Fault(200, b'[{"id": 1}]', {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "9000"}))
    with pytest.raises(StoreBusy, match="asks to wait"):
        rows(open_source(), "items", {})


def test_a_date_in_retry_after_is_meant_by_the_servers_clock(api, open_source) -> None:
    headers = {"retry-after": "Wed, 01 Jan 2020 00:00:01 GMT", "date": "Wed, 01 Jan 2020 00:00:00 GMT"}
    api.fail("/v1/items", Fault(429, b"{}", headers))
    started = time.monotonic()
    assert len(rows(open_source(), "items", {})) == 20
    assert time.monotonic() - started >= 1


def test_wrong_options_are_named(open_source) -> None:
    with pytest.raises(UsageError, match="paginater"):
        rows(open_source(), "items", {"paginater": {}})
    with pytest.raises(UsageError, match="nothing gives 'project_id' a value"):
        rows(open_source(), "projects/{project_id}", {})
    with pytest.raises(UsageError, match="no options 'delimiter'"):
        list(open_source().read(ReadRequest(stream="items", options={"delimiter": ";"})))


def test_a_limit_asks_for_no_more_pages_than_it_needs(api, open_source) -> None:
    says = {"paginator": {"type": "offset"}, "types": {"id": "integer"}, "sample": 0}
    assert len(rows(open_source(), "by_offset", says, limit=4)) == 4
    assert len(api.met) <= 7


def test_caps_hold_for_nested_resources_together(open_source) -> None:
    with pytest.raises(ResourceExhausted, match="more than 6 records"):
        rows(open_source(), "projects/{project_id}/items", {**NESTED, "max_records": 6})
