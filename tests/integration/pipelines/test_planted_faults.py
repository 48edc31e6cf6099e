"""A hospital nobody has seen before: faults planted over its three stores, all found and located, and no other.

Its names are odd but legal (spaces, upper case, umlauts, quotes, dots, reserved words), its keys composite, texts,
UUIDs and bytes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from typing import TYPE_CHECKING, Any

import numpy as np
import psycopg
import psycopg.rows
import pytest
from qdrant_client.models import Distance, Filter, PointStruct, VectorParams

from data_workbench.connectors.connections import Connections, from_environment
from data_workbench.pipelines.contract_files import parse_contract
from data_workbench.pipelines.contracts import Contracts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.pipelines.conftest import Site

PEOPLE = 120
TABLES = """
CREATE SCHEMA "Klinik Süd";
CREATE TABLE "Klinik Süd"."Bett" ("Station" text, "Bett Nr" int, PRIMARY KEY ("Station", "Bett Nr"));
CREATE TABLE "Klinik Süd"."group" ("key" text PRIMARY KEY, "of" text);
CREATE TABLE "Klinik Süd"."Patient.Akte" (
  id uuid PRIMARY KEY, no int, "Name" text, "first name" text, "geb." date, "Größe" numeric, "select" text,
  "e""mail" text, "Station" text, "Bett" int, "order" text, secret text, weight numeric(6, 2), insured bool,
  admitted timestamptz, discharged timestamptz, "updated at" timestamptz);
CREATE TABLE "Klinik Süd".scan (digest bytea PRIMARY KEY, no int, akte uuid, "group" text, finding text, dose float8);
CREATE TABLE "Klinik Süd"."Vorjahr" AS SELECT "Größe" FROM "Klinik Süd"."Patient.Akte";

INSERT INTO "Klinik Süd"."Bett" SELECT s, b FROM unnest(array['Ost', 'Säugling', 'O''Neill', 'E"1"']) s,
  generate_series(1, 30) b;
INSERT INTO "Klinik Süd"."group" SELECT 'g' || n, 'g' || n / 2 FROM generate_series(1, 20) n WHERE n > 0;
UPDATE "Klinik Süd"."group" SET "of" = NULL WHERE "key" = 'g1';
INSERT INTO "Klinik Süd"."Patient.Akte"
  SELECT md5(n::text)::uuid, n, 'Özgür ' || n, 'Ann ''' || n || '''', date '1950-03-01' + n, 150.5 + n % 40,
    CASE n % 4 WHEN 0 THEN 'privat' ELSE 'gesetzlich' END, 'p' || n || '@klinik.example',
    (array['Ost', 'Säugling', 'O''Neill', 'E"1"'])[1 + n % 4], 1 + n / 4, n::text, 'diagnosis ' || n, 60 + n / 8.0,
    n % 3 = 0, timestamptz '2026-01-01 08:00:00+01' + n * interval '1 hour',
    CASE WHEN n % 2 = 0 THEN timestamptz '2026-06-01 00:00:00+02' END, now()
  FROM generate_series(0, 119) n;
INSERT INTO "Klinik Süd"."Vorjahr" SELECT "Größe" FROM "Klinik Süd"."Patient.Akte";
INSERT INTO "Klinik Süd".scan
  SELECT decode(md5('scan' || n), 'hex'), n, md5(n::text)::uuid, 'g' || 1 + n % 20,
    'finding ' || n || ': ' || regexp_replace(md5(n::text), '(.{5})', '\\1 ', 'g'), n
  FROM generate_series(0, 119) n;
"""
LOAD = """
version: 1
pipeline: klinik
sources:
  akten: {connection: pg, stream: 'Klinik Süd."Patient.Akte"'}
  scans: {connection: pg, stream: Klinik Süd.scan}
steps:
  - name: people
    input: akten
    rename: {Name: name, geb.: born, Größe: height, Station: ward, Bett: bed}
destinations:
  graph:
    connection: graph
    write: merge
    nodes:
      - {input: people, label: Person, key: id, properties: [id, name, born, height, weight, insured, admitted, bed]}
  points:
    connection: vectors
    collection: befunde
    key: digest
    input: scans
    embed: {text: finding, model: hashing-64}
    payload: [digest, no, akte, group, dose]
"""
AKTE = """
version: 1
contract: akte
owner: archive
connection: pg
stream: Klinik Süd."Patient.Akte"
derive: {domain: "split_part(\\"e\\"\\"mail\\", '@', 2)"}
columns:
  Name: {required: true, pattern: '^\\p{Lu}\\p{L}* [0-9]+$', min_length: 3}
  first name: {required: true, max_length: 12}
  geb.: {min: "1900-01-01", max: "2026-11-01"}
  Größe: {min: 20, max: 260}
  select: {values: [privat, gesetzlich]}
  'e"mail': {unique: true}
  domain: {values: [klinik.example]}
  order: {type: integer}
  secret: {classification: geheim, min_length: 6}
unique: [[Station, Bett]]
rows: {min: 120, max: 120}
freshness: {column: updated at, within: 1d}
checks:
  - {name: leaves after it came, condition: "discharged >= admitted"}
  - {name: heavy enough, condition: '"weight" > "Größe" / 10'}
  - {name: a bed, references: {connection: pg, stream: Klinik Süd.Bett, on: {Station: Station, Bett: Bett Nr}}}
  - {name: a node, references: {connection: graph, stream: Person, on: {id: id}}}
  - name: as in the graph
    agrees:
      connection: graph
      stream: Person
      on: {id: id}
      columns: {Name: name, geb.: born, Größe: height, weight: weight, insured: insured, admitted: admitted}
  - name: as in the register
    agrees:
      connection: graph
      stream: Gemeldete Person
      on: {id: id}
      columns: {Name: name, geb.: born, Größe: height, weight: weight, insured: insured, admitted: admitted, no: n}
  - {name: kinds of insurance, distribution: {column: select, shares: {privat: 0.25, gesetzlich: 0.75}, within: 0.05}}
  - name: height as last year
    distribution: {column: Größe, like: {connection: pg, stream: Klinik Süd.Vorjahr}, within: 0.15}
soda:
  columns: [{name: Station, checks: [{missing: null}]}]
  checks: [{failed_rows: {name: old enough, expression: '"geb." > DATE ''2020-01-01'''}}]
"""
BEDS = """
version: 1
contract: betten
connection: pg
stream: Klinik Süd.Bett
columns: {Bett Nr: {min: 1, max: 30}, Station: {values: [Ost, Säugling, "O'Neill", 'E"1"']}}
"""
GROUPS = """
version: 1
contract: gruppen
connection: pg
stream: Klinik Süd.group
checks:
  - {name: within another, references: {connection: pg, stream: Klinik Süd.group, on: {of: key}}}
"""
SCANS = """
version: 1
contract: scans
connection: pg
stream: Klinik Süd.scan
columns:
  finding: {required: true}
  dose: {min: 0, max: 200}
checks:
  - {name: of a person, references: {connection: pg, stream: 'Klinik Süd."Patient.Akte"', on: {akte: id}}}
  - {name: all people, covers: {connection: pg, stream: 'Klinik Süd."Patient.Akte"', on: {akte: id}}}
  - {name: of a group, references: {connection: pg, stream: Klinik Süd.group, on: {group: key}}}
  - {name: a point, references: {connection: vectors, stream: befunde, on: {digest: digest}}}
  - {name: no words twice, condition: "finding NOT LIKE '%copy%'"}
"""
PERSONS = """
version: 1
contract: persons
connection: graph
stream: Person
columns:
  name: {required: true, unique: true}
  bed: {type: integer}
checks:
  - {labels: [Person, Gemeldete Person]}
  - {properties: [id, name, born, height, weight, insured, admitted, bed]}
  - {name: a doctor, relationship: {type: BEHANDELT VON, to: [Ärztin], min: 1, max: 1}}
  - {name: few visitors, relationship: {type: BESUCHT, direction: in, to: [Gast], max: 2}}
  - {name: to a ward, path: {types: [BEHANDELT VON, GEHÖRT ZU], to: Station, within: 3}}
  - {name: everybody, covers: {connection: pg, stream: 'Klinik Süd."Patient.Akte"', on: {id: id}}}
  - {name: nobody else, references: {connection: pg, stream: 'Klinik Süd."Patient.Akte"', on: {id: id}}}
"""
DOCTORS = """
version: 1
contract: doctors
connection: graph
stream: Ärztin
checks:
  - {connected: true}
  - {name: no circle, acyclic: {types: [LEITET AN]}}
"""
TREATED = """
version: 1
contract: treated
connection: graph
stream: "[:LEITET AN]"
checks: [{ends: {from: [Ärztin], to: [Ärztin]}}, {simple: true}]
"""
POINTS = """
version: 1
contract: befunde
connection: vectors
stream: befunde
columns:
  group: {required: true, pattern: "^g[0-9]+$"}
  no: {unique: true}
checks:
  - {name: sound, vectors: {dimension: 64, min_norm: 0.9, max_norm: 1.1, distinct: true}}
  - {model: hashing-64}
  - {name: every scan, covers: {connection: pg, stream: Klinik Süd.scan, on: {digest: digest}}}
  - {name: of a scan, references: {connection: pg, stream: Klinik Süd.scan, on: {digest: digest}}}
  - {name: of its text, text: {connection: pg, stream: Klinik Süd.scan, on: {digest: digest}, text: finding}}
  - name: as in the table
    agrees: {connection: pg, stream: Klinik Süd.scan, on: {no: "no"}, columns: {akte: akte, group: group, dose: dose}}
  - {recall: {at: 5, least: 0.9, queries: 20}}
  - {name: as before, drift: {than: {connection: vectors, stream: befunde alt}, within: 0.1}}
  - canaries: {model: hashing-64, within: 3, queries: [{text: TEXT 7, finds: {no: 7}}, {text: TEXT 8, finds: {no: 8}}]}
"""
EMBEDDINGS = """
version: 1
contract: vektoren
connection: pg
stream: public.vektoren
checks:
  - {name: sound, vectors: {column: v, dimension: 4, min_norm: 0.5, max_norm: 3.0e+20}}
"""
ALL = (AKTE, BEDS, GROUPS, SCANS, PERSONS, DOCTORS, TREATED, POINTS, EMBEDDINGS)


def person(number: int) -> str:
    """The key of a person."""
    return str(uuid.UUID(hashlib.md5(str(number).encode()).hexdigest()))


def scan(number: int) -> str:
    """The key of a scan, as JSON tells bytes."""
    return base64.b64encode(hashlib.md5(f"scan{number}".encode()).digest()).decode()


@pytest.fixture
def klinik(site: Site) -> Iterator[Site]:
    """A hundred and twenty people with their scans, in three stores; nothing is wrong with them."""
    site.sql('DROP SCHEMA IF EXISTS "Klinik Süd" CASCADE')
    site.sql(TABLES)
    site.sql("CREATE TABLE vektoren (name text PRIMARY KEY, v real[])")
    site.sql("INSERT INTO vektoren SELECT 'v' || n, array[1, n, 0, 0.5] FROM generate_series(1, 20) n")
    site.run(LOAD)
    register(site)
    site.cypher(
        "UNWIND range(0, 9) AS n CREATE (a:Ärztin {name: 'Dr. ' + n})-[:`GEHÖRT ZU`]->(:Station {n: n}) "
        "WITH collect(a) AS all UNWIND range(1, 9) AS n WITH all[n] AS a, all[n / 2] AS b "
        "CREATE (a)-[:`LEITET AN`]->(b)"
    )
    pairs = [[person(n), f"Dr. {n % 10}"] for n in range(PEOPLE)]
    site.cypher(
        "UNWIND $pairs AS p MATCH (x:Person {id: p[0]}), (a:Ärztin {name: p[1]}) CREATE (x)-[:`BEHANDELT VON`]->(a)",
        pairs=pairs,
    )
    site.cypher("MATCH (x:Person) CREATE (x)<-[:BESUCHT]-(:Gast)")
    site.points.create_collection("befunde alt", vectors_config=VectorParams(size=64, distance=Distance.COSINE))
    site.points.upsert(
        "befunde alt", [PointStruct(id=no, vector=one.vector) for no, one in points_of(site).items()], wait=True
    )
    yield site
    site.sql('DROP SCHEMA "Klinik Süd" CASCADE')


def register(site: Site) -> None:
    """Nodes that somebody else's program wrote, with the driver's own types."""
    people = site.sql(
        'SELECT id::text, no, "Name", "geb.", "Größe"::float8, weight::float8, insured, admitted '
        'FROM "Klinik Süd"."Patient.Akte"'
    )
    names = ("id", "n", "name", "born", "height", "weight", "insured", "admitted")
    site.cypher(
        "UNWIND $rows AS row CREATE (n:`Gemeldete Person`) SET n = row",
        rows=[dict(zip(names, row, strict=True)) for row in people],
    )


def points_of(site: Site) -> dict[int, Any]:
    """The points by the number of their scan."""
    return {one.payload["no"]: one for one in site.stored("befunde", vectors=True).values()}


def held(site: Site, *texts: str) -> dict[tuple[str, str], dict[str, Any]]:
    """The results by contract and name."""
    for number in (7, 8):
        told = site.one('SELECT finding FROM "Klinik Süd".scan WHERE no = %s', number)
        texts = tuple(text.replace(f"TEXT {number}", json.dumps(told)) for text in texts)
    contracts = Contracts(site.settings, Connections(from_environment), site.metastore)
    found = contracts.check([parse_contract(text) for text in texts])
    return {(one["contract"], one["name"]): one for one in found}


Expected = dict[tuple[str, str], set[object]]


def plant(site: Site) -> Expected:
    """Break something of every kind; what breaks which check. Numbers are of people and scans."""
    return {**in_tables(site), **in_the_graph(site), **in_the_collection(site)}


def in_tables(site: Site) -> Expected:
    def akte(change: str, *numbers: int) -> None:
        site.sql(f'UPDATE "Klinik Süd"."Patient.Akte" SET {change} WHERE no = ANY(%s)', list(numbers))

    def befund(change: str, *numbers: int) -> None:
        site.sql(f'UPDATE "Klinik Süd".scan SET {change} WHERE no = ANY(%s)', list(numbers))

    akte('"Name" = NULL', 1)
    akte("\"Name\" = 'özgür 2'", 2)
    akte('"first name" = NULL', 3)
    akte("\"first name\" = 'thirteen long'", 4)
    akte("\"geb.\" = '1899-12-31'", 5)
    akte("\"geb.\" = '2027-01-01'", 6)
    akte('"Größe" = 19.99', 7)
    akte('"Größe" = 260.1', 8)
    akte("\"select\" = 'it''s'", 9)
    akte('"e""mail" = \'p10@klinik.example\'', 11)
    akte('"e""mail" = \'p12@elsewhere.example\'', 12)
    akte("\"order\" = '12x'", 13)
    akte("secret = 'pssst'", 14)
    site.sql(
        'UPDATE "Klinik Süd"."Patient.Akte" a SET "Station" = b."Station", "Bett" = b."Bett" '
        'FROM "Klinik Süd"."Patient.Akte" b WHERE a.no = 15 AND b.no = 16'
    )
    akte("discharged = admitted - interval '1 minute'", 17)
    akte("weight = 1", 18)
    akte('"Station" = NULL', 19)
    akte('"Bett" = 99', 20)
    akte("insured = NULL", 25)
    akte("\"select\" = 'privat'", *range(61, 91))
    akte("\"updated at\" = now() - interval '2 days'", *range(PEOPLE))
    site.sql('DELETE FROM "Klinik Süd"."Patient.Akte" WHERE no = 119')
    site.sql('DELETE FROM "Klinik Süd"."Vorjahr" WHERE "Größe" < 165')
    site.sql("INSERT INTO \"Klinik Süd\".\"Bett\" VALUES ('Ost', 31), ('W\"e''st', 1)")
    site.sql('UPDATE "Klinik Süd"."group" SET "of" = \'g99\' WHERE key = \'g20\'')
    befund("finding = NULL", 30)
    befund("dose = 'NaN'", 31)
    befund("dose = -1", 32)
    befund("akte = gen_random_uuid()", 33)
    befund("\"group\" = 'g77'", 34)
    befund("finding = 'copy of ' || finding", 36)
    befund("finding = finding || '!'", 69, 70)
    for name, value in (("v1", "{NaN,0,0,0}"), ("v2", "{1,NULL,0,0}"), ("v3", "{1,1,1}"), ("v4", "{0,0,0,0}")):
        site.sql("UPDATE vektoren SET v = %s WHERE name = %s", value, name)
    site.sql("UPDATE vektoren SET v[2] = 1e30 WHERE name = 'v5'")
    return {
        ("akte", "required Name"): {1},
        ("akte", "pattern Name"): {2},
        ("akte", "required first name"): {3},
        ("akte", "max_length first name"): {4},
        ("akte", "min geb."): {5},
        ("akte", "max geb."): {6},
        ("akte", "old enough"): {6},
        ("akte", "min Größe"): {7},
        ("akte", "max Größe"): {8},
        ("akte", "values select"): {9},
        ("akte", 'unique e"mail'): {10, 11},
        ("akte", "values domain"): {12},
        ("akte", "type order"): {13},
        ("akte", "min_length secret"): {14},
        ("akte", "unique Station, Bett"): {15, 16},
        ("akte", "leaves after it came"): {17},
        ("akte", "heavy enough"): {18},
        ("akte", "soda missing Station"): {19},
        ("akte", "a bed"): {20},
        ("akte", "rows"): set(),
        ("akte", "freshness"): set(),
        ("akte", "kinds of insurance"): set(),
        ("akte", "height as last year"): set(),
        ("betten", "max Bett Nr"): {("Ost", 31)},
        ("betten", "values Station"): {("W\"e'st", 1)},
        ("gruppen", "within another"): {"g20"},
        ("scans", "required finding"): {30},
        ("scans", "max dose"): {31},
        ("scans", "min dose"): {32},
        ("scans", "of a person"): {33, 119},
        ("scans", "all people"): {33},
        ("scans", "of a group"): {34},
        ("scans", "no words twice"): {36},
        ("vektoren", "sound"): {"v1", "v2", "v3", "v4", "v5"},
        ("befunde", "of its text"): {30, 36, 69, 70},
    }


def in_the_graph(site: Site) -> Expected:
    def node(number: int, change: str, label: str = "Person") -> None:
        site.cypher(f"MATCH (n:`{label}` {{id: $id}}) {change}", id=person(number))

    node(21, "DETACH DELETE n")
    node(23, "SET n.weight = 7.5")
    node(24, "SET n.n = 24000", "Gemeldete Person")
    node(26, "SET n.admitted = n.admitted + duration('PT1S')", "Gemeldete Person")
    node(40, "REMOVE n.name")
    node(41, "SET n.name = 'Özgür 42'")
    node(43, "SET n.bed = 'three'")
    node(44, "SET n:Geist")
    node(45, "SET n.`my hobby` = 'chess'")
    node(46, "MATCH (n)-[r:`BEHANDELT VON`]->() DELETE r")
    node(47, "MATCH (a:Ärztin {name: 'Dr. 1'}) CREATE (n)-[:`BEHANDELT VON`]->(a)")
    node(48, "CREATE (n)-[:`BEHANDELT VON`]->(:Gast)")
    node(49, "UNWIND [1, 2] AS i CREATE (n)<-[:BESUCHT]-(:Gast)")
    node(50, "MATCH (a:Ärztin {name: 'Dr. 2'}) CREATE (n)<-[:BESUCHT]-(a)")
    node(
        51, "MATCH (n)-[r:`BEHANDELT VON`]->() DELETE r CREATE (n)-[:`BEHANDELT VON`]->(:Ärztin {name: 'Dr. Nowhere'})"
    )
    site.cypher("CREATE (:Ärztin {name: 'Dr. Lost'})")
    for one, other in ((4, 9), (8, 8), (7, 3)):
        site.cypher(
            "MATCH (a:Ärztin {name: $a}), (b:Ärztin {name: $b}) CREATE (a)-[:`LEITET AN`]->(b)",
            a=f"Dr. {one}",
            b=f"Dr. {other}",
        )
    site.cypher("MATCH (a:Ärztin {name: 'Dr. 6'}) CREATE (a)-[:`LEITET AN`]->(:Gast {name: 'guest'})")
    by_table = {1, 2, 5, 6, 7, 8, 18, 25}
    return {
        ("akte", "a node"): {21},
        ("akte", "as in the graph"): by_table | {23, 40, 41},
        ("akte", "as in the register"): by_table | {24, 26},
        ("persons", "everybody"): {21},
        ("persons", "nobody else"): {119},
        ("persons", "required name"): {40},
        ("persons", "unique name"): {41, 42},
        ("persons", "type bed"): {43},
        ("persons", "labels"): {44},
        ("persons", "properties"): {45},
        ("persons", "a doctor"): {46, 47},
        ("persons", "a doctor: labels"): {48},
        ("persons", "few visitors"): {49},
        ("persons", "few visitors: labels"): {50},
        ("persons", "to a ward"): {46, 51},
        ("doctors", "connected"): {"Dr. Lost"},
        ("doctors", "no circle"): {"Dr. 4", "Dr. 8", "Dr. 9"},
        ("treated", "ends"): {("Dr. 6", "guest")},
        ("treated", "simple"): {("Dr. 7", "Dr. 3"), ("Dr. 8", "Dr. 8")},
    }


def in_the_collection(site: Site) -> Expected:
    there = points_of(site)

    def point(number: int, *, vector: Any = None, **payload: Any) -> None:
        one = there[number]
        made = PointStruct(id=one.id, vector=vector or one.vector, payload={**one.payload, **payload})
        site.points.upsert("befunde", [made], wait=True)

    site.points.delete("befunde", [there[35].id], wait=True)
    point(60, _wb_model="hashing-32")
    point(61, vector=there[62].vector)
    point(63, vector=[0.0] * 64)
    point(64, group=None)
    point(65, group="h1")
    point(66, no=67)
    extra = {**there[68].payload, "digest": "AAAA", "no": 900}
    drawn = np.random.default_rng(5).normal(size=64).tolist()
    site.points.upsert("befunde", [PointStruct(id=str(uuid.uuid4()), vector=drawn, payload=extra)], wait=True)
    point(7, vector=[1.0] + [0.0] * 63)
    return {
        ("scans", "a point"): {35},
        ("befunde", "every scan"): {35},
        ("befunde", "of a scan"): {"AAAA"},
        ("befunde", "model hashing-64"): {60},
        ("befunde", "sound"): {61, 62, 63},
        ("befunde", "required group"): {64},
        ("befunde", "pattern group"): {65},
        ("befunde", "unique no"): {66, 67},
        ("befunde", "as in the table"): {31, 32, 33, 34, 64, 65, 66},
        ("befunde", "canaries vector"): set(),
    }


NUMBERS: dict[object, int] = {make(n): n for n in range(PEOPLE) for make in (person, scan)}


def identity(contract: str, row: dict[str, Any]) -> object:
    """Which thing a row is that was shown, or that a finder gave: the number of a person or scan, else its key."""
    match contract:
        case "betten":
            return row["Station"], row["Bett Nr"]
        case "treated":
            return row["_start"]["name"], row["_end"]["name"]
        case "gruppen" | "doctors" | "vektoren":
            return row.get("name", row.get("key"))
    key = row["digest"] if "digest" in row else row["id"]
    told = base64.b64encode(key).decode() if isinstance(key, bytes) else str(key)
    return NUMBERS.get(told, told)


def pasted(site: Site, finder: str) -> list[dict[str, Any]]:
    """What a finder gives in a console of its store."""
    if finder.startswith("POST"):
        address, body = finder.split("\n", 1)
        records = site.points.retrieve(address.split("/")[1], json.loads(body)["ids"])
        return [record.payload or {} for record in records]
    if finder.startswith("MATCH way"):
        return [dict(way.start_node) for (way,) in site.cypher(finder)]
    if finder.startswith("MATCH (a)"):
        return [{"_start": dict(a), "_end": dict(b)} for a, _, b in site.cypher(finder)]
    if finder.startswith("MATCH"):
        return [dict(node) for (node,) in site.cypher(finder)]
    with psycopg.connect(site.dsn, row_factory=psycopg.rows.dict_row) as connection:
        return connection.execute(finder.encode()).fetchall()


def test_all_that_was_planted_is_found_where_it_is_and_nothing_before(klinik: Site) -> None:
    sound = held(klinik, *ALL)
    assert {name: one for name, one in sound.items() if one["outcome"] != "passed"} == {}
    assert len(sound) >= 55
    planted = plant(klinik)
    found = held(klinik, *ALL)
    broken = {name: one for name, one in found.items() if one["outcome"] != "passed"}
    assert set(broken) == set(planted), {name: broken[name]["reason"] for name in set(broken) - set(planted)}
    for (contract, name), wanted in planted.items():
        one = broken[contract, name]
        assert one["outcome"] == "failed", (contract, name, one["reason"])
        if not wanted:
            continue
        shown = {identity(contract, row) for row in one["sample"]}
        assert one["failing"] == len(wanted), (contract, name, shown)
        assert shown <= wanted, (contract, name)
        assert len(shown) == min(5, len(wanted)), (contract, name)
        given = {identity(contract, row) for row in pasted(klinik, one["finder"])}
        assert given == wanted, (contract, name, one["finder"])
    assert sum(len(one) or 1 for one in planted.values()) >= 80
    told = json.dumps([one["sample"] for one in found.values()], default=str)
    assert "pssst" not in told
    assert "diagnosis" not in told


def test_a_collection_that_moved_is_told_and_of_stores_that_lost_everything_every_row_is_missed(klinik: Site) -> None:
    moved = [
        PointStruct(
            id=one.id, vector=[float(n > 40) + value for n, value in enumerate(one.vector)], payload=one.payload
        )
        for number, one in points_of(klinik).items()
        if number % 2
    ]
    klinik.points.upsert("befunde", moved, wait=True)
    found = held(klinik, POINTS)
    assert found["befunde", "as before"]["outcome"] == "failed"
    there = {one.id for one in moved}
    assert {row["id"] for row in found["befunde", "as before"]["sample"]} <= there

    # A label or a collection without a row knows of no property any more; that is no reason not to look.
    klinik.cypher("MATCH (n:Person) DETACH DELETE n")
    klinik.points.delete("befunde", Filter(), wait=True)
    found = held(klinik, AKTE, SCANS, PERSONS, POINTS)
    told = {name: (one["outcome"], one["failing"]) for name, one in found.items() if one["outcome"] != "passed"}
    assert told == {
        ("akte", "a node"): ("failed", PEOPLE),
        ("scans", "a point"): ("failed", PEOPLE),
        ("persons", "everybody"): ("failed", PEOPLE),
        ("befunde", "every scan"): ("failed", PEOPLE),
        ("befunde", "canaries vector"): ("failed", 2),
        ("befunde", "as before"): ("not_evaluated", None),
    }
