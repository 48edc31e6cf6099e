"""Contracts out to the Open Data Contract Standard 3.1, in from it, and in from Soda's language."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from data_workbench.errors import SchemaConflict
from data_workbench.pipelines.contract_files import contract_files, load_contract, parse_contract
from data_workbench.quality.exchange import soda_in
from data_workbench.quality.exchange.odcs_in import imported
from data_workbench.quality.exchange.odcs_out import exported
from data_workbench.quality.exchange.odcs_rules import soda_check
from data_workbench.quality.exchange.taken import Block
from data_workbench.quality.soda import verify_block
from data_workbench.quality.soda_block import SodaBlock
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
options: {batch: 5}
soda: {columns: [{name: a, checks: [{missing: {threshold: {metric: percent, must_be_less_than: 1}}}]}]}
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
      - {type: sql, query: "SELECT count(*) FROM tbl WHERE amount < 0", mustBe: 0, name: odd}
      - {type: sql, query: "SELECT count(*) FROM tbl JOIN others USING (id)", mustBe: 0, name: two}
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
        "soda": {
            "columns": [
                {"name": "state", "checks": [{"missing": {"threshold": {"metric": "percent", "must_be_less_than": 5}}}]}
            ],
            "checks": [
                {
                    "metric": {
                        "name": "odd",
                        "query": "SELECT COUNT(*) FROM given AS tbl WHERE amount < 0",
                        "threshold": {"must_be": 0},
                    }
                }
            ],
        },
    }
    parse_contract(yaml.safe_dump(contract))
    assert found.left_out == [
        "public.payments.amount.logicalTypeOptions: multipleOf",
        "public.payments: quality two (sql): there is no such check here",
        "public.payments: quality (soda): there is no such check here",
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


KEYS = """
apiVersion: v3.1.0
kind: DataContract
id: 0b5c2f4e-9a52-4c6c-8e2e-6a1a0f3f7a10
version: 1.0.0
status: active
servers: [{server: prod, type: snowflake}]
team:
  - {username: old, role: Owner, dateOut: "2020-01-01"}
  - {username: grace, role: owner, comment: no such key}
change_management: none
slaProperties:
  - {property: freshness, value: 2, unit: h, element: flights.moment}
  - {property: retention, value: P1Y}
schema:
  - name: flights
    physicalName: air.flights
    properties:
      - {name: carrier, physicalName: carrier_code, primaryKey: true, primaryKeyPosition: 1, logicalType: string}
      - {name: number, primaryKey: true, primaryKeyPosition: 2, logicalType: integer, isNullable: false}
      - {name: moment, physicalName: at, logicalType: timestamp}
      - name: seats
        logicalType: integer
        logicalTypeOptions: {minimum: 1, exclusiveMaximum: 900, format: i32}
        quality: [{metric: nullValues, mustBe: 0, severity: warning}]
      - name: weight
        logicalType: number
        logicalTypeOptions: {exclusiveMinimum: 0.5}
      - name: contact
        logicalType: string
        logicalTypeOptions: {format: email}
        quality:
          - {metric: invalidValues, arguments: {validValues: [a, null, b]}, mustBe: 0}
          - {metric: invalidValues, arguments: {validValues: [b]}, mustBe: 0, name: again}
      - name: plane
        logicalType: integer
        relationships: [{to: planes.id}, {to: elsewhere.id}]
    relationships:
      - {from: [flights.carrier, flights.plane], to: [planes.owner, planes.id]}
    quality:
      - {metric: duplicateValues, arguments: {properties: [carrier, moment]}, mustBe: 0}
      - {metric: rowCount, mustBeGreaterThan: 0, severity: info}
  - name: planes
    physicalName: air.planes
    properties:
      - {name: id, physicalName: plane_id, primaryKey: true}
      - {name: owner}
"""


def test_keys_of_several_columns_relationships_and_names_of_columns_are_what_the_standard_says() -> None:
    found = imported(yaml.safe_load(KEYS), connection="pg")
    flights, planes = found.contracts
    assert (flights["contract"], planes["contract"]) == ("flights", "planes"), "an id that is a UUID names nothing"
    assert flights["owner"] == "grace", "who is it now"
    assert flights["columns"] == {
        "carrier_code": {"required": True, "type": "text"},
        "number": {"required": True, "type": "bigint"},
        "at": {"type": "timestamp"},
        "seats": {"type": "bigint", "min": 1, "max": 899},
        "weight": {"type": "double"},
        "contact": {"type": "text", "values": ["a", "b"]},
        "plane": {"type": "bigint", "references": {"connection": "pg", "stream": "air.planes", "column": "plane_id"}},
    }
    assert flights["unique"] == [["carrier_code", "number"], ["carrier_code", "at"]]
    assert flights["freshness"] == {"column": "at", "within": "7200s"}
    both = {"connection": "pg", "stream": "air.planes", "on": {"carrier_code": "owner", "plane": "plane_id"}}
    assert flights["checks"] == [{"name": "weight > 0.5", "condition": '"weight" > 0.5'}, {"references": both}]
    assert "rows" not in flights, "it is only a warning"
    told = {"metric": "count", "must_be": 0}
    assert flights["soda"] == {
        "columns": [
            {"name": "seats", "checks": [{"missing": {"threshold": {**told, "level": "warn"}}}]},
            {
                "name": "contact",
                "checks": [{"invalid": {"name": "again", "valid_values": ["b"], "threshold": told}}],
            },
        ],
        "checks": [{"row_count": {"threshold": {"must_be_greater_than": 0, "level": "warn"}}}],
    }
    assert planes["columns"]["plane_id"] == {"required": True, "unique": True}
    assert sorted(found.left_out) == [
        "air.flights.contact.logicalTypeOptions: format email",
        "air.flights.plane: relationship to elsewhere.id: the document has no such object",
        "schema.0.properties.1: Additional properties are not allowed ('isNullable' was unexpected)",
        "servers.0: 'account' is a required property",
        "servers.0: 'database' is a required property",
        "servers.0: 'schema' is a required property",
        "slaProperties: retention",
        "team.1: Additional properties are not allowed ('comment' was unexpected)",
        "the top: Additional properties are not allowed ('change_management' was unexpected)",
    ]
    for one in found.contracts:
        parse_contract(yaml.safe_dump(one))


def test_two_objects_whose_names_are_cut_short_are_two_contracts() -> None:
    document = yaml.safe_load(KEYS)
    long = "a" * 70
    document |= {"name": "0", "schema": [{"name": f"{long}{one}"} for one in "xy"]}
    names = [one["contract"] for one in imported(document, connection="pg").contracts]
    assert len(set(names)) == 2
    for name in names:
        [again] = imported({**document, "name": name, "schema": [{"name": "one"}]}, connection="pg").contracts
        assert again["contract"] == name, "it stays what it is"


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ({"rule": "duplicateCount", "mustBeLessThan": 3}, {"metric": "duplicateValues", "mustBeLessThan": 3}),
        ({"rule": "nullCheck"}, {"metric": "nullValues", "mustBe": 0}),
        ({"rule": "nullValues", "mustBe": 0, "severity": "error"}, {"metric": "nullValues", "mustBe": 0}),
        ({"rule": "validValues", "validValues": ["a"], "type": "library"},
         {"metric": "invalidValues", "arguments": {"validValues": ["a"]}, "mustBe": 0}),
    ],
)  # fmt: skip
def test_rules_in_words_of_the_standards_version_3_0_mean_what_3_1_says(older: Any, newer: Any) -> None:
    def made(rule: dict[str, Any]) -> Any:
        document = yaml.safe_load(OTHERS) | {"apiVersion": "v3.0.2"}
        document["schema"][0]["properties"][2]["quality"] = [rule]
        found = imported(document)
        return found.contracts, found.left_out

    assert made(older) == made(newer)
    assert any("there is no rule 'beautiful'" in one for one in made({"rule": "beautiful"})[1])


ROWS = """
CREATE TABLE given AS
SELECT i AS id, i % 10 AS tens, CASE WHEN i % 20 = 0 THEN NULL WHEN i % 20 = 1 THEN 'n/a' ELSE 'kg' END AS unit
FROM range(100) r(i)
"""
ID, TENS, UNIT = "id", "tens", "unit"


@pytest.mark.parametrize(
    ("column", "rule", "outcome"),
    [
        (UNIT, {"metric": "nullValues", "mustBeLessOrEqualTo": 5}, "passed"),
        (UNIT, {"metric": "nullValues", "mustBeLessThan": 5}, "failed"),
        (UNIT, {"metric": "nullValues", "mustBeLessThan": 5, "severity": "warning"}, "warned"),
        (UNIT, {"metric": "missingValues", "arguments": {"missingValues": [None, "n/a"]}, "mustBe": 10}, "passed"),
        (UNIT, {"metric": "missingValues", "arguments": {"missingValues": ["n/a"]},
                "mustBeLessThan": 10, "unit": "percent"}, "failed"),
        (UNIT, {"metric": "invalidValues", "arguments": {"validValues": ["kg"]}, "mustBeBetween": [5, 9]}, "passed"),
        (UNIT, {"metric": "invalidValues", "arguments": {"pattern": "^[a-z]+$"}, "mustNotBeBetween": [4, 6]}, "failed"),
        (UNIT, {"metric": "invalidValues", "arguments": {"pattern": "^[a-z]+$"}, "mustNotBeBetween": [0, 3]}, "passed"),
        (TENS, {"metric": "duplicateValues", "mustBeGreaterThan": 1, "unit": "percent"}, "passed"),
        (None, {"metric": "duplicateValues", "arguments": {"properties": [ID, TENS]}, "mustBeLessThan": 1}, "passed"),
        (None, {"metric": "rowCount", "mustNotBe": 100}, "failed"),
        (ID, {"query": "SELECT count(*) FROM ${object} WHERE ${property} < 0", "type": "sql", "mustBe": 0}, "passed"),
        (ID, {"query": "SELECT max({property}) FROM {object}", "type": "sql", "mustBeLessThan": 99}, "failed"),
        (ID, {"query": "SELECT avg(t.id) FROM public.goods t", "type": "sql", "mustBeBetween": [49, 50]}, "passed"),
        (ID, {"query": "SELECT count(*) FROM goods TABLESAMPLE (0 ROWS)", "type": "sql", "mustBe": 0}, "passed"),
        (ID, {"query": "SELECT count(*) FROM goods a, goods b WHERE a.id = b.id", "mustBe": 100}, "passed"),
        (ID, {"type": "custom", "engine": "soda", "implementation": "missing: {threshold: {must_be: 1}}"}, "failed"),
        (ID, {"type": "custom", "engine": "soda", "implementation":
              "type: duplicate_percent\ncolumns: [tens, unit]\nmust_be_less_than: 1.0"}, "failed"),
    ],
)  # fmt: skip
def test_rules_of_the_standard_hold_or_break_as_it_says(column: str | None, rule: dict[str, Any], outcome: str) -> None:
    block = Block()
    assert block.add(soda_check(rule, names=("goods",), column=column), column) is None
    with duckdb.connect() as connection:
        connection.execute(ROWS)
        [found] = verify_block(connection, SodaBlock(**block.document()), "public.goods", "pg:public.goods")
    assert found.outcome == outcome


@pytest.mark.parametrize(
    "rule",
    [
        {"type": "text", "description": "it is right"},
        {"metric": "nullValues"},
        {"metric": "unheardOf", "mustBe": 0},
        {"type": "sql", "query": "SELECT count(*) FROM elsewhere", "mustBe": 0},
        {"type": "sql", "query": "DROP TABLE given", "mustBe": 0},
        {"type": "sql", "query": "SELECT 1 FROM {object}", "mustBe": True},
        {"type": "sql", "query": "SELECT ((", "mustBe": 0},
        {"metric": "invalidValues", "arguments": {}, "mustBe": 1},
        {"type": "custom", "engine": "greatExpectations", "implementation": "type: expect"},
        {"type": "custom", "engine": "soda", "implementation": "a: [b"},
    ],
)
def test_a_rule_that_nothing_here_can_hold_is_told(rule: dict[str, Any]) -> None:
    assert soda_check(rule, names=("goods",), column="id") is None


SODA = """
dataset: warehouse/db/public/goods
description: Goods.
filter: tens > 1
soda_agent: {checks_schedule: {cron: "0 0 * * *"}}
columns:
  - {name: id, data_type: integer, checks: [{missing:}, {duplicate:}]}
  - name: unit
    optional: true
    checks:
      - missing: {threshold: {metric: percent, must_be_less_than: 10}}
      - invalid: {valid_reference_data: {dataset: warehouse/db/public/units, column: unit}}
  - {name: tens}
checks:
  - schema: {allow_other_column_order: true}
  - row_count: {threshold: {must_be_greater_than: 0}}
  - metric: {query: "SELECT count(*) FROM ${var.other}", threshold: {must_be: 0}}
"""


@pytest.mark.parametrize(
    ("column", "outcomes"),
    [
        ({"name": "unit",
          "checks": [{"aggregate": {"function": "max_length", "threshold": {"must_be": 3}}}]}, ["passed"]),
        ({"name": "unit",
          "checks": [{"aggregate": {"function": "avg_length", "threshold": {"must_be": 0}}}]}, ["failed"]),
        ({"name": "unit", "column_expression": "upper(unit)",
          "checks": [{"invalid": {"valid_values": ["KG", "N/A"]}}]}, ["passed"]),
        ({"name": "unit", "missing_values": ["n/a"], "checks": [{"missing": None}]}, ["failed"]),
        ({"name": "unit", "valid_values": ["kg", "n/a"], "checks": [{"invalid": None}]}, ["passed"]),
        ({"name": "unit", "column_expression": "coalesce(unit, 'none')", "checks": [{"missing": None}]}, ["passed"]),
        ({"name": "unit", "checks": [{"missing": {"column_expression": "nullif(unit, 'n/a')"}}]}, ["failed"]),
    ],
)  # fmt: skip
def test_words_that_soda_takes_though_its_own_schema_lacks_them_are_taken(column: Any, outcomes: list[str]) -> None:
    found = soda_in.imported({"dataset": "pg/db/public/goods", "columns": [column]})
    assert found.left_out == []
    block = SodaBlock(**found.contracts[0]["soda"])
    with duckdb.connect() as connection:
        connection.execute(ROWS)
        assert [one.outcome for one in verify_block(connection, block, "public.goods", "goods")] == outcomes
        query = block.broken_rows(0, "given")
        failing = len(connection.sql(query).fetchall()) if query else None
    if "aggregate" not in column["checks"][0]:
        assert failing == (0 if outcomes == ["passed"] else 10)


def test_a_contract_of_sodas_comes_in_with_its_checks_in_its_own_words() -> None:
    document = yaml.safe_load(SODA)
    assert soda_in.is_sodas(document)
    assert not soda_in.is_sodas(yaml.safe_load(OTHERS))
    found = soda_in.imported(document)
    [contract] = found.contracts
    parsed = parse_contract(yaml.safe_dump(contract)).contract
    assert (parsed.contract, parsed.connection, parsed.stream) == ("goods", "warehouse", "public.goods")
    assert found.left_out == [
        "soda_agent: there is no such thing here",
        "id: data_type: types differ from store to store",
        "unit: invalid: valid_reference_data needs rows of another dataset",
        "the dataset: metric: `${…}` would be filled in by Soda, be it from the environment",
    ]
    with duckdb.connect() as connection:
        connection.execute(ROWS)
        assert parsed.soda is not None
        results = verify_block(connection, parsed.soda, parsed.stream, "goods")
    assert [one.outcome for one in results] == ["passed"] * 5
    assert soda_in.imported(document, connection="pg").contracts[0]["connection"] == "pg"
    with pytest.raises(SchemaConflict, match="names no data source"):
        soda_in.imported({"dataset": "goods"})
