"""PostgreSQL counts what DuckDB would count over the rows: the same contract, held both ways."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from data_workbench.connectors.connections import Connections, from_environment
from data_workbench.pipelines.contract_files import parse_contract
from data_workbench.pipelines.contracts import Contracts

if TYPE_CHECKING:
    from tests.integration.pipelines.conftest import Site

HEAD = "version: 1\ncontract: counted\nconnection: pg\nstream: public.things\n"
COUNTED = """
columns:
  id: {required: true, unique: true}
  "odd % name": {min_length: 2, max_length: 6, pattern: "^[A-Z][a-z0-9 ]{1,5}$"}
  state: {values: [open, "it's", "100%"]}
  whole: {min: -5, max: 2.5}
  share: {min: 0, max: 1}
  price: {min: 0.1, max: 9.99, values: [1, 2.5, 9.99]}
  yes: {values: [true]}
  day: {min: "2024-01-01", max: "2024-12-31"}
  secret: {required: true, classification: controlled}
unique: [[state, whole], [share]]
rows: {min: 1}
"""
ROWS = """
INSERT INTO things VALUES
  (1, 'Ab', 'open', 1, 0.5, 1.00, true, '2024-05-05', 'hush'),
  (1, 'ab', 'open', 1, 'NaN', 9.99, false, '2023-12-31', 'hush'),
  (2, 'Äb', 'it''s', -6, 'NaN', 2.50, NULL, '2024-12-31', NULL),
  (3, 'Abcdefgh', '100%', 3, '-Infinity', 0.09, true, '2025-01-01', ''),
  (NULL, 'A🧨', 'Open', NULL, NULL, NULL, NULL, NULL, 'hush'),
  (4, E'Ab\\n', '', 2, 1.0, 10.00, true, 'infinity', 'x'),
  (5, '', NULL, 2, 0, 9.99, true, '2024-02-29', 'x'),
  (6, 'A', 'open ', 2, 2, 9.98, true, '2024-02-29', 'x')
"""


def held(site: Site, text: str) -> dict[str, Any]:
    found = Contracts(site.settings, Connections(from_environment), site.metastore).check([parse_contract(text)])
    return {one["name"]: one for one in found}


@pytest.fixture
def things(site: Site) -> Site:
    site.sql(
        'CREATE TABLE things (id int, "odd % name" text, state varchar(20), whole bigint, share float8, '
        "price numeric(10, 2), yes bool, day date, secret text, tiny real)"
    )
    return site


def test_both_ways_find_the_same_rows(things: Site, caplog: pytest.LogCaptureFixture) -> None:
    things.sql(ROWS)
    counted = held(things, HEAD + COUNTED)
    assert "is not counted by its store" not in caplog.text
    assert counted["min whole"]["finder"].startswith('SELECT * FROM "public"."things" WHERE "whole" IS NOT NULL')
    read = held(things, f"{HEAD}where: 'TRUE'{COUNTED}")
    assert {name: (one["outcome"], one["failing"], one["rows"]) for name, one in counted.items()} == {
        name: (one["outcome"], one["failing"], one["rows"]) for name, one in read.items()
    }
    assert sum(one["failing"] for one in counted.values()) > 20
    for one in counted.values():
        if one["failing"]:
            assert next(iter(one["sample"][0])) in (
                "id",
                "odd % name",
                "state",
                "whole",
                "share",
                "price",
                "yes",
                "day",
                "secret",
            )
            assert {row["secret"] for row in one["sample"]} <= {"•••", None, ""}
            assert things.one(f"SELECT count(*) FROM ({one['finder']}) found") == one["failing"], one["finder"]


def test_what_the_store_would_see_otherwise_is_read(things: Site) -> None:
    from data_workbench.connectors.registry import open_source
    from data_workbench.quality.standalone.pushed import pushed

    with open_source(Connections(from_environment).get("pg"), things.settings) as source:

        def is_pushed(body: str) -> bool:
            return pushed(parse_contract(HEAD + body).contract, source) is not None

        assert is_pushed("columns: {whole: {min: 1}}")
        for body in (
            "columns: {state: {min: a}}",
            "columns: {state: {pattern: a.c}}",
            "columns: {state: {pattern: '\\\\w'}}",
            "columns: {state: {pattern: '(?i)a'}}",
            "columns: {state: {type: integer}}",
            "columns: {gone: {required: true}}",
            "columns: {whole: {min: 1}}\nwhere: 'whole > 1'",
            "columns: {whole: {min: 1}}\nfreshness: {column: day, within: 1d}",
            "checks: [{condition: whole > 1}]",
            "columns: {tiny: {max: 0.1}}",  # 0.1 is not at most 0.1 to PostgreSQL: it takes the column as float8
        ):
            assert not is_pushed(body), body
