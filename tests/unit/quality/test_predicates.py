"""Each rule of a contract on each kind of column, as DuckDB judges it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import duckdb  # the engine that judges
import pyarrow as pa
import pytest

from data_workbench.errors import SchemaConflict
from data_workbench.quality.contract import Contract
from data_workbench.quality.predicates import compile_contract
from data_workbench.records.types import with_native


def judged(promise: dict[str, Any], values: list[Any], kind: pa.DataType, native: str | None = None) -> list[bool]:
    """Whether each value keeps all rules."""
    field = with_native(pa.field("v", kind), native)
    table = pa.table([pa.array(values, kind)], schema=pa.schema([field]))
    rules = compile_contract("node", Contract.model_validate({"columns": {"v": promise}}), table.schema).rules
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("t", table)
        rows = connection.execute(
            f"SELECT {' AND '.join(rule.predicate for rule in rules) or 'TRUE'} FROM t"
        ).fetchall()
    return [row[0] for row in rows]


TEXT = pa.string()
NEW_YEAR, HOUR = datetime(2020, 1, 1, tzinfo=UTC), timedelta(hours=1)


@pytest.mark.parametrize(
    ("promise", "values", "kind", "wanted"),
    [
        ({"required": True}, ["a", "", None], TEXT, [True, True, False]),
        ({"values": ["a", "it's"]}, ["a", "it's", "b", None], TEXT, [True, True, False, True]),
        ({"values": [1, 2]}, [1, 3], pa.int32(), [True, False]),
        ({"values": ["a"], "max_length": 1}, ["a", "b", None], pa.dictionary(pa.int8(), TEXT), [True, False, True]),
        ({"max": 2}, [1, 3], pa.dictionary(pa.int8(), pa.int64()), [True, False]),
        ({"values": [True]}, [True, False], pa.bool_(), [True, False]),
        ({"pattern": "^[A-Z]"}, ["Ab", "ab"], TEXT, [True, False]),
        ({"pattern": "b"}, ["abc", "ac"], TEXT, [True, False]),
        ({"pattern": r"^\d{3}$"}, [123, 12], pa.int64(), [True, False]),
        ({"min": 1.5, "max": 2}, [1.5, 1.4, 2.0, 2.1], pa.float64(), [True, False, True, False]),
        ({"min": 0}, [float("nan"), -1.0], pa.float64(), [True, False]),
        ({"max": "0.30"}, [Decimal("0.30"), Decimal("0.31")], pa.decimal128(10, 2), [True, False]),
        ({"min": "2020-01-01"}, [date(2020, 1, 1), date(2019, 12, 31)], pa.date32(), [True, False]),
        ({"max": "2020-01-01T00:00:00+01:00"}, [NEW_YEAR - HOUR, NEW_YEAR], pa.timestamp("us", "UTC"), [True, False]),
        ({"min": "b"}, ["b", "a"], TEXT, [True, False]),
        ({"min_length": 2, "max_length": 3}, ["é", "éé", "éééé"], TEXT, [False, True, False]),
        ({"min_length": 1}, [["a"], [], None], pa.list_(TEXT), [True, False, True]),
        ({"max_length": 1}, [b"\xc3", b"\xc3\xa9"], pa.binary(), [True, False]),
        ({"type": "integer"}, ["12", "x"], TEXT, [True, False]),
        ({"type": "uuid"}, ["6ba7b810-9dad-11d1-80b4-00c04fd430c8", "6ba7"], TEXT, [True, False]),
        ({"type": "text"}, ["x"], TEXT, [True]),
        ({"type": "json"}, ['{"a": 1}', "{"], TEXT, [True, False]),
    ],
)  # fmt: skip
def test_rules_judge_values(promise: dict[str, Any], values: list[Any], kind: pa.DataType, wanted: list[bool]) -> None:
    assert judged(promise, values, kind) == wanted


def test_a_numeric_without_scale_compares_as_a_number() -> None:
    assert judged({"min": 9}, ["10", "9.0", "8.99"], TEXT, "numeric") == [True, True, False]


@pytest.mark.parametrize(
    ("promise", "kind", "words"),
    [
        ({"pattern": "("}, TEXT, "no regular expression"),
        ({"pattern": "(?=x)"}, TEXT, "look-around"),
        ({"min": "soon"}, pa.date32(), "cannot be compared"),
        ({"min": "many"}, pa.int32(), "cannot be compared"),
        ({"min": True}, pa.int32(), "cannot be compared"),
        ({"values": ["a"]}, pa.bool_(), "cannot be compared"),
        ({"max": 1}, pa.list_(TEXT), "cannot be compared"),
        ({"type": "intger"}, TEXT, "intger"),
    ],
)
def test_rules_that_cannot_hold_are_refused(promise: dict[str, Any], kind: pa.DataType, words: str) -> None:
    with pytest.raises(SchemaConflict) as caught:
        judged(promise, [], kind)
    assert words in f"{caught.value.message} {caught.value.hint}"


def test_unique_columns_and_references_are_handed_on() -> None:
    contract = Contract.model_validate(
        {
            "columns": {"a": {"unique": True, "references": {"connection": "c", "stream": "s", "column": "x"}}},
            "unique": [["a", "b"]],
            "on_invalid": "warn",
        }
    )
    rules = compile_contract("n", contract, pa.schema([("a", TEXT), ("b", TEXT)]))
    assert rules.unique == (("a", "b"), ("a",))
    assert rules.references[0].side_input == "reference:n:a"
    assert rules.on_invalid == "warn"
