"""Params: typed at the door, the same after a trip through JSON, refused in words that name them."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_workbench.errors import UsageError
from data_workbench.language.params import MAX_TEXT, read_params, restore, to_json
from data_workbench.language.spec import Param

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "text": st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=50),
    "integer": st.integers(-(2**63), 2**63 - 1),
    "number": st.floats(allow_nan=False),
    "boolean": st.booleans(),
    "date": st.dates(),
    "timestamp": st.datetimes(timezones=st.timezones() | st.just(UTC), allow_imaginary=False),
    "uuid": st.uuids(),
}


@given(st.sampled_from(sorted(VALUES)).flatmap(lambda kind: st.tuples(st.just(kind), VALUES[kind])))
def test_what_is_given_as_text_or_json_comes_back_the_same_from_the_metastore(case: tuple[str, Any]) -> None:
    kind, value = case
    given_as = {date: str, datetime: str, uuid.UUID: str}
    raw = value.isoformat() if isinstance(value, date) else given_as.get(type(value), lambda one: one)(value)
    typed = read_params({"x": Param(type=kind)}, {"x": raw})  # type: ignore[arg-type]  # one of the names
    stored = json.loads(json.dumps(to_json(typed)))
    assert restore({"x": kind}, stored) == typed
    assert read_params({"x": Param(type=kind)}, stored) == typed  # type: ignore[arg-type]  # as above
    wanted = str(value) if isinstance(value, uuid.UUID) else value
    if isinstance(value, datetime):  # A time of an hour that came twice equals none of another zone (PEP 495).
        wanted = value.replace(tzinfo=timezone(value.utcoffset() or timedelta()))
    assert typed["x"] == wanted
    if kind != "boolean":
        assert read_params({"x": Param(type=kind)}, {"x": str(raw)}) == typed  # type: ignore[arg-type]  # as above


@pytest.mark.parametrize(
    ("kind", "raw"),
    [
        ("integer", "1.5"),
        ("integer", 1.5),
        ("integer", True),
        ("integer", 2**63),
        ("integer", "1e3"),
        ("number", "one"),
        ("number", False),
        ("boolean", "maybe"),
        ("boolean", 2),
        ("date", "2026-02-30"),
        ("date", "23.11.2026"),
        ("timestamp", "soon"),
        ("uuid", "1234"),
        ("text", "a\x00b"),
        ("text", "x" * (MAX_TEXT + 1)),
        ("text", ["a"]),
        ("integer", {"a": 1}),
        ("integer", float("inf")),
        ("integer", "9" * 5000),
    ],
)
def test_a_value_of_another_kind_is_refused_by_name(kind: str, raw: Any) -> None:
    with pytest.raises(UsageError, match="param 'x'") as caught:
        read_params({"x": Param(type=kind)}, {"x": raw})  # type: ignore[arg-type]  # one of the names
    assert caught.value.exit_code == 2
    assert len(caught.value.message) < 300


def test_a_timestamp_without_a_zone_is_in_utc() -> None:
    assert read_params({"x": Param(type="timestamp")}, {"x": "2026-11-23T12:00:00"})["x"] == datetime(
        2026, 11, 23, 12, tzinfo=UTC
    )


def test_a_uuid_has_one_form() -> None:
    text = "{6BA7B810-9DAD-11D1-80B4-00C04FD430C8}"
    assert read_params({"x": Param(type="uuid")}, {"x": text})["x"] == "6ba7b810-9dad-11d1-80b4-00c04fd430c8"


def test_defaults_required_values_and_unknown_names() -> None:
    declared = {
        "a": Param(type="integer", default=3),
        "b": Param(type="text"),
        "c": Param(type="text", required=True, values=["x", "y"]),
    }
    assert read_params(declared, {"c": "x"}) == {"a": 3, "b": None, "c": "x"}
    assert read_params(declared, {"c": "y", "a": "4", "b": None}) == {"a": 4, "b": None, "c": "y"}
    with pytest.raises(UsageError, match=r"'c' \(text\) is required"):
        read_params(declared, {})
    with pytest.raises(UsageError, match="param 'c' is 'z'") as caught:
        read_params(declared, {"c": "z"})
    assert caught.value.hint == "allowed: x, y"
    with pytest.raises(UsageError, match="unknown param 'd'") as caught:
        read_params(declared, {"c": "x", "d": "1"})
    assert caught.value.hint == "this pipeline's params: a, b, c"


def test_a_default_is_typed_like_a_given_value() -> None:
    assert read_params({"d": Param(type="date", default="2026-11-23")}, {})["d"] == date(2026, 11, 23)
    with pytest.raises(UsageError, match="not an ISO 8601 date"):
        read_params({"d": Param(type="date", default="never")}, {})
