"""Values of every type pass exactly, through steps that look at the row and steps that remake it."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

if TYPE_CHECKING:
    from .conftest import Bench


def _naive(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC).replace(tzinfo=None)  # type: ignore[misc,arg-type]


BIG = Decimal("123456789012345678901234567890.12345678")
VALUES: dict[str, tuple[pa.DataType, list[Any]]] = {
    "bool": (pa.bool_(), [True, False, None]),
    "int8": (pa.int8(), [-128, 127, None]),
    "int64": (pa.int64(), [-(2**63), 2**63 - 1, None]),
    "uint64": (pa.uint64(), [0, 2**64 - 1, None]),
    "float32": (pa.float32(), [0.5, -0.0, None]),
    "float64": (pa.float64(), [0.1, float("inf"), None]),
    "decimal": (pa.decimal128(12, 2), [Decimal("1.10"), Decimal("-9999999999.99"), None]),
    "decimal38": (pa.decimal128(38, 8), [BIG, Decimal("0E-8"), None]),
    "decimal76": (pa.decimal256(60, 10), [Decimal("1" * 50 + ".1234567890"), Decimal("-0.0000000001"), None]),
    "text": (pa.string(), ["", "é😀\u202eאב \"'\\", None]),
    "large_text": (pa.large_string(), ["a", "b" * 3000, None]),
    "bytes": (pa.binary(), [b"", b"\x00\xff'", None]),
    "date": (pa.date32(), [date(1, 1, 1), date(9999, 12, 31), None]),
    "time": (pa.time64("us"), [time(0), time(23, 59, 59, 999999), None]),
    "timestamp": (pa.timestamp("us"), [_naive(1, 1, 1), _naive(9999, 12, 31, 23, 59, 59, 999999), None]),
    "timestamptz": (
        pa.timestamp("us", "UTC"),
        [datetime(1970, 1, 1, tzinfo=UTC), datetime(2026, 3, 29, 1, 30, tzinfo=UTC), None],
    ),
    "nanoseconds": (pa.timestamp("ns"), [_naive(2020, 1, 1), _naive(1969, 12, 31), None]),
    "zoned": (
        pa.timestamp("us", "Europe/Berlin"),
        [datetime(2026, 10, 25, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC), None],
    ),
    "list": (pa.list_(pa.string()), [["a", None], [], None]),
    "nested": (pa.list_(pa.list_(pa.int32())), [[[1], None, []], [], None]),
    "array": (pa.list_(pa.float32(), 2), [[0.5, 1.5], [2.5, 3.5], None]),
    "struct": (
        pa.struct([("a", pa.int32()), ("b", pa.list_(pa.string()))]),
        [{"a": 1, "b": ["x"]}, {"a": None, "b": None}, None],
    ),
    "structs": (
        pa.list_(pa.struct([("k", pa.string()), ("n", pa.decimal128(5, 2))])),
        [[{"k": "x", "n": Decimal("1.50")}], [], None],
    ),
    "map": (pa.map_(pa.string(), pa.int32()), [[("a", 1), ("b", None)], [], None]),
}


@pytest.fixture(scope="module")
def table() -> pa.Table:
    columns: dict[str, pa.Array] = {name: pa.array(values, kind) for name, (kind, values) in VALUES.items()}
    return pa.table({"row": [1, 2, 3], **columns})


STEPS: dict[str, list[dict[str, Any]]] = {
    "filter": [{"name": "s", "filter": "row > 0"}],
    "derive and deduplicate": [{"name": "d", "derive": {"x": "row + 1"}}, {"name": "s", "deduplicate": {"by": "row"}}],
    "join": [{"name": "s", "input": "t", "join": {"with": "o", "on": {"row": "o"}, "how": "left"}}],
    "lookup": [
        {
            "name": "s",
            "input": "t",
            "lookup": {"connection": "c", "stream": "s", "on": {"row": "o"}, "take": {"y": "o"}},
        }
    ],
    "unnest": [
        {"name": "l", "input": "t", "derive": {"xs": "[row]"}},
        {"name": "s", "unnest": {"column": "xs", "into": "x"}},
    ],
}


@pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS)
def test_every_type_passes_exactly(bench: Bench, table: pa.Table, steps: list[dict[str, Any]]) -> None:
    other = pa.table({"o": [1, 2, 3]})
    steps = [{"input": "t", **step} if index == 0 else step for index, step in enumerate(steps)]
    out = bench.run({"t": table, "o": other}, steps, sides={"lookup:s": other}, about={"t": {"key": ("row",)}})
    got = out.tables["s"].select(table.column_names)
    assert got.schema.types == table.schema.types
    for name in table.column_names:
        assert str(got.column(name).to_pylist()) == str(table.column(name).to_pylist()), name


def test_nan_and_minus_zero_pass(bench: Bench) -> None:
    table = pa.table({"x": [math.nan, -0.0]})
    values = bench.run({"t": table}, [{"name": "f", "filter": "TRUE"}]).column("f", "x")
    assert math.isnan(values[0])
    assert math.copysign(1, values[1]) == -1


def test_every_type_can_be_told_in_the_quarantine(bench: Bench, table: pa.Table) -> None:
    columns = {name: {"values": ["no"]} for name in ("text",)}
    out = bench.run({"t": table}, contract={"t": {"columns": columns}})
    assert len(out.quarantine) == 2
    assert '"decimal38":"123456789012345678901234567890.12345678"' in out.quarantine[0]["row"]
