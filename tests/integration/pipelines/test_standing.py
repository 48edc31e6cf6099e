"""Soda on what stands in each store: after a load on the run's rows, and by `workbench check` on all of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from data_workbench.cli.checking import _chosen
from data_workbench.cli.session import Session
from data_workbench.metastore import checks as history
from data_workbench.pipelines.planning import compile_run
from data_workbench.pipelines.standing import StandingContract, standing_contracts
from data_workbench.pipelines.stores import Stores
from data_workbench.pipelines.upkeep import Upkeep

if TYPE_CHECKING:
    from tests.integration.pipelines.conftest import Site

PARTS = """
version: 1
pipeline: parts
sources: {parts: {connection: pg, stream: public.parts, key: [plant, number], cursor: {column: seen}}}
contract:
  parts:
    columns:
      plant: {required: true, values: [a, b]}
      title: {required: true, min_length: 3}
      price: {min: 0}
      about: {required: true, min_length: 5}
    unique: [[plant, title]]
    on_invalid: %s
destinations:
  table: {connection: pg, table: public.parts_copy, key: [plant, number], write: merge}
  graph:
    connection: graph
    write: merge
    nodes: [{input: parts, label: Part, key: [plant, number], properties: [plant, number, title, price]}]
  points:
    connection: vectors
    collection: parts
    key: [plant, number]
    embed: {text: title, model: hashing-64}
    payload: [plant, number, price]
  file: {connection: files, file: parts.parquet, key: [plant, number], write: merge}
"""
PART = PARTS % "quarantine"


@pytest.fixture
def parts(site: Site) -> Site:
    site.sql("""CREATE TABLE parts (plant text, number int, title text, price numeric(10, 2), about jsonb, seen int,
                PRIMARY KEY (plant, number))""")
    site.sql("""INSERT INTO parts SELECT 'a', n, 'part ' || n, n * 1.5, '{"z": 1, "a": 2}', n
                FROM generate_series(1, 40) n""")
    return site


def check(site: Site, text: str) -> list[dict[str, Any]]:
    """`workbench check`, in this process."""
    return Upkeep(site.runner()).check(site.definition(text), wanted=lambda _: True)


def told(checks: list[dict[str, Any]], dataset: str) -> dict[str, tuple[str, int | None, int | None]]:
    return {c["name"]: (c["outcome"], c["failing"], c["rows"]) for c in checks if c["dataset"] == dataset}


def test_each_store_is_held_against_the_contract_on_the_columns_it_keeps(parts: Site) -> None:
    document = parts.run(PART)
    fine = ("passed", 0, 40)
    assert told(document["checks"], "pg:public.parts_copy") == {
        "required plant": fine,
        "values plant": fine,
        "required title": fine,
        "min_length title": fine,
        "min price": fine,
        "required about": fine,
        "min_length about": ("not_evaluated", None, None),  # a store writes a document in its own way
        "unique plant, title": fine,
    }
    assert set(told(document["checks"], "graph:(Part)")) == {
        "required plant", "values plant", "required title", "min_length title", "min price", "unique plant, title"
    }  # fmt: skip
    # The embedded text is no payload.
    assert told(document["checks"], "vectors:parts") == {
        "required plant": fine,
        "values plant": fine,
        "min price": fine,
    }
    assert told(document["checks"], "files:parts.parquet")["min price"] == fine
    kept = history.history(parts.metastore, dataset="graph:(Part)", name="min price")
    assert [(one["run_id"], one["outcome"], one["rows"]) for one in kept] == [(document["run_id"], "passed", 40)]


def test_a_run_looks_at_its_own_rows_and_says_so_when_there_are_none(parts: Site) -> None:
    parts.run(PART)
    again = parts.run(PART)["checks"]
    assert {one["outcome"] for one in again} == {"not_evaluated"}
    assert all("no row" in one["reason"] for one in again if one["name"] == "min price")
    parts.sql("UPDATE parts SET price = 7, seen = 50 WHERE number <= 3")
    changed = parts.run(PART)["checks"]
    assert told(changed, "graph:(Part)")["min price"] == ("passed", 0, 3)


def test_rows_that_only_warn_stand_there_and_are_named(parts: Site) -> None:
    parts.sql("UPDATE parts SET price = -1 WHERE number IN (4, 5)")
    parts.sql("UPDATE parts SET title = 'part 1' WHERE number = 2")
    document = parts.run(PARTS % "warn")
    for dataset in ("pg:public.parts_copy", "graph:(Part)", "vectors:parts", "files:parts.parquet"):
        [price] = [c for c in document["checks"] if c["dataset"] == dataset and c["name"] == "min price"]
        assert (price["outcome"], price["failing"], price["level"]) == ("warned", 2, "warn")
        assert price["sample"] == [{"plant": "a", "number": 4}, {"plant": "a", "number": 5}]
    [unique] = [c for c in document["checks"] if c["dataset"] == "graph:(Part)" and c["name"].startswith("unique")]
    assert (unique["outcome"], unique["failing"]) == ("warned", 1)
    assert unique["sample"] == [{"plant": "a", "number": 1}, {"plant": "a", "number": 2}]


def test_a_held_key_keeps_its_last_state_and_fails_no_run(parts: Site) -> None:
    parts.run(PART.replace("price: {min: 0}", "price: {min: -10}"))
    parts.sql("UPDATE parts SET price = -5, seen = 60 WHERE number = 6")
    parts.run(PART.replace("price: {min: 0}", "price: {min: -10}"))
    # The contract is stricter now: the row is read again, put aside, and what stands there breaks the contract.
    document = parts.run(PART)
    assert told(document["checks"], "graph:(Part)")["min price"] == ("passed", 0, 39)
    assert told(check(parts, PART), "graph:(Part)")["min price"] == ("failed", 1, 40)


def test_what_a_trigger_does_to_rows_fails_a_run_as_a_check_too(parts: Site) -> None:
    parts.run(PART)
    parts.sql("""CREATE OR REPLACE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN NEW.price := -3; RETURN NEW; END $$""")
    parts.sql("CREATE TRIGGER spoil BEFORE UPDATE ON parts_copy FOR EACH ROW EXECUTE FUNCTION spoil()")
    parts.sql("UPDATE parts SET price = 8, seen = 70 WHERE number = 8")
    document, error = parts.try_run(PART)
    assert document["state"] == "failed"
    assert not document["reconciliation"]["clean"]
    [price] = [c for c in document["checks"] if c["dataset"].startswith("pg:") and c["name"] == "min price"]
    assert (price["outcome"], price["failing"], price["sample"]) == ("failed", 1, [{"plant": "a", "number": 8}])
    assert error is not None


def test_append_of_broken_rows_by_hand_is_found_by_check(parts: Site) -> None:
    parts.run(PART)
    assert {c["outcome"] for c in check(parts, PART)} == {"passed", "not_evaluated"}
    parts.cypher("MATCH (p:Part {number: 3}) SET p.title = 'x'")
    parts.sql("INSERT INTO parts_copy (plant, number, title) VALUES ('z', 99, 'foreign')")  # not ours
    code, after, stderr = parts.command("check", parts.file(PART))
    assert code == 1, stderr
    assert told(after["checks"], "graph:(Part)")["min_length title"] == ("failed", 1, 40)
    assert told(after["checks"], "pg:public.parts_copy")["values plant"] == ("passed", 0, 40)
    assert set(after["checks"][0]) >= {"dataset", "name", "outcome", "failing", "sample"}
    kept = history.history(parts.metastore, dataset="graph:(Part)", name="min_length title")
    assert [(one["outcome"], one["run_id"] is None) for one in kept] == [
        ("failed", True),
        ("passed", True),
        ("passed", False),
    ]


def test_check_finds_pipelines_by_name_contract_and_dataset(parts: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    (parts.folder / "parts.yaml").write_text(PART)
    monkeypatch.setenv("WORKBENCH_PIPELINES", str(parts.folder))
    session = Session()
    _, contract = parts_contracts = _standing(parts)
    for subject in (None, "parts", str(parts.folder / "parts.yaml"), "parts.parts", "graph:(Part)"):
        definitions, wanted = _chosen(session, subject)
        assert [one.spec.pipeline for one in definitions] == ["parts"], subject
        expected = [contract] if subject == "graph:(Part)" else list(parts_contracts)
        assert [one for one in parts_contracts if wanted(one)] == expected, subject
    assert not any(_chosen(session, "nobody")[1](one) for one in parts_contracts)


def _standing(site: Site) -> tuple[StandingContract, StandingContract]:
    """Those of the table and of the graph."""
    with Stores(site.runner().connections, site.settings) as stores:
        plan = compile_run(site.definition(PART), stores)
    table, graph, *_ = [contract for *_, contract in standing_contracts(plan)]
    return table, graph


def test_a_store_that_is_away_leaves_its_checks_not_evaluated(parts: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    parts.run(PART)
    away = {**json.loads(parts.variables["AIRFLOW_CONN_GRAPH"]), "port": 1}
    monkeypatch.setenv("AIRFLOW_CONN_GRAPH", json.dumps(away))
    checks = check(parts, PART)
    graph = [c for c in checks if c["dataset"] == "graph:(Part)"]
    assert graph
    assert {c["outcome"] for c in graph} == {"not_evaluated"}
    assert all(c["reason"] for c in graph)
    assert told(checks, "vectors:parts")["min price"] == ("passed", 0, 40)


def test_a_table_or_column_that_has_gone_is_not_passed(parts: Site) -> None:
    parts.run(PART)
    parts.sql("ALTER TABLE parts_copy DROP COLUMN price")
    assert told(check(parts, PART), "pg:public.parts_copy")["column price"] == ("failed", None, 40)
    parts.sql("DROP TABLE parts_copy")
    assert {c["outcome"] for c in check(parts, PART) if c["dataset"].startswith("pg:")} == {"not_evaluated"}


def test_a_run_that_reads_nothing_back_checks_nothing(parts: Site) -> None:
    document = parts.run(PART + "reconcile: {after_load: none}\n")
    assert document["checks"]
    assert {c["outcome"] for c in document["checks"]} == {"not_evaluated"}
