"""Queries, their errors, and what introspection finds."""

from __future__ import annotations

import json
import logging
import time
from typing import Any

import pytest

from api_server import ApiServer, Fault
from api_server.server import SECRET
from data_workbench.connectors.base import ReadRequest
from data_workbench.connectors.graphql.source import GraphqlSource
from data_workbench.errors import (
    AccessDenied,
    FatalError,
    ResourceExhausted,
    SchemaConflict,
    StoreBusy,
    StoreUnavailable,
    StreamUnknown,
    Unsupported,
    UsageError,
    WorkbenchError,
)

PAGED = "query($after: String, $first: Int) { items(after: $after, first: $first) { nodes { id owner { login } } %s } }"
INFO = "pageInfo { hasNextPage endCursor }"


def rows(source: GraphqlSource, says: dict[str, Any], stream: str = "items", **asked: Any) -> list[dict[str, Any]]:
    reading = source.read(ReadRequest(stream=stream, options={"graphql": says}, **asked))
    return [row for batch in reading for row in batch.to_pylist()]


def test_variables_take_params_and_columns_take_paths(api, open_source) -> None:
    says = {"query": PAGED % INFO, "variables": {"first": "$size"}, "columns": {"login": "owner.login"}}
    found = rows(open_source(), says, params={"size": 2}, columns=("id", "login"))
    assert found[:2] == [{"id": 1, "login": "user1"}, {"id": 2, "login": "user2"}]
    assert len(found) == 20
    sent = [json.loads(one.body)["variables"] for one in api.met]
    assert {"first": 2, "after": "18"} in sent


def test_a_stream_without_a_query_reads_its_plain_fields(open_source) -> None:
    source = open_source()
    assert {"items", "loose"} <= {one.name for one in source.discover()}
    assert [one.name for one in source.discover("lo*")] == ["loose"]
    names = source.describe("items").schema.names
    assert "tags" in names
    assert not {"owner", "broken"} & set(names)


def test_what_introspection_cannot_read_is_named(open_source) -> None:
    with pytest.raises(StreamUnknown, match="no root field 'itmes'"):
        rows(open_source(), {}, stream="itmes")
    with pytest.raises(Unsupported, match="needs id"):
        rows(open_source(), {}, stream="item")
    with pytest.raises(Unsupported, match="gives no list"):
        rows(open_source(), {}, stream="version")
    with pytest.raises(Unsupported, match="does not allow introspection"):
        rows(open_source(introspection=False), {})
    assert open_source(introspection=False).discover() == []


def test_a_query_without_page_info_says_so(open_source, caplog) -> None:
    assert len(rows(open_source(), {"query": PAGED % ""})) == 3
    assert "asks for no pageInfo: one page is read" in caplog.text


def test_a_query_that_does_not_use_its_cursor_is_named(api, open_source) -> None:
    query = "{ items { nodes { id } pageInfo { hasNextPage endCursor } } }"
    with pytest.raises(ResourceExhausted, match="the cursor '3' was met before"):
        rows(open_source(), {"query": query, "sample": 0, "types": {"id": "integer"}})
    assert len(api.met) == 2


def test_a_next_page_without_a_cursor_is_named(open_source) -> None:
    with pytest.raises(SchemaConflict, match="no endCursor"):
        rows(open_source(), {"query": PAGED % "pageInfo { hasNextPage }"})


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("{ items { nodes { id } }", "Syntax Error"),
        ("mutation { wipe }", "a mutation is not sent"),
        ("query a { version } query b { version }", "one operation, here are 2"),
        ("{ x " * 3000 + " }" * 3000, "deep"),
        ("{ " + "x " * 20_000 + "}", "Syntax Error"),
    ],
)
def test_a_query_that_may_not_be_sent_is_named(api, open_source, query: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        rows(open_source(), {"query": query})
    assert api.met == []


def test_a_variable_that_is_not_declared_is_named(open_source) -> None:
    with pytest.raises(UsageError, match=r"does not declare the variable \$first"):
        rows(open_source(), {"query": "{ version }", "variables": {"first": 1}})


# ------------------------------------------------------------------------------------------ errors with status 200


def refused(code: str | None = None, data: Any = None, **extensions: Any) -> Fault:
    error: dict[str, Any] = {"message": f"no {SECRET}", "path": ["items", 0]}
    if code:
        error["extensions"] = {"code": code}
    return Fault(200, json.dumps({"data": data, "errors": [error, error], "extensions": extensions}).encode())


@pytest.mark.parametrize(
    ("fault", "kind", "says"),
    [
        (refused("UNAUTHENTICATED"), AccessDenied, "UNAUTHENTICATED at items.0"),
        (refused("THROTTLED"), StoreBusy, r"THROTTLED.*3 tries"),
        (refused("INTERNAL_SERVER_ERROR"), StoreUnavailable, r"3 tries"),
        (refused(), FatalError, r"answers an error at items.0: no \*\*\* \(and 1 more\)"),
        (refused(data={"items": {"nodes": []}}), SchemaConflict, "partial and is not loaded"),
        (Fault(400, b'{"errors": [{"message": "Cannot query field"}]}'), FatalError, "answers 400: Cannot query field"),
        (Fault(200, b'{"data": null}'), SchemaConflict, "without data"),
        (Fault(200, b"[1]"), SchemaConflict, "no GraphQL"),
        (Fault(200, b"<html>", {"content-type": "text/html"}), SchemaConflict, "HTML"),
        (Fault(401), AccessDenied, "answers 401"),
        (Fault(503), StoreUnavailable, "3 tries"),
    ],
)
def test_errors_are_named_without_secrets(
    api: ApiServer, open_source, caplog, fault: Fault, kind: type[WorkbenchError], says: str
) -> None:
    caplog.set_level(logging.DEBUG)
    api.always("/graphql", fault)
    source = open_source(password=SECRET, max_tries=3)
    with pytest.raises(kind, match=says) as caught:
        rows(source, {"query": PAGED % INFO})
    assert type(caught.value) is kind
    assert SECRET not in str(caught.value.as_dict()) + caplog.text + source.check().detail
    assert not source.check().ok


def test_a_field_that_fails_makes_the_data_partial(open_source) -> None:
    query = "{ items { nodes { id broken(how: 1) } } }"
    with pytest.raises(SchemaConflict, match=r"items\.nodes\.0\.broken: this one is broken"):
        rows(open_source(), {"query": query})


def test_costs_are_waited_for_as_long_as_they_take(api, open_source) -> None:
    status = {"currentlyAvailable": 10, "restoreRate": 100}
    api.fail("/graphql", refused("THROTTLED", cost={"requestedQueryCost": 50, "throttleStatus": status}))
    started = time.monotonic()
    assert len(rows(open_source(), {"query": PAGED % INFO})) == 20
    assert time.monotonic() - started >= 0.4
