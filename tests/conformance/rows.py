"""The rows the conformance suite moves: small, typed, with the nasty ones by name."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pyarrow as pa

from data_workbench.records import marks

SCHEMA = pa.schema(
    [
        pa.field("id", pa.int64()),
        pa.field("name", pa.string()),
        pa.field("amount", pa.decimal128(12, 2)),
        pa.field("ratio", pa.float64()),
        pa.field("active", pa.bool_()),
        pa.field("born", pa.date32()),
        pa.field("updated_at", pa.timestamp("us", "UTC")),
        pa.field("tags", pa.list_(pa.string())),
    ]
)

_NAMES = {
    1: "plain",
    2: "quotes \" ' ` and \\ backslash",
    3: "",
    4: None,
    5: "emoji 🛰️ and right-to-left עברית",
    6: "two\nlines\r\nand, commas\ttabs",
    7: "\\.",
    8: "{curly} $param %s :name NULL",
}


def row(number: int, **values: Any) -> dict[str, Any]:
    """One row with key `number`."""
    made: dict[str, Any] = {
        "id": number,
        "name": _NAMES.get(number, f"name {number}"),
        "amount": None if number % 4 == 0 else Decimal(number) + Decimal("0.10"),
        "ratio": number / 3,
        "active": number % 2 == 0,
        "born": dt.date(2000, 1, 1) + dt.timedelta(days=number),
        "updated_at": dt.datetime(2026, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=number, microseconds=number),
        "tags": None if number % 5 == 0 else [f"t{number}", "with, comma", 'and "quote"'][: number % 4],
    }
    return made | values


def make_rows(numbers: range) -> pa.Table:
    """Rows for these keys."""
    return pa.Table.from_pylist([row(number) for number in numbers], schema=SCHEMA)


def marked(table: pa.Table, op: str = marks.UPSERT) -> pa.Table:
    """The rows as a part: with the OP column."""
    return table.append_column(marks.OP, pa.array([op] * table.num_rows, pa.string()))


def by_key(table: pa.Table, key: tuple[str, ...] = ("id",)) -> list[dict[str, Any]]:
    """Rows as dictionaries in key order."""
    return sorted(table.to_pylist(), key=lambda one: tuple(str(one[name]).zfill(20) for name in key))
