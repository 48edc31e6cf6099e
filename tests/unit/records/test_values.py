"""Whatever a row holds becomes JSON that PostgreSQL stores, and comes back as the type it had."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pyarrow as pa
import pytest

from data_workbench.records import values
from data_workbench.records.accounting import SourceCounts


def test_values_json_lacks_become_text() -> None:
    moment = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)
    given = {
        "nan": math.nan,
        "inf": [math.inf, -math.inf],
        "decimal": Decimal("1.50"),
        "moment": moment,
        "day": date(2026, 11, 23),
        "span": timedelta(seconds=1.5),
        "bytes": b"\x00\xff",
        "uuid": UUID(int=1),
        "set": {2, 1},
        "counts": SourceCounts(read=3),
        1: "a\x00b\ud83d",
    }
    text = values.dumps(given)
    assert text.isascii()
    back = json.loads(text)
    assert back["nan"] == "NaN"
    assert back["inf"] == ["Infinity", "-Infinity"]
    assert back["decimal"] == "1.50"
    assert back["moment"] == "2026-11-23T16:00:00+00:00"
    assert back["bytes"] == "AP8="
    assert back["counts"]["read"] == 3
    assert back["set"] == [1, 2]
    assert back["1"] == "a\x00b\ud83d"


def test_an_unknown_type_is_named() -> None:
    with pytest.raises(TypeError, match="object"):
        values.dumps({"x": object()})


def test_a_key_is_one_text_whatever_the_order_of_its_columns() -> None:
    assert values.key_text({"b": Decimal("1.0"), "a": "é"}) == values.key_text({"a": "é", "b": "1.0"})


def test_text_that_postgresql_refuses_is_replaced() -> None:
    assert values.storable("a\x00b\ud83dc") == "a\N{SYMBOL FOR NULL}b?c"


def test_rows_of_arrow_come_back_as_they_were() -> None:
    micro = pa.timestamp("us", "UTC")
    schema = pa.schema(
        [
            ("i", pa.int64()),
            ("f", pa.float64()),
            ("f4", pa.float32()),
            ("d", pa.decimal128(20, 4)),
            ("s", pa.string()),
            ("b", pa.binary()),
            ("day", pa.date32()),
            ("at", micro),
            ("local", pa.timestamp("ns")),
            ("clock", pa.time64("us")),
            ("span", pa.duration("ms")),
            ("yes", pa.bool_()),
            ("tags", pa.list_(pa.string())),
            ("pair", pa.struct([("x", pa.decimal128(5, 2)), ("when", pa.date32())])),
        ]
    )
    rows = {
        "i": [1, None, -(2**63)],
        "f": [0.1, math.inf, None],
        "f4": [0.1, -math.inf, None],
        "d": [Decimal("1.2300"), None, Decimal("-0.0001")],
        "s": ["🧨", None, "a\x00b"],
        "b": [b"", b"\x00", None],
        "day": [date(1, 1, 1), None, date(2026, 1, 1)],
        # The greatest and least timestamps PostgreSQL has are far outside Python's years.
        "at": pa.array([9223371331200000000 - 1, None, -62135596800000001], pa.int64()).cast(micro),
        "local": pa.array([1, None, -1], pa.int64()).cast(pa.timestamp("ns")),
        "clock": pa.array([1, None, 86399999999], pa.int64()).cast(pa.time64("us")),
        "span": [timedelta(milliseconds=5), None, timedelta(days=-1)],
        "yes": [True, False, None],
        "tags": [["a", None], [], None],
        "pair": [{"x": Decimal("1.50"), "when": date(2026, 1, 2)}, None, {"x": None, "when": None}],
    }
    arrays = [
        pa.array(rows[name], kind) if isinstance(rows[name], list) else rows[name]
        for name, kind in zip(schema.names, schema.types, strict=True)
    ]
    table = pa.Table.from_arrays(arrays, schema=schema)
    stored = json.loads(values.dumps(values.rows_of(table)))
    assert values.table_of(stored, schema).equals(table)


def test_a_nan_comes_back_as_nan() -> None:
    table = pa.table({"f": [math.nan]})
    stored = json.loads(values.dumps(values.rows_of(table)))
    assert stored == [{"f": "NaN"}]
    assert math.isnan(values.table_of(stored, table.schema).column("f")[0].as_py())
