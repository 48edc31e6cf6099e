"""Literals and back, for every logical type."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_workbench.connectors.rdf.client import parse_term
from data_workbench.errors import SchemaConflict
from data_workbench.mapping.rdf_values import XSD, as_kept, datatype_of, from_lexical, iri, literal, n3, to_lexical
from data_workbench.records.types import with_native

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
CASES = [
    (pa.bool_(), [True, False], "boolean"),
    (pa.int8(), [-128, 127], "integer"),
    (pa.uint64(), [2**64 - 1], "integer"),
    (pa.float64(), [float("inf"), float("-inf"), 5e-324, 0.1], "double"),
    (pa.float32(), [0.5], "float"),
    (pa.decimal128(38, 4), [Decimal("1.1000"), Decimal("-9999999999999999999999999999999999.9999")], "decimal"),
    (pa.date32(), [dt.date(1, 1, 1), dt.date(9999, 12, 31)], "date"),
    (pa.time64("us"), [dt.time(23, 59, 59, 999_999)], "time"),
    (pa.timestamp("us"), [dt.datetime(2026, 1, 1, 8, 0, 0, 1)], "dateTime"),  # noqa: DTZ001  # naive on purpose
    (pa.timestamp("us", "UTC"), [dt.datetime(2026, 1, 1, tzinfo=dt.UTC)], "dateTime"),
    (pa.binary(), [b"", b"\x00\xff"], "base64Binary"),
    (pa.string(), ["", " x ", "\x00\x1f"], "string"),
    (pa.duration("us"), [dt.timedelta(days=-1)], "integer"),
]


@pytest.mark.parametrize(("kind", "values", "datatype"), CASES, ids=[str(kind) for kind, _, _ in CASES])
def test_every_type_reads_back_equal(kind: pa.DataType, values: list[object], datatype: str) -> None:
    field = pa.field("it", kind)
    array = pa.array([*values, None], kind)
    assert datatype_of(field) == XSD + datatype
    assert from_lexical(to_lexical(array), field).equals(array)


def test_nan_and_infinity_have_the_names_of_xml_schema() -> None:
    assert to_lexical(pa.array([float("nan"), float("inf"), float("-inf")])) == ["NaN", "INF", "-INF"]


def test_nested_values_are_json_documents() -> None:
    field = pa.field("it", pa.list_(pa.struct([pa.field("a", pa.int64())])))
    array = pa.array([[{"a": 1}], []], field.type)
    assert datatype_of(field).endswith("#JSON")
    assert datatype_of(with_native(pa.field("it", pa.string()), "jsonb")).endswith("#JSON")
    assert from_lexical(to_lexical(array), field).equals(array)


def test_lexical_forms_of_others_are_read() -> None:
    assert from_lexical(["1", "0", "true"], pa.field("it", pa.bool_())).to_pylist() == [True, False, True]
    assert from_lexical(["+7", "07"], pa.field("it", pa.int64())).to_pylist() == [7, 7]
    zoned = from_lexical(["2026-01-01T02:00:00+02:00"], pa.field("it", pa.timestamp("us", "UTC")))
    assert zoned.to_pylist() == [dt.datetime(2026, 1, 1, tzinfo=dt.UTC)]
    with pytest.raises(SchemaConflict):
        from_lexical(["many"], pa.field("it", pa.int64()))


@given(TEXT)
def test_a_text_never_ends_its_literal_early(text: str) -> None:
    assert parse_term(n3(literal(text))) == literal(text)
    assert parse_term(n3(literal(text, language="en-GB"))) == literal(text, language="en-GB")
    assert "\n" not in n3(literal(text))


def test_terms_are_read_as_servers_write_them() -> None:
    assert parse_term("<http://a/b>") == iri("http://a/b")
    assert parse_term("1") == literal("1", XSD + "integer")
    assert parse_term("1.5e0") == literal("1.5e0", XSD + "double")
    assert parse_term("-.5") == literal("-.5", XSD + "decimal")
    assert parse_term("true") == literal("true", XSD + "boolean")
    assert parse_term('"a\\u0041\\U0001F6F0"') == literal("aA🛰")
    assert parse_term("") is None
    for wrong in ("http://a", '"open', "<a", '"a"^^x'):
        with pytest.raises(ValueError, match="no RDF term"):
            parse_term(wrong)


def test_a_list_of_triples_has_one_order_and_each_once() -> None:
    kept = as_kept(pa.array([["b", "a", "b"], [], None], pa.list_(pa.string())))
    assert kept.to_pylist() == [["a", "b"], None, None]
