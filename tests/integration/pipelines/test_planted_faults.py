"""A railway nobody has seen before: faults of every kind planted over its three stores, all found, and no other."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from data_workbench.connectors.connections import Connections, from_environment
from data_workbench.pipelines.contract_files import parse_contract
from data_workbench.pipelines.contracts import Contracts

if TYPE_CHECKING:
    from tests.integration.pipelines.conftest import Site

LOAD = """
version: 1
pipeline: railway
sources:
  trains: {connection: pg, stream: rail.trains}
  notes: {connection: pg, stream: rail.notes}
destinations:
  graph:
    connection: graph
    write: merge
    nodes: [{input: trains, label: Train, key: id, properties: [id, number, seats]}]
  points:
    connection: vectors
    collection: notes
    key: id
    input: notes
    embed: {text: body, model: hashing-64}
    payload: [id, body, train]
"""
TABLE = """
version: 1
contract: trains
owner: rolling-stock
connection: pg
stream: rail.trains
columns:
  number: {required: true, unique: true, pattern: "^[A-Z]{2}-[0-9]{4}$", max_length: 7}
  operator: {required: true, references: {connection: pg, stream: rail.operators, column: id}}
  capacity: {min: 10, max: 900}
  built: {min: "1950-01-01", max: "2030-12-31"}
  kind: {values: [freight, people]}
  code: {type: integer}
  contact: {classification: restricted, min_length: 8}
unique: [[operator, slot]]
rows: {min: 300, max: 300}
freshness: {column: seen, within: 1d}
checks:
  - {name: seats fit, condition: "seats <= capacity"}
  - {name: retired after built, condition: "retired >= built"}
  - {name: active operator, references: {connection: pg, stream: rail.operators, on: {operator: id}, where: "active"}}
  - {name: is a node, references: {connection: graph, stream: Train, on: {id: id}}}
  - name: same in the graph
    agrees: {connection: graph, stream: Train, on: {id: id}, columns: {number: number, seats: seats}}
  - {name: mix of kinds, distribution: {column: kind, shares: {people: 0.6, freight: 0.4}, within: 0.05}}
  - name: capacity as last year
    distribution: {column: capacity, like: {connection: pg, stream: rail.trains_before}, within: 0.1}
soda:
  columns:
    - {name: wagons, checks: [{missing: null}, {invalid: {valid_min: 1, name: some wagons}}]}
  checks: [{failed_rows: {name: not both, expression: "wagons > 50 AND kind = 'people'"}}]
"""
READINGS = """
version: 1
contract: readings
connection: pg
stream: rail.readings
columns: {speed: {min: 0, max: 400}}
checks: [{name: of a train, references: {connection: pg, stream: rail.trains, on: {train: id}}}]
"""
NODES = """
version: 1
contract: nodes
connection: graph
stream: Train
columns:
  number: {required: true, unique: true}
  seats: {type: integer}
checks:
  - {labels: [Train]}
  - {properties: [id, number, seats]}
  - {name: one operator, relationship: {type: RUN_BY, to: [Operator], min: 1, max: 1}}
  - {name: few parts, relationship: {type: PART_OF, direction: in, to: [Part], max: 3}}
  - {name: to a depot, path: {types: [RUN_BY, BASED_AT], to: Depot, within: 2}}
  - {name: all trains, covers: {connection: pg, stream: rail.trains, on: {id: id}}}
"""
PARTS = """
version: 1
contract: parts
connection: graph
stream: Part
checks:
  - {connected: true}
  - {acyclic: {types: [PART_OF]}}
"""
ENDS = """
version: 1
contract: part_of
connection: graph
stream: "[:PART_OF]"
checks: [{ends: {from: [Part], to: [Part, Train]}}, {simple: true}]
"""
POINTS = """
version: 1
contract: points
connection: vectors
stream: notes
columns: {body: {required: true}}
checks:
  - {name: sound, vectors: {dimension: 64, min_norm: 0.5, max_norm: 1.5, distinct: true}}
  - {model: hashing-64}
  - {name: every note, covers: {connection: pg, stream: rail.notes, on: {id: id}}}
  - {name: of a note, references: {connection: pg, stream: rail.notes, on: {id: id}}}
  - {name: of its text, text: {connection: pg, stream: rail.notes, on: {id: id}, text: body}}
  - {recall: {at: 5, least: 0.9, queries: 20}}
  - {name: as before, drift: {than: {connection: vectors, stream: notes_before}, within: 0.1}}
  - canaries:
      model: hashing-64
      within: 3
      queries:
        - {text: BODY 7, finds: {id: 7}}
        - {text: BODY 8, finds: {id: 8}}
"""
ALL = (TABLE, READINGS, NODES, PARTS, ENDS, POINTS)


@pytest.fixture
def railway(site: Site) -> Site:
    """Three hundred trains, a tenth as many operators, notes with vectors, a graph; nothing is wrong with them."""
    from qdrant_client.models import Distance, VectorParams

    site.sql("DROP SCHEMA IF EXISTS rail CASCADE")
    site.sql("CREATE SCHEMA rail")
    site.sql("CREATE TABLE rail.operators (id text PRIMARY KEY, active bool)")
    site.sql("INSERT INTO rail.operators SELECT 'op' || n, true FROM generate_series(0, 29) n")
    site.sql("""CREATE TABLE rail.trains (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), place int, number text,
                operator text, slot int, capacity int, seats int, built date, retired date, kind text, code text,
                contact text, wagons int, seen timestamptz)""")
    site.sql("""INSERT INTO rail.trains (place, number, operator, slot, capacity, seats, built, retired, kind, code,
                  contact, wagons, seen)
                SELECT n, 'AB-' || lpad(n::text, 4, '0'), 'op' || n % 30, n / 30, 100 + n, 50 + n,
                  date '1980-01-01' + n, CASE n % 3 WHEN 0 THEN date '2020-01-01' END,
                  CASE WHEN n % 5 < 3 THEN 'people' ELSE 'freight' END, n::text, 'crew' || n || '@rail', 1 + n % 20,
                  now()
                FROM generate_series(0, 299) n""")
    site.sql("CREATE TABLE rail.trains_before AS SELECT capacity FROM rail.trains")
    site.sql("CREATE TABLE rail.readings (train uuid, at timestamptz, speed float8, PRIMARY KEY (train, at))")
    site.sql("""INSERT INTO rail.readings SELECT id, now() - n * interval '1 min', n FROM rail.trains,
                generate_series(0, 4) n""")
    site.sql("CREATE TABLE rail.notes (id int PRIMARY KEY, body text, train uuid)")
    site.sql("""INSERT INTO rail.notes
                SELECT place, 'note of ' || place || ': ' || regexp_replace(md5(place::text), '(.{6})', '\\1 ', 'g'), id
                FROM rail.trains""")
    site.run(LOAD)
    site.cypher("UNWIND range(0, 29) AS n CREATE (:Operator {id: 'op' + n})-[:BASED_AT]->(:Depot {id: n % 3})")
    pairs = [[str(one), operator] for one, operator in site.sql("SELECT id, operator FROM rail.trains")]
    site.cypher(
        "UNWIND $pairs AS p MATCH (t:Train {id: p[0]}), (o:Operator {id: p[1]}) CREATE (t)-[:RUN_BY]->(o)", pairs=pairs
    )
    site.cypher(
        "MATCH (t:Train) CREATE (t)<-[:PART_OF]-(:Part {id: t.number + 'a'})<-[:PART_OF]-(:Part {id: t.number + 'b'})"
    )
    site.points.create_collection("notes_before", vectors_config=VectorParams(size=64, distance=Distance.COSINE))
    from qdrant_client.models import PointStruct

    there = points_of(site)
    site.points.upsert("notes_before", [PointStruct(id=one.id, vector=one.vector) for one in there.values()], wait=True)
    yield site
    site.sql("DROP SCHEMA rail CASCADE")


def points_of(site: Site) -> dict[int, Any]:
    """The points by the number of their note."""
    return {one.payload["id"]: one for one in site.stored("notes", vectors=True).values()}


def held(site: Site, *texts: str) -> dict[tuple[str, str], dict[str, Any]]:
    contracts = Contracts(site.settings, Connections(from_environment), site.metastore)
    bodies = {f"BODY {one}": site.one("SELECT body FROM rail.notes WHERE id = %s", one) for one in (7, 8)}
    for name, body in bodies.items():
        texts = tuple(text.replace(name, json.dumps(body)) for text in texts)
    found = contracts.check([parse_contract(text) for text in texts])
    return {(one["contract"], one["name"]): one for one in found}


def broken(found: dict[tuple[str, str], dict[str, Any]]) -> dict[tuple[str, str], int]:
    return {name: one["failing"] for name, one in found.items() if one["outcome"] != "passed"}


def plant(site: Site) -> dict[tuple[str, str], int]:
    """Break something of every kind; how many things break which check."""
    from qdrant_client.models import PointStruct

    def train(change: str, *places: int) -> None:
        site.sql(f"UPDATE rail.trains SET {change} WHERE place = ANY(%s)", list(places))

    there = site.stored("notes", vectors=True)
    train("number = NULL", 1)
    train("number = 'AB-0003'", 2)
    train("number = 'ab-00005'", 5)
    train("operator = 'nobody'", 6)
    train("capacity = 9, seats = 5", 7)
    train("capacity = 901", 8)
    train("built = '1949-12-31'", 9, 10)
    train("kind = 'magnetic'", 11)
    train("code = '12x'", 12)
    train("contact = 'secret'", 13)
    train("operator = 'op1', slot = 0", 14)  # the operator and slot of 1
    train("seats = capacity + 1", 15)
    train("retired = '1970-01-01'", 16)
    site.sql("UPDATE rail.operators SET active = false WHERE id = 'op29'")  # of 29, 59, …: ten trains
    train("wagons = NULL", 17, 18)
    train("wagons = 0", 19)
    train("wagons = 51", 20)
    train("seen = now() - interval '3 days'", *range(300))
    train("kind = 'people'", *(n for n in range(200, 300) if n % 5 >= 3))
    train("capacity = capacity + 300", *range(240, 300))
    site.sql("DELETE FROM rail.trains WHERE place = 299")
    one_reading = "speed = 3 AND train = (SELECT id FROM rail.trains WHERE place = %s)"
    site.sql(f"UPDATE rail.readings SET speed = 'NaN' WHERE {one_reading}", 21)
    site.sql(f"UPDATE rail.readings SET speed = -1 WHERE {one_reading}", 22)

    def node(change: str, place: int) -> None:
        site.cypher(f"MATCH (n:Train {{number: 'AB-{place:04d}'}}) {change}")

    node("DETACH DELETE n", 30)
    node("SET n.seats = 7", 31)
    node("REMOVE n.number", 32)
    node("SET n.number = 'AB-0034'", 33)
    node("SET n.seats = 'many'", 35)
    node("SET n:Ghost", 36)
    node("SET n.colour = 'red'", 37)
    node("MATCH (n)-[r:RUN_BY]->() DELETE r", 38)
    node("MATCH (o:Operator {id: 'op1'}) CREATE (n)-[:RUN_BY]->(o)", 39)
    node("MATCH (d:Depot {id: 1}) WITH n, d LIMIT 1 CREATE (n)-[:RUN_BY]->(d)", 40)
    node("UNWIND range(1, 3) AS i CREATE (n)<-[:PART_OF]-(:Part {id: 'x' + i})", 41)
    node("MATCH (n)<-[:PART_OF]-(a:Part)<-[:PART_OF]-(b:Part) CREATE (a)-[:PART_OF]->(b)", 42)
    node("MATCH (n)<-[:PART_OF]-(a:Part) CREATE (a)-[:PART_OF]->(n)", 43)
    node("CREATE (n)-[:PART_OF]->(:Train {id: 'extra', number: 'extra', seats: 1})", 44)
    site.cypher("CREATE (:Part {id: 'lost'})")
    site.cypher("MATCH (:Operator {id: 'op15'})-[r:BASED_AT]->() DELETE r")

    def point(place: int, *, vector: Any = None, **payload: Any) -> None:
        one = there[place]
        site.points.upsert(
            "notes", [PointStruct(id=one.id, vector=vector or one.vector, payload={**one.payload, **payload})]
        )

    site.points.delete("notes", [there[50].id, there[51].id])
    site.points.upsert(
        "notes",
        [
            PointStruct(
                id=9000 if isinstance(there[52].id, int) else str(uuid.uuid4()),
                vector=there[52].vector,
                payload={**there[52].payload, "id": 9000},
            )
        ],
    )
    point(53, _wb_model="other-model")
    site.sql("UPDATE rail.notes SET body = body || ' and wheels' WHERE id IN (54, 55, 56)")
    point(57, body=None)
    site.points.upsert("notes", [PointStruct(id=there[58].id, vector=[0.0] * 64, payload=there[58].payload)])
    point(7, vector=[1.0 if n == 0 else 0.0 for n in range(64)])
    return {
        ("trains", "required number"): 1,
        ("trains", "pattern number"): 1,
        ("trains", "max_length number"): 1,
        ("trains", "unique number"): 2,
        ("trains", "references operator"): 1,
        ("trains", "min capacity"): 1,
        ("trains", "max capacity"): 1,
        ("trains", "min built"): 2,
        ("trains", "values kind"): 1,
        ("trains", "type code"): 1,
        ("trains", "min_length contact"): 1,
        ("trains", "unique operator, slot"): 2,
        ("trains", "rows"): 1,
        ("trains", "freshness"): 1,
        ("trains", "seats fit"): 1,
        ("trains", "retired after built"): 1,
        ("trains", "active operator"): 10,  # nobody, and nine of op29: the tenth train is gone
        ("trains", "is a node"): 1,
        ("trains", "mix of kinds"): 1,
        ("trains", "capacity as last year"): 1,
        ("trains", "soda missing wagons"): 2,
        ("trains", "some wagons"): 1,
        ("trains", "not both"): 1,
        ("readings", "min speed"): 1,
        ("readings", "max speed"): 1,
        ("readings", "of a train"): 5,
        ("nodes", "required number"): 1,
        ("nodes", "unique number"): 2,
        ("nodes", "type seats"): 1,
        ("nodes", "labels"): 1,
        ("nodes", "properties"): 1,
        ("nodes", "all trains"): 1,
        ("parts", "connected"): 1,
        ("parts", "acyclic PART_OF"): 2,
        ("part_of", "ends"): 1,
        ("part_of", "simple"): 1,
        ("points", "required body"): 1,
        ("points", "model hashing-64"): 1,
        ("points", "every note"): 2,
        ("points", "of a note"): 1,
        ("points", "of its text"): 3,
        ("points", "canaries vector"): 1,
    }


def test_nothing_is_found_where_nothing_is_wrong(railway: Site) -> None:
    found = held(railway, *ALL)
    assert broken(found) == {}
    assert len(found) >= 50


def test_all_that_was_planted_is_found_and_nothing_else_and_every_finder_is_pasted(railway: Site) -> None:
    planted = plant(railway)
    found = held(railway, *ALL)
    seen = broken(found)
    more = {
        ("trains", "same in the graph"),
        ("nodes", "one operator"),
        ("nodes", "one operator: labels"),
        ("nodes", "few parts"),
        ("nodes", "few parts: labels"),
        ("nodes", "to a depot"),
        ("points", "sound"),
    }
    print(
        json.dumps(
            {
                " / ".join(k): [v["outcome"], v["failing"], v["reason"], v["sample"][:2], v["finder"]]
                for k, v in found.items()
                if v["outcome"] != "passed"
            },
            indent=1,
            default=str,
        )
    )
    assert {name: count for name, count in seen.items() if name not in more} == planted
    assert more <= set(seen)
    assert {one["outcome"] for one in found.values()} == {"passed", "failed"}
    pasted = 0
    for (contract, name), one in found.items():
        if one["outcome"] != "failed" or not one["finder"] or one["finder"].startswith("--"):
            continue
        if one["finder"].startswith("POST"):
            rows = railway.points.retrieve("notes", json.loads(one["finder"].partition("\n")[2])["ids"])
        elif one["finder"].startswith("MATCH"):
            rows = railway.cypher(one["finder"])
        else:
            rows = railway.sql(one["finder"])
        if name != "acyclic PART_OF":
            assert len(rows) == one["failing"], (contract, name, one["finder"])
        pasted += 1
    assert pasted >= 35
    assert "secret" not in json.dumps([one["sample"] for one in found.values()], default=str)
