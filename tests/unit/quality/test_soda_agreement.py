"""Soda counts the rows that the compiled predicates reject, for every rule it evaluates, on nasty values."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from data_workbench.quality.contract import Contract
from data_workbench.quality.predicates import compile_contract
from data_workbench.quality.soda import verify
from data_workbench.records.types import with_native

WORDS = [
    "",
    " ",
    "a",
    "A",
    "é",
    "e\u0301",
    "🧨🧨",
    "ערבית",
    "it's",
    '"',
    "\\d",
    "a\nb",
    "a\x00b",
    "NULL",
    "0",
    "1.50",
    None,
]
ROWS = pa.table(
    {
        "t": WORDS,
        "i": pa.array([0, 1, -1, 2**63 - 1, -(2**63), *range(11), None], pa.int64()),
        "f": pa.array(
            [0.0, -0.0, 0.1, float("nan"), float("inf"), float("-inf"), 1e-300, *range(9), None], pa.float64()
        ),
        "d": pa.array([Decimal(n) / 8 for n in range(-8, 8)] + [None], pa.decimal128(20, 3)),
        "n": pa.array(["10", "9.5", "1e2", "NaN", "-0", "x", "", *map(str, range(9)), None]),
        "b": pa.array([True, False, None] * 5 + [True, None]),
        "day": pa.array([date(1, 1, 1), date(2026, 1, 1), date(9999, 12, 31)] * 5 + [date(2026, 1, 2), None]),
        "at": pa.array(
            [datetime(2026, 1, 1, 0, 0, n % 3, tzinfo=UTC) for n in range(16)] + [None], pa.timestamp("us", "UTC")
        ),
        "local": pa.array([datetime(2026, 1, 1, 0, 0, n % 3) for n in range(16)] + [None], pa.timestamp("us")),  # noqa: DTZ001
        "clock": pa.array([time(n, 30) for n in range(16)] + [None], pa.time64("us")),
        "l": pa.array([[None] * (n % 4) for n in range(16)] + [None], pa.list_(pa.string())),
        "raw": pa.array([b"\x00" * (n % 4) for n in range(16)] + [None], pa.binary()),
    },
    schema=pa.schema(
        [
            ("t", pa.string()),
            ("i", pa.int64()),
            ("f", pa.float64()),
            ("d", pa.decimal128(20, 3)),
            with_native(pa.field("n", pa.string()), "numeric"),
            ("b", pa.bool_()),
            ("day", pa.date32()),
            ("at", pa.timestamp("us", "UTC")),
            ("local", pa.timestamp("us")),
            ("clock", pa.time64("us")),
            ("l", pa.list_(pa.string())),
            ("raw", pa.binary()),
        ]
    ),
)
PROMISES: list[dict[str, dict[str, Any]]] = [
    {name: {"required": True, "unique": True} for name in ("t", "i", "d", "n", "day", "at", "clock")},
    {"t": {"values": ["a", "it's", "\\d", "", 0, 1.5], "pattern": "[a-z']", "min_length": 1, "max_length": 2}},
    {"t": {"min": "A", "max": "a", "pattern": "\\\\d|^\\s$"}},
    {"i": {"min": 0, "max": 9, "pattern": "^-?1"}},
    {"i": {"values": [1, 2, 9223372036854775807], "min": -1.5}},
    {"f": {"min": 0, "max": 0.1}},
    {"f": {"values": [0, 0.1, 7], "type": "integer"}},
    {"d": {"min": -0.5, "max": 0.125, "values": [0.125, 0.25, 0]}},
    {"n": {"min": 5, "max": 10, "type": "decimal(10,2)"}},
    {"n": {"values": [10, 9.5, 100]}},
    {"b": {"values": [True]}},
    {"day": {"min": "2026-01-01", "max": "2026-01-01", "values": ["2026-01-01", "0001-01-01"]}},
    {"at": {"min": "2026-01-01T01:00:01+01:00", "max": "2026-01-01 00:00:01"}},
    {"local": {"min": "2026-01-01 00:00:01", "type": "timestamp"}},
    {"clock": {"min": "05:30", "max": "05:30:00"}},
    {"l": {"min_length": 1, "max_length": 2}},
    {"raw": {"min_length": 1, "max_length": 2}},
    {"t": {"type": "integer"}, "i": {"type": "text"}},
]


@pytest.mark.parametrize("columns", PROMISES, ids=lambda columns: "-".join([*columns, *next(iter(columns.values()))]))
def test_soda_counts_what_the_predicates_reject(columns: dict[str, dict[str, Any]]) -> None:
    contract = Contract.model_validate({"columns": columns})
    compiled = compile_contract("clean", contract, ROWS.schema)
    found = {one.name: one for one in verify(contract, ROWS, "clean")}
    with duckdb.connect(config={"threads": 1}) as engine:
        engine.execute("SET TimeZone = 'UTC'")
        engine.register("given", ROWS)
        for rule in compiled.rules:
            [(rejected,)] = engine.execute(f"SELECT count(*) FROM given WHERE NOT {rule.predicate}").fetchall()
            assert found[rule.name].failing == rejected, rule
        for group in compiled.unique:
            name = ", ".join(f'"{column}"' for column in group)
            statement = f"SELECT count({name}) - count(DISTINCT {name}) FROM given"
            [(rejected,)] = engine.execute(statement).fetchall()
            assert found[f"unique {', '.join(group)}"].failing == rejected, group


def test_keys_of_several_columns_are_told_apart_whatever_they_hold() -> None:
    # Soda hashes the columns together: values that would look alike when joined must not.
    pairs = [("a", "b"), ("ab", ""), ("", "ab"), ("a|", "b"), ("a", "|b"), ("a", None), ("a", None), (None, None)]
    table = pa.table({"x": [x for x, _ in pairs], "y": [y for _, y in pairs]})
    contract = Contract.model_validate({"unique": [["x", "y"]]})
    assert verify(contract, table, "clean")[0].failing == 0
    doubled = pa.concat_tables([table, table.slice(0, 1)])
    assert verify(contract, doubled, "clean")[0].failing == 1
