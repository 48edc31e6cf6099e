"""`workbench profile` over the three stores: what stands there, kept, compared, and without what is not to be shown."""

from __future__ import annotations

import io
import json
import os
from contextlib import redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest

from data_workbench.cli import main

if TYPE_CHECKING:
    from tests.integration.pipelines.conftest import Site

PIPELINE = """
version: 1
pipeline: people
sources: {people: {connection: pg, stream: people}}
steps:
  - {name: greeted, derive: {greeting: "'from ' || town"}}
  - {name: renamed, rename: {town: place}}
contract:
  people: {columns: {town: {classification: controlled}, name: {classification: public}}}
destinations:
  graph: {connection: graph, nodes: [{input: renamed, label: Person, key: id}]}
"""


@pytest.fixture
def people(site: Site) -> Site:
    site.sql("CREATE TABLE people (id int PRIMARY KEY, name text, town text, seen timestamptz, born date)")
    site.sql(
        "INSERT INTO people SELECT n, 'Person ' || n, 'secret town ' || n % 3, now(), 'infinity' "
        "FROM generate_series(1, 60) n"
    )
    site.file(PIPELINE, "people.yaml")
    return site


def command(site: Site, *arguments: str) -> tuple[int, dict[str, Any], str]:
    """A command in this process: starting an interpreter takes longer than most of them."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    environment = site.environment(WORKBENCH_PIPELINES=str(site.folder))
    with patch.dict(os.environ, environment, clear=True), redirect_stdout(out), redirect_stderr(err):
        try:
            main([*arguments, "--json"])
        except SystemExit as ended:
            code = int(ended.code or 0)
    return code, json.loads(out.getvalue()), err.getvalue()


def profile(site: Site, dataset: str, *options: str) -> dict[str, Any]:
    code, document, errors = command(site, "profile", dataset, *options)
    assert (code, errors) == (0, "")
    return document


def test_a_table_is_profiled_kept_and_compared_with_what_it_was(people: Site) -> None:
    first = profile(people, "pg:public.people")
    told = first["profile"]
    assert (told["dataset"], told["kind"], told["rows"], told["key"]) == ("pg:public.people", "table", 60, ["id"])
    assert told["columns"]["id"]["distinct"] == {"value": 60, "method": "exact", "error": 0.0}
    assert told["columns"]["name"]["patterns"] == [{"pattern": "Aa 9", "count": 60}]
    assert told["columns"]["born"]["max"] == "infinity"
    people.sql("ALTER TABLE people DROP COLUMN seen")
    people.sql("UPDATE people SET name = NULL WHERE id <= 30")
    again = profile(people, "pg:public.people", "--against", "last")
    found = {(one["column"], one["what"]) for one in again["comparison"]["differences"]}
    assert found == {("seen", "column gone"), ("name", "null share"), ("name", "distinct")}
    numbered = profile(people, "pg:public.people", "--against", str(first["profile"]["id"]))
    assert numbered["comparison"]["differences"] == again["comparison"]["differences"]


def test_what_a_contract_classifies_or_a_rule_redacts_is_nowhere_shown(people: Site) -> None:
    people.sql("CREATE TABLE users (id int PRIMARY KEY, password_hash text)")
    people.sql("INSERT INTO users VALUES (1, 'secret hash')")
    people.cypher("CREATE (:Person {id: 1, place: 'secret town 1', greeting: 'from secret town 1', name: 'N'})")
    for dataset in ("pg:people", "graph:Person", "pg:public.users"):
        document = profile(people, dataset, "--suggest-contract")
        assert "secret" not in json.dumps(document), dataset
    assert document["profile"]["columns"]["password_hash"]["hidden"] == "redacted"
    columns = profile(people, "graph:Person")["profile"]["columns"]
    assert {name for name, told in columns.items() if told.get("hidden")} == {"place", "greeting"}
    people.file(PIPELINE.replace("steps:", "stepps:"), "people.yaml")
    code, document, _ = command(people, "profile", "pg:people")
    assert (code, document["error"]["kind"]) == (2, "DefinitionError"), "what it classifies is not known"


def test_a_label_a_relationship_type_and_a_collection_are_told_in_their_own_terms(people: Site) -> None:
    people.cypher("UNWIND range(1, 30) AS n CREATE (:Need {id: n})")
    people.cypher("MATCH (a:Need), (b:Need) WHERE a.id <= 20 AND b.id = a.id + 1 CREATE (a)-[:FOLLOWS {since: 1}]->(b)")
    label = profile(people, "graph:Need")["profile"]
    assert label["graph"]["components"] == {"count": 10, "largest": [21], "alone": 9}
    degrees = label["graph"]["degrees"]["FOLLOWS out"]
    assert (degrees["nodes"], degrees["without"], degrees["quantiles"]["1.0"]) == (30, 10, 1.0)
    kind = profile(people, "graph:[:FOLLOWS]")["profile"]
    assert (kind["graph"]["relationships"], kind["graph"]["components"]["largest"]) == (20, [21])

    from qdrant_client.models import Distance, PointStruct, VectorParams

    people.points.create_collection("needs", vectors_config=VectorParams(size=8, distance=Distance.EUCLID))
    vectors = [[float(n % 10 + 1), *[1.0] * 7] for n in range(40)]
    points = [PointStruct(id=n, vector=vector, payload={"text": f"need {n}"}) for n, vector in enumerate(vectors)]
    people.points.upsert("needs", points)
    told = profile(people, "vectors:needs")["profile"]["columns"]
    assert (told["vector"]["dimensions"], told["vector"]["duplicates"]) == ({"8": 40}, 30)
    assert told["text"]["distinct"]["value"] == 40


def test_what_cannot_be_profiled_is_said_with_what_to_do(people: Site) -> None:
    for dataset, kind, code in (
        ("pg:public.peeple", "StreamUnknown", 1),
        ("nowhere", "UsageError", 2),
        ("nobody:people", "ConnectionUnknown", 1),
    ):
        found = command(people, "profile", dataset)
        assert (found[0], found[1]["error"]["kind"]) == (code, kind)
        assert found[1]["error"]["hint"] or kind == "ConnectionUnknown"
    assert command(people, "profile", "pg:people", "--against", "last")[1]["error"]["kind"] == "UsageError"
    people.cypher("CREATE (:Need {id: 1})")
    other = profile(people, "pg:people", "--compare", "graph:Need", "--columns", "id")
    assert ("id", "type") in {(one["column"], one["what"]) for one in other["comparison"]["differences"]}
