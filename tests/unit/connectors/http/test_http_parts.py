"""The small parts a client of an API is made of: paths, bindings, waiting, columns, reading side by side."""

from __future__ import annotations

import datetime as dt
import email.utils
import threading
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from data_workbench.connectors.connections import Connection
from data_workbench.connectors.http import patience
from data_workbench.connectors.http.bindings import ABSENT, as_json, as_text, bound, references
from data_workbench.connectors.http.columns import layout_of
from data_workbench.connectors.http.origins import origin_of, segment
from data_workbench.connectors.http.parallel import side_by_side
from data_workbench.connectors.http.paths import JsonPath
from data_workbench.connectors.rest.config import RestConfig
from data_workbench.errors import SchemaConflict, UsageError
from data_workbench.records.types import native_type

# -------------------------------------------------------------------------------------------------------- paths

DOCUMENT = {
    "data": {"items": [{"id": 1, "a.b": "x"}, {"id": 2, "tags": ["t", "u"]}], "none": None},
    "list": [[1, 2], [3]],
}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("$", [DOCUMENT]),
        ("data.items[0].id", [1]),
        ("$.data.items[-1].id", [2]),
        ("data.items[*].id", [1, 2]),
        ("data.items[*].tags[*]", ["t", "u"]),
        ("data.items[0]['a.b']", ["x"]),
        ("['data'].none", [None]),
        ("list[*][0]", [1, 3]),
        ("data.nowhere.deeper", []),
        ("data.items[9]", []),
        ("list.name", []),
    ],
)
def test_a_path_finds_what_stands_there(text: str, found: list[Any]) -> None:
    assert JsonPath.parse(text).all(DOCUMENT) == found


@pytest.mark.parametrize("text", ["a..b", "a[", "a[x]", "[", "a.*", "a['x]", ".a.", "a b[]"])
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no path"):
        JsonPath.parse(text)


# ----------------------------------------------------------------------------------------------------- bindings


def test_only_whole_values_are_references() -> None:
    given_ = {"a": "$x", "b": ["$y", "no $x", "$$x"], "c": {"d": "$Z", "e": 1}}
    assert list(references(given_)) == [(("a",), "x"), (("b", 0), "y")]
    assert bound(given_, {"x": "1' OR 1=1", "y": None}) == {
        "a": "1' OR 1=1", "b": ["no $x", "$x"], "c": {"d": "$Z", "e": 1},
    }  # fmt: skip
    assert bound("$y", {}) is ABSENT


@settings(max_examples=30)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda one: st.lists(one, max_size=3) | st.dictionaries(st.text(max_size=3), one, max_size=3),
        max_leaves=6,
    )
)
def test_a_bound_value_is_never_looked_into_again(value: Any) -> None:
    if value is not None:
        assert bound("$x", {"x": value, "y": "other"}) is value


def test_values_have_one_spelling() -> None:
    zone = dt.timezone(dt.timedelta(hours=2))
    assert as_text(True) == "true"
    assert as_text(dt.datetime(2026, 1, 1, 2, tzinfo=zone)) == "2026-01-01T00:00:00Z"
    assert as_text(dt.date(2026, 1, 1)) == "2026-01-01"
    assert as_json({"n": Decimal("2"), "p": Decimal("2.5"), "d": dt.date(2026, 1, 1)}) == {
        "n": 2, "p": 2.5, "d": "2026-01-01",
    }  # fmt: skip


# ------------------------------------------------------------------------------------------------------- waiting

DATE = "Wed, 25 Nov 2026 20:00:00 GMT"
UNIX = email.utils.parsedate_to_datetime(DATE).timestamp()


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after": "Wed, 25 Nov 2026 20:00:09 GMT", "date": DATE}, 9),
        ({"retry-after": "Wed, 25 Nov 2026 19:00:00 GMT", "date": DATE}, 0),
        ({"retry-after": "soon", "x-ratelimit-reset": "3"}, None),
        ({"ratelimit-reset": "30"}, 30),
        ({"x-ratelimit-reset": str(int(UNIX) + 12), "date": DATE}, 12),
        ({"x-rate-limit-reset": str(int(UNIX + 13) * 1000), "date": DATE}, 13),
        ({"x-ratelimit-reset": "nan"}, None),
        ({"x-ratelimit-reset": "-5"}, None),
        ({}, None),
    ],
)
def test_a_server_says_how_long_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert patience.asked_wait(headers) == seconds


def test_a_spent_quota_is_seen() -> None:
    assert patience.spent_quota({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "4"}) == 4
    assert patience.spent_quota({"x-ratelimit-remaining": "1", "x-ratelimit-reset": "4"}) is None


@given(st.floats(0, 60), st.integers(1, 20))
def test_back_off_is_bounded(base: float, tries: int) -> None:
    assert 0 <= patience.backoff(base, tries) <= patience.LONGEST_BACKOFF


def test_the_pace_is_shared() -> None:
    pace = patience.Pace(10)
    turns = [pace.turn() for _ in range(4)]
    assert turns[0] == 0
    assert turns[3] == pytest.approx(0.3, abs=0.05)
    pace.hold(5)
    assert pace.turn() == pytest.approx(5, abs=0.05)


# ------------------------------------------------------------------------------------------------------- columns


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2, None], "int64"),
        ([1, Decimal("2.5")], "double"),
        ([True, None], "bool"),
        (["a", "2026-01-01"], "string"),
        (["2026-01-01", None], "date32[day]"),
        (["2026-01-01T00:00:00Z", "2026-01-01T02:00+02:00"], "timestamp[us, tz=UTC]"),
        (["2026-01-01 00:00:00"], "timestamp[us]"),
        (["2026-02-30"], "string"),
        ([["a"], []], "list<item: string>"),
        ([None], "string"),
        ([1, "a"], "json"),
        ([{"a": 1}], "json"),
        ([2**63], "json"),
        ([[1], "a"], "json"),
        ([True, 1], "json"),
    ],
)
def test_a_type_is_found_cautiously(values: list[Any], kind: str) -> None:
    found = layout_of([{"x": value} for value in values], {}, {}).schema.field("x")
    assert (native_type(found) or str(found.type)) == kind


def test_columns_that_begin_like_ours_are_left_out() -> None:
    assert layout_of([{"_wb_op": 1, "id": 2}], {}, {}).schema.names == ["id"]


def test_too_many_names_are_refused() -> None:
    with pytest.raises(SchemaConflict, match="2001 different names"):
        layout_of([{f"c{one}": 1 for one in range(2001)}], {}, {})


@pytest.mark.slow
@given(
    st.lists(
        st.one_of(
            st.none(),
            st.integers(),
            st.text(),
            st.booleans(),
            st.decimals(allow_nan=False, allow_infinity=False),
            st.just(Decimal("1e999999999")),
            st.floats(),
            st.lists(st.integers()),
            st.dictionaries(st.text(), st.integers()),
        ),
        max_size=8,
    )
)
def test_whatever_comes_is_a_row_or_is_rejected(values: list[Any]) -> None:
    records = [{"x": value} for value in values]
    for kind in ("integer", "double", "text", "boolean", "date", "timestamptz", "decimal(20,4)", "json"):
        batch, wrong = layout_of([], {}, {"x": kind}).batch(records, ["x"])
        assert batch.num_rows + len(wrong) == len(records)
        assert isinstance(batch, pa.RecordBatch)


# -------------------------------------------------------------------------------------------------- side by side


def numbers(start: int, size: int) -> Iterator[int]:
    yield from range(start, start + size)


@given(st.lists(st.integers(0, 5), max_size=8), st.integers(1, 4))
def test_streams_read_side_by_side_come_in_their_order(sizes: list[int], workers: int) -> None:
    jobs = [partial(numbers, 10 * place, size) for place, size in enumerate(sizes)]
    assert list(side_by_side(jobs, workers)) == [one for job in jobs for one in job()]


def test_no_more_are_read_at_a_time_than_allowed() -> None:
    busy, most, lock = 0, 0, threading.Lock()

    def job() -> Iterator[int]:
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        yield 1
        with lock:
            busy -= 1

    assert len(list(side_by_side([job] * 20, 3))) == 20
    assert most <= 3


# ------------------------------------------------------------------------------------------------------- origins


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("HTTPS://API.Example.org:443/x", "https://api.example.org"),
        ("http://user:secret@host:80/", "http://host"),
        ("http://host:8080", "http://host:8080"),
        ("http://[::1]:99/", "http://::1:99"),
    ],
)
def test_an_origin_has_one_spelling(url: str, origin: str) -> None:
    assert origin_of(url) == origin


@pytest.mark.parametrize("url", ["file:///etc", "javascript:x", "http://[bad", "http://host:99999/", "", "//host"])
def test_what_is_no_web_address_has_no_origin_of_ours(url: str) -> None:
    assert not origin_of(url).startswith(("http://h", "https://"))


@given(st.text(min_size=1))
def test_a_segment_stays_one(value: str) -> None:
    try:
        found = segment(value)
    except (SchemaConflict, UnicodeEncodeError):
        return
    assert not set(found) & set("/?#\\ ")
    assert found not in (".", "..")


# --------------------------------------------------------------------------------------------------- connections


def connection(**values: Any) -> Connection:
    return Connection("api", "workbench_rest", **{"host": "https://api.example.org/v1", **values})


def test_a_connection_says_how_it_logs_in() -> None:
    assert RestConfig.of(connection()).way == "none"
    assert RestConfig.of(connection(password=SecretStr("t"))).way == "bearer"
    assert RestConfig.of(connection(login="u", password=SecretStr("p"))).way == "basic"


def test_texts_of_extras_are_read_as_what_they_mean() -> None:
    extra = {
        "timeout": "5",
        "allowed_hosts": "https://a.example, b.example",
        "headers": '{"X-Tenant": "t"}',
        "scope": "",
    }
    config = RestConfig.of(connection(extra=extra))
    assert (config.timeout, config.allowed_hosts) == (5, ("https://a.example", "b.example"))
    assert config.headers["X-Tenant"].get_secret_value() == "t"


def test_a_bare_host_means_https_and_a_port_stands_beside_it() -> None:
    assert RestConfig.of(connection(host="api.example.org", port=8443)).url == "https://api.example.org:8443"


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"host": None}, "host is missing"),
        ({"host": "ftp://x"}, "https:// or http://"),
        ({"host": "https://u:hunter2@x"}, "no login"),
        ({"extra": {"auth": "oauth2_client_credentials"}}, "needs login, password, extra.token_url"),
        ({"extra": {"auth": "kerberos"}}, "extra.auth"),
        ({"extra": {"tokenurl": "x"}}, "did you mean token_url"),
        ({"extra": {"headers": {"X": ["hunter2"]}}}, "extra.headers.X"),
        ({"extra": {"headers": "hunter2"}}, "extra.headers"),
        ({"extra": {"max_tries": 0}}, "extra.max_tries"),
    ],
)
def test_a_wrong_connection_is_named_by_key_without_its_secrets(values: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        RestConfig.of(connection(**values))
    assert "hunter2" not in str(caught.value)
