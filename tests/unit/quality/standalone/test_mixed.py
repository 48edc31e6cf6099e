"""One value of a wrong type in a store without types is one fault, and changes nothing for all others."""

from __future__ import annotations

import json
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from data_workbench.connectors.base import Stream
from data_workbench.pipelines.contract_files import parse_contract
from data_workbench.quality.standalone import mixed
from data_workbench.quality.standalone.rows import promised
from data_workbench.records.types import with_native


def broken(values: list[Any], promise: str, kind: str = "label") -> dict[str, list[str]]:
    """The values that break each rule, as they are stored."""
    field = with_native(pa.field("v", pa.string()), "json")
    described = Stream(name="X", schema=pa.schema([field]), key=("v",), kind=kind)
    text = f"version: 1\ncontract: x\nconnection: c\nstream: X\ncolumns: {{v: {promise}}}\n"
    contract = parse_contract(text).contract
    with duckdb.connect() as connection:
        rows = pa.table({"v": [None if value is None else json.dumps(value) for value in values]})
        connection.register("read", rows)
        names = mixed.mixed_in(connection, "read", described, {"v"})
        connection.execute(f"CREATE VIEW given AS SELECT *{mixed.plainly(names)} FROM read")
        schema = pa.schema([mixed.field_of("v", contract.columns["v"])] if names else [field])
        shown = mixed.STORED + "v" if names else "v"
        return {
            one.name: [row[0] for row in connection.execute(f'SELECT "{shown}" FROM ({one.query})').fetchall()]
            for one in promised(contract, schema, names)
        }


@pytest.mark.parametrize(
    ("values", "promise", "wanted"),
    [
        (["Ab", "Cd", 42, None], '{pattern: "^[A-Z]", min_length: 2}', {"pattern v": ["42"], "min_length v": []}),
        ([9, 10, "three"], "{min: 1, max: 30}", {"min v": ['"three"'], "max v": ['"three"']}),
        ([1, 2, "1"], "{values: [1, 3], type: integer}", {"values v": ["2"], "type v": ['"1"']}),
        (["a", "b", 5], "{values: [a, b], type: text}", {"values v": ["5"], "type v": ["5"]}),
        ([True, "true"], "{type: boolean}", {"type v": ['"true"']}),
        (["2024-01-01", 7], "{type: date}", {"type v": ["7"]}),
        (["60.00", 7.5], "{type: 'decimal(6,2)'}", {"type v": []}),
        (["a", 1, "a"], "{unique: true}", {"unique v": ['"a"', '"a"']}),
    ],
)
def test_only_the_value_of_another_type_breaks_what_is_promised(
    values: list[Any], promise: str, wanted: dict[str, list[str]]
) -> None:
    assert broken(values, promise) == wanted


def test_documents_and_columns_of_stores_with_types_are_left_as_they_are() -> None:
    assert broken([{"a": 1}, "x"], "{max_length: 3}") == {"max_length v": ['{"a": 1}']}
    assert broken(["long"], "{max_length: 4}", kind="table") == {"max_length v": ['"long"']}
