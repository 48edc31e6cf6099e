"""Contracts out to the Open Data Contract Standard 3.1 and in from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from data_workbench.errors import SchemaConflict
from data_workbench.pipelines.contract_files import contract_files, load_contract, parse_contract
from data_workbench.quality.odcs import exported, imported
from data_workbench.settings import Settings

SHIPPED = contract_files(Settings(contracts=Path(__file__).resolve().parents[3] / "dags" / "contracts"))
FULL = """
version: 1
contract: full
description: All there is.
owner: team
connection: pg
stream: public.rows
severity: warn
where: "a > 1"
derive: {b2: "b || 'x'"}
columns:
  a: {required: true, unique: true, min: 1, max: 9.5, type: integer, classification: controlled}
  b: {values: [x, y], pattern: "^[a-z]", min_length: 1, max_length: 5, description: Letters.}
  c: {references: {connection: pg, stream: other, column: id}, min: "2020-01-01"}
unique: [[a, b]]
rows: {min: 1, max: 100}
freshness: {column: seen, within: 2d}
service_level: {passed: 99.5%, over: 30d}
profile: true
checks:
  - {name: ab, condition: "a > length(b)", severity: fail}
  - {covers: {connection: pg, stream: other, on: {a: id}, where: "x > 1"}}
"""
OTHERS = """
apiVersion: v3.1.0
kind: DataContract
id: 53581432-6c55-4ba2-a65f-72344a91553a
version: 1.1.0
status: active
name: Seller Payments
description: {purpose: Payments of sellers.}
servers: [{server: prod, type: postgres, host: localhost, port: 5432, database: pay, schema: public}]
team: {name: payments}
schema:
  - name: tbl
    physicalName: public.payments
    properties:
      - {name: id, primaryKey: true, logicalType: string, logicalTypeOptions: {format: uuid}}
      - name: state
        logicalType: string
        required: true
        quality:
          - {metric: invalidValues, arguments: {validValues: [open, paid]}, mustBe: 0}
          - {metric: nullValues, mustBe: 0}
          - {metric: missingValues, mustBeLessThan: 5, unit: percent}
      - {name: amount, logicalType: number, logicalTypeOptions: {minimum: 0, multipleOf: 0.01}}
    quality:
      - {metric: rowCount, mustBeGreaterThan: 0}
      - {metric: duplicateValues, arguments: {properties: [state, amount]}, mustBe: 0}
      - {type: sql, query: "SELECT 1", mustBe: 1, name: odd}
      - {type: custom, engine: soda, implementation: "type: duplicate_percent"}
slaProperties:
  - {property: latency, value: 4, unit: d, element: tbl.seen}
  - {property: retention, value: 3, unit: y, element: tbl.seen}
"""


@pytest.mark.parametrize(
    "text", [*(path.read_text() for path in SHIPPED), FULL], ids=[*(p.stem for p in SHIPPED), "full"]
)
def test_what_goes_out_comes_in_again_as_it_was(text: str) -> None:
    before = parse_contract(text).contract
    found = imported(yaml.safe_load(yaml.safe_dump(exported(before))))
    assert found.left_out == []
    [again] = found.contracts
    assert parse_contract(yaml.safe_dump(again)).contract == before


def test_of_others_contracts_all_is_taken_that_can_be_held_and_the_rest_is_told() -> None:
    found = imported(yaml.safe_load(OTHERS))
    [contract] = found.contracts
    assert contract == {
        "version": 1,
        "contract": "seller_payments",
        "description": "Payments of sellers.",
        "owner": "payments",
        "connection": "prod",
        "stream": "public.payments",
        "columns": {
            "id": {"required": True, "unique": True, "type": "uuid"},
            "state": {"required": True, "type": "text", "values": ["open", "paid"]},
            "amount": {"type": "double", "min": 0},
        },
        "unique": [["state", "amount"]],
        "rows": {"min": 1},
        "freshness": {"column": "seen", "within": "345600s"},
    }
    parse_contract(yaml.safe_dump(contract))
    assert found.left_out == [
        "public.payments.state: quality (missingValues)",
        "public.payments.amount.logicalTypeOptions: multipleOf",
        "public.payments: quality odd (sql)",
        "public.payments: quality (soda)",
        "slaProperties: retention",
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [({"kind": "Other"}, "kind"), ({"apiVersion": "v9"}, "apiVersion"), ({"schema": [{"properties": 1}]}, "schema")],
)
def test_what_is_no_such_contract_is_refused_with_its_place(change: dict[str, Any], said: str) -> None:
    with pytest.raises(SchemaConflict, match=said):
        imported({**yaml.safe_load(OTHERS), **change})


def test_a_contract_without_a_server_needs_a_connection() -> None:
    document = yaml.safe_load(OTHERS)
    del document["servers"]
    with pytest.raises(SchemaConflict, match="names no server"):
        imported(document)
    assert imported(document, connection="pg").contracts[0]["connection"] == "pg"
    assert load_contract(SHIPPED[0], Settings()).contract.connection == "odras_postgres"
