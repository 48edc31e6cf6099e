"""Names, dates and CSV without a server."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_workbench.connectors.postgres import decode, encode, temporal
from data_workbench.connectors.postgres.names import Relation, parse_relation
from data_workbench.connectors.postgres.types import arrow_type, column_type, short_name
from data_workbench.errors import StreamUnknown
from data_workbench.records.types import with_native


@pytest.mark.parametrize(
    ("text", "schema", "name"),
    [
        ("t", "public", "t"),
        ("s.t", "s", "t"),
        ("My.Table", "My", "Table"),
        ('"My Schema"."Tab.le"', "My Schema", "Tab.le"),
        ('s."a""b"', "s", 'a"b'),
        ('"☃"', "public", "☃"),
    ],
)
def test_names_are_parsed_as_they_stand(text: str, schema: str, name: str) -> None:
    relation = parse_relation(text)
    assert relation == Relation(schema, name)
    assert parse_relation(relation.stream) == relation


@pytest.mark.parametrize("text", ["", ".", "a.", ".a", "a.b.c", '"a', 'a"b', '""'])
def test_what_is_no_name_is_told(text: str) -> None:
    with pytest.raises(StreamUnknown):
        parse_relation(text)


@settings(deadline=None, database=None)
@given(st.dates())
def test_days_are_those_of_the_calendar(day: dt.date) -> None:
    days = temporal.days_of(day.year, day.month, day.day)
    assert days == (day - dt.date(1970, 1, 1)).days
    assert temporal.date_of(days) == (day.year, day.month, day.day)


@settings(deadline=None, database=None)
@given(st.integers(-2_400_000, 2_000_000_000))
def test_days_beyond_the_calendar_come_back(days: int) -> None:
    assert temporal.days_of(*temporal.date_of(days)) == days


@settings(deadline=None, database=None)
@given(st.lists(st.one_of(st.none(), st.binary(max_size=9)), max_size=9), st.integers(0, 3))
def test_bytes_become_hex_and_back(values: list[bytes | None], skipped: int) -> None:
    array = pa.array(values, pa.binary()).slice(skipped)
    printed = encode.printable(pa.table({"v": array})).column(0).combine_chunks()
    texts = printed.chunk(0) if isinstance(printed, pa.ChunkedArray) else printed
    assert decode.from_text(texts.cast(pa.string()), pa.binary()).to_pylist() == values[skipped:]


def test_lists_become_array_literals() -> None:
    values = pa.array([["a", None, 'q"u', "b\\s", "", "NULL"], [], None], pa.list_(pa.string()))
    literals = encode.array_literals(values).to_pylist()
    assert literals == ['{"a",NULL,"q\\"u","b\\\\s","","NULL"}', "{}", None]
    assert encode.array_literals(values.slice(1)).to_pylist() == ["{}", None]
    assert encode.array_literals(pa.array([[[1, 2], [3, None]]])).to_pylist() == ["{{1,2},{3,NULL}}"]


def test_an_empty_text_is_not_null_in_csv() -> None:
    table = pa.table({"a": ["", None, "x,y", "\\."], "b": pa.array([1, None, 3, 4], pa.int8())})
    (block,) = encode.csv_blocks(table)
    assert block.to_pybytes() == b'"",1\n,\n"x,y",3\n"\\.",4\n'


def test_rows_with_nul_are_found_in_texts_and_lists() -> None:
    table = pa.table({"a": ["x", "a\0b", None, ""], "b": [["y"], None, ["c\0"], []]})
    mask = encode.rows_with_nul(table)
    assert mask is not None
    assert mask.to_pylist() == [False, True, True, False]
    assert encode.rows_with_nul(table.slice(3)) is None or not any(encode.rows_with_nul(table.slice(3)).to_pylist())


def test_type_names_are_short_and_lead_to_arrow() -> None:
    assert short_name("timestamp(3) with time zone") == "timestamptz(3)"
    assert short_name("character varying(20)[]") == "varchar(20)[]"
    assert arrow_type("timestamptz(3)") == pa.timestamp("us", "UTC")
    assert arrow_type("numeric(40,2)[]") == pa.list_(pa.decimal256(40, 2))
    assert arrow_type("numeric") == arrow_type("numeric(2,-3)") == pa.string()


def test_a_native_type_is_kept_only_where_the_values_fit_it() -> None:
    assert column_type(with_native(pa.field("a", pa.string()), "uuid")) == "uuid"
    assert column_type(with_native(pa.field("a", pa.int64()), "uuid")) == "int8"
    assert column_type(pa.field("a", pa.struct([("x", pa.int8())]))) == "jsonb"
    assert column_type(pa.field("a", pa.list_(pa.list_(pa.float64())))) == "float8[]"
