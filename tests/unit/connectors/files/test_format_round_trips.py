"""Whatever a format can hold is read back equal: values made at random, of every type, in every format."""

from __future__ import annotations

import tempfile
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_workbench.connectors.connections import from_url
from data_workbench.connectors.files.destination import FilesDestination
from data_workbench.connectors.files.formats.table import FORMATS, WRITTEN
from data_workbench.mapping.targets import FileTarget, LoadContext
from data_workbench.mapping.text_values import to_text
from data_workbench.records.types import with_native
from data_workbench.settings import Settings

_ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_EXCEL_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\t\n"), max_size=12).filter(
    lambda text: "\ufffe" not in text and "\uffff" not in text
)
_INT64 = st.integers(-(2**63), 2**63 - 1)
_DAYS = st.integers(-719_162, 2_932_896)  # years 1 to 9999
_MICROSECONDS = st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999)


def _column(name: str, text: st.SearchStrategy[str]) -> tuple[pa.Field, st.SearchStrategy[Any]]:
    kinds: dict[str, tuple[pa.Field, st.SearchStrategy[Any]]] = {
        "bool": (pa.field("bool", pa.bool_()), st.booleans()),
        "int8": (pa.field("int8", pa.int8()), st.integers(-128, 127)),
        "int64": (pa.field("int64", pa.int64()), _INT64),
        "uint64": (pa.field("uint64", pa.uint64()), st.integers(0, 2**64 - 1)),
        "float32": (pa.field("float32", pa.float32()), st.floats(width=32)),
        "float64": (pa.field("float64", pa.float64()), st.floats()),
        "decimal": (
            pa.field("decimal", pa.decimal128(20, 4)),
            st.integers(-(10**20) + 1, 10**20 - 1).map(lambda number: Decimal(number).scaleb(-4)),
        ),
        "text": (pa.field("text", pa.string()), text),
        "uuid": (with_native(pa.field("uuid", pa.string()), "uuid"), st.uuids().map(str)),
        "binary": (pa.field("binary", pa.binary()), st.binary(max_size=12)),
        "date": (pa.field("date", pa.date32()), _DAYS),
        "time": (pa.field("time", pa.time64("us")), st.integers(0, 86_399_999_999)),
        "moment": (pa.field("moment", pa.timestamp("us")), _MICROSECONDS),
        "instant": (pa.field("instant", pa.timestamp("us", "UTC")), _MICROSECONDS),
        "milli": (pa.field("milli", pa.timestamp("ms")), st.integers(-62_135_596_800_000, 253_402_300_799_999)),
        "duration": (pa.field("duration", pa.duration("us")), _INT64),
        "list": (pa.field("list", pa.list_(pa.int64())), st.lists(st.none() | _INT64, max_size=3)),
        "object": (
            pa.field("object", pa.struct([("a b", pa.string()), ("d", pa.decimal128(6, 2))])),
            st.fixed_dictionaries(
                {
                    "a b": st.none() | text,
                    "d": st.none() | st.integers(-9999, 9999).map(lambda n: Decimal(n).scaleb(-2)),
                }
            ),
        ),
        "map": (
            pa.field("map", pa.map_(pa.string(), pa.int64())),
            st.dictionaries(text, _INT64, max_size=2).map(list_of),
        ),
        "odd name.1": (pa.field("odd name.1", pa.string()), text),
    }
    return kinds[name]


def list_of(values: dict[str, int]) -> list[tuple[str, int]]:
    return list(values.items())


NAMES = (
    *("bool", "int8", "int64", "uint64", "float32", "float64", "decimal", "text", "uuid", "binary", "date", "time"),
    *("moment", "instant", "milli", "duration", "list", "object", "map", "odd name.1"),
)


@st.composite
def _tables(draw: Any, kind: str) -> pa.Table:
    text = _EXCEL_TEXT if kind == "excel" else _ANY_TEXT
    chosen = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True))
    rows = draw(st.integers(1, 4))
    fields, arrays = [pa.field("k", pa.int64())], [pa.array(range(rows), pa.int64())]
    for name in chosen:
        item, values = _column(name, text)
        fields.append(item)
        arrays.append(pa.array(draw(st.lists(st.none() | values, min_size=rows, max_size=rows)), item.type))
    return pa.table(arrays, schema=pa.schema(fields))


@pytest.mark.slow
@pytest.mark.parametrize("kind", WRITTEN)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_values_of_every_type_read_back_equal(kind: str, data: st.DataObject) -> None:
    table = data.draw(_tables(kind))
    with tempfile.TemporaryDirectory() as folder:
        destination = FilesDestination(from_url(f"file://{folder}"), Settings())
        target = FileTarget("i", f"a{FORMATS[kind].endings[0]}", False, kind, "replace", ("k",))
        context = LoadContext("p", "d", "r", 0, "2026-01-01T00:00:00+00:00")
        with destination.open(target, table.schema, context) as writer:
            writer.write(table, 0)
            writer.finish()
        found = pa.Table.from_batches(list(destination.read_back(target, table.schema, context, None)))
    for name in table.column_names:
        assert found.schema.field(name).type == table.schema.field(name).type
        assert to_text(found.column(name)).to_pylist() == to_text(table.column(name)).to_pylist(), name
