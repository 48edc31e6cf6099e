"""JSON documents by value, whatever their text."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_workbench.reconciliation.documents import canonical, conform
from data_workbench.records.marks import OP, UPSERT
from data_workbench.records.types import with_native

DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


def shuffled(value: Any) -> Any:
    """The same document with its keys the other way round."""
    if isinstance(value, dict):
        return {key: shuffled(item) for key, item in reversed(value.items())}
    return [shuffled(item) for item in value] if isinstance(value, list) else value


@given(DOCUMENTS)
def test_order_of_keys_spaces_and_escapes_say_nothing(document: Any) -> None:
    wanted = canonical(json.dumps(document))
    assert canonical(json.dumps(shuffled(document), indent=3, ensure_ascii=False)) == wanted
    assert canonical(wanted) is not None


@given(DOCUMENTS, DOCUMENTS)
def test_different_documents_stay_different(one: Any, other: Any) -> None:
    def exact(value: Any) -> Any:
        # True == 1 in Python, but not in JSON; 1.0 and 1 are one number in JSON.
        if isinstance(value, dict):
            return {key: exact(item) for key, item in value.items()}
        if isinstance(value, list):
            return [exact(item) for item in value]
        return (isinstance(value, bool), value)

    assert (canonical(json.dumps(one)) == canonical(json.dumps(other))) == (exact(one) == exact(other))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("1", "1.0", True),
        ("1e2", "100", True),
        ("-0", "0", True),
        ("0.10", "0.1", True),
        ("1.00000000000000001", "1", False),
        ("12345678901234567890123456789012345", "12345678901234567890123456789012346", False),
        ("1", '"1"', False),
        ("1", "true", False),
        ("null", '""', False),
        ("[1]", "1", False),
        ('{"a": 1, "a": 2}', '{"a": 2}', True),
        ("NaN", "Infinity", False),
        ('"\\u00e9"', '"é"', True),
        ("1" + "0" * 4299, "1e4299", True),
        ("1" + "0" * 4300, "1e4300", True),
        ("-1" + "0" * 6000, "-10e5999", True),
        ("1e999999999", "10e999999998", True),
        ("1e999999999", "1e999999998", False),
        ('{"a": "\\ud800", "b": 1}', '{"b": 1.0, "a": "\\uD800"}', True),
        ('"\\ud800"', '"\\ud801"', False),
        ('["\\ud800", 1.5]', '["\\ud800", 15e-1]', True),
    ],
)
def test_values_and_not_texts_are_compared(one: str, other: str, same: bool) -> None:
    assert (canonical(one) == canonical(other)) is same


@pytest.mark.parametrize("text", ["", "{", "not json", "[" * 100_000, "1 2"])
def test_what_is_no_document_stays_as_it_is(text: str) -> None:
    assert canonical(text) == text
    assert canonical(None) is None


def test_lists_of_documents_and_plain_text_are_told_apart() -> None:
    schema = pa.schema(
        [
            with_native(pa.field("one", pa.string()), "json"),
            with_native(pa.field("many", pa.list_(pa.string())), "jsonb[]"),
            pa.field("text", pa.string()),
        ]
    )
    rows = pa.table(
        {"one": ['{ "a" : 1 }', None], "many": [["[ 1 ]", None], None], "text": ["{ }", "x"]}, schema=schema
    )
    found = conform(rows, schema, OP, UPSERT)
    assert found.column("one").to_pylist() == [canonical('{"a":1}'), None]
    assert found.column("many").to_pylist() == [[canonical("[1]"), None], None]
    assert found.column("text").to_pylist() == ["{ }", "x"]
    assert found.column(OP).to_pylist() == [UPSERT, UPSERT]


def test_a_column_too_many_is_left_out_and_a_missing_one_is_said() -> None:
    schema = pa.schema([("id", pa.int64())])
    found = conform(pa.table({"more": [1], "id": pa.array([7], pa.int16())}), schema, OP, UPSERT)
    assert found.column_names == ["id", OP]
    with pytest.raises(KeyError, match="id"):
        conform(pa.table({"more": [1]}), schema, OP, UPSERT)
