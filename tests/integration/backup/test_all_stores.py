"""Three real stores backed up, wiped and restored, compared by checksums that no code of ours computes."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from tests.integration.cli.conftest import COMMAND, Answer, Shell

if TYPE_CHECKING:
    from neo4j import Driver
    from qdrant_client import QdrantClient
    from tests.conftest import PostgresDatabase


_TABLES = r"""
CREATE TYPE mood AS ENUM ('fine', 'so-so');
CREATE TABLE things (id int PRIMARY KEY, name text, amount numeric, at timestamptz, body jsonb, raw bytea, part float8,
                     tags text[], m mood, span interval);
INSERT INTO things SELECT i, 'thing ' || i, i * 1.10, '2026-01-01'::timestamptz + i * interval '1 minute',
    jsonb_build_object('n', i, 'é', 'ü'), decode(md5(i::text), 'hex'), i / 7.0, ARRAY['a', NULL], 'fine',
    '1 mon -2 days'
  FROM generate_series(1, 3000) AS i;
CREATE TABLE twins (x text, day date);
INSERT INTO twins VALUES ('a', 'infinity'), ('a', 'infinity'), (NULL, NULL);
CREATE TABLE parts (id int) PARTITION BY RANGE (id);
CREATE TABLE parts_low PARTITION OF parts FOR VALUES FROM (0) TO (10);
INSERT INTO parts VALUES (1), (2);
CREATE TABLE "We.ird ""T" ("C 1" int);
INSERT INTO "We.ird ""T" VALUES (7);
CREATE VIEW few AS SELECT * FROM things WHERE id < 10;
CREATE INDEX ON things (name);
CREATE SEQUENCE counter; SELECT nextval('counter'), nextval('counter');
"""
_GRAPH = [
    "CREATE CONSTRAINT thing_key FOR (n:Thing) REQUIRE n.id IS UNIQUE",
    "CREATE INDEX thing_name FOR (n:Thing) ON (n.name)",
    "CREATE FULLTEXT INDEX thing_text FOR (n:Thing) ON EACH [n.name]",
    "UNWIND range(1, 800) AS i CREATE (:Thing {id: i, name: 'thing ' + i})",
    "MATCH (a:Thing), (b:Thing) WHERE b.id = a.id + 1 CREATE (a)-[:NEXT {w: a.id * 1.5}]->(b), (a)-[:NEXT]->(b)",
    """CREATE (:`We``ird` :Odd {b: true, i: 9223372036854775807, f: 1.0, none: 0.0 / 0.0, much: 1.0 / 0.0, s: 'é😀',
        d: date('2020-02-29'), lt: localtime('12:00:00.123456789'), t: time('12:00:00.000000001+01:30'),
        ld: localdatetime('2020-01-01T00:00:00.5'), z: datetime('2020-10-25T02:30:00.123456789+01:00[Europe/Paris]'),
        z2: datetime('2020-10-25T02:30:00+02:00[Europe/Paris]'), o: datetime('2020-10-25T02:30:00+05:30'),
        far: date('+12020-01-01'), fars: [date('+12020-01-01'), date('-0044-03-15')],
        u: duration('P1M-2DT3.5S'), n: duration({seconds: -1, nanoseconds: -5}), p: point({x: 1, y: 2}),
        w: point({longitude: 1.5, latitude: 2.5, height: 7}), li: [1, 2], lf: [1.0, 2.5], ls: ['a'], e: []}), ()""",
    "MATCH (n:Odd) CREATE (n)-[:SELF {at: date('2020-01-01')}]->(n)",
]


def checksum_of_tables(dsn: str) -> dict[str, str]:
    """Every table as `COPY` writes it, its lines sorted; the views' definitions and the sequence beside."""
    found = {}
    with psycopg.connect(dsn) as connection:
        names = connection.execute(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname = 'public'"
        ).fetchall()
        for (name,) in names:
            with connection.cursor().copy(f"COPY (SELECT * FROM {name}) TO STDOUT".encode()) as copy:
                lines = sorted(b"".join(bytes(part) for part in copy).splitlines())
            found[name] = hashlib.sha256(b"\n".join(lines)).hexdigest()
        found["views"] = str(connection.execute("SELECT definition FROM pg_views WHERE viewname = 'few'").fetchall())
        found["sequence"] = str(connection.execute("SELECT last_value FROM counter").fetchall())
        indexes = connection.execute("SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1")
        found["indexes"] = str(indexes.fetchall())
    return found


def checksum_of_graph(driver: Driver) -> dict[str, Any]:
    """Nodes and relationships as the server itself writes their values, sorted."""
    as_text = (
        "[k IN keys(x) | [k, valueType(x[k]), CASE WHEN x[k] IS :: LIST<ANY> "
        "THEN reduce(t = '', one IN x[k] | t + toString(one) + ';') ELSE toString(x[k]) END]]"
    )
    with driver.session() as session:
        nodes = session.run(f"MATCH (x) RETURN labels(x) AS l, {as_text} AS p").values()
        related = session.run(f"MATCH (a)-[x]->(b) RETURN type(x), a.id, b.id, {as_text} AS p").values()
        schema = session.run("SHOW INDEXES YIELD createStatement RETURN createStatement").value()
    lines = sorted(json.dumps([sorted(labels), sorted(map(str, p))]) for labels, p in nodes)
    links = sorted(json.dumps([kind, a, b, sorted(map(str, p))], default=str) for kind, a, b, p in related)
    return {"nodes": lines, "relationships": links, "schema": sorted(map(str, schema))}


def _canonical(vector: Any) -> str:
    """A server tells named vectors in any order."""
    return repr(sorted(vector.items()) if isinstance(vector, dict) else vector)


def checksum_of_vectors(client: QdrantClient) -> dict[str, Any]:
    """Points as the stock client reads them, to the last digit."""
    found: dict[str, Any] = {"aliases": sorted(str(one) for one in client.get_aliases().aliases)}
    for one in client.get_collections().collections:
        points, _ = client.scroll(one.name, limit=10_000, with_vectors=True)
        told = client.get_collection(one.name)
        found[one.name] = [
            sorted(
                (str(point.id), json.dumps(point.payload, sort_keys=True), _canonical(point.vector)) for point in points
            ),
            str(told.config.params),
            str({name: index.data_type for name, index in told.payload_schema.items()}),
        ]
    return found


@pytest.fixture
def qdrant(qdrant_url: str) -> Any:
    from qdrant_client import QdrantClient

    client = QdrantClient(url=qdrant_url, check_compatibility=False)
    yield client
    client.close()


@pytest.fixture
def site(
    shell: Shell, connections: dict[str, str], postgres: PostgresDatabase, neo4j: Driver, qdrant: QdrantClient
) -> Shell:
    """Three stores with something in them, and a metastore in a database of its own."""
    from qdrant_client import models

    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute(_TABLES)
    with neo4j.session() as session:
        for statement in _GRAPH:
            session.run(statement).consume()
    draw = random.Random(11)
    qdrant.create_collection("cosine", vectors_config=models.VectorParams(size=16, distance=models.Distance.COSINE))
    vectors = [[draw.uniform(-1, 1) for _ in range(16)] for _ in range(300)]
    payloads = [{"n": i, "f": i / 3, "s": "é", "l": [1, 2.5, None]} for i in range(300)]
    qdrant.upload_collection("cosine", vectors=vectors, payload=payloads, ids=range(300), wait=True)
    qdrant.create_payload_index("cosine", "n", models.PayloadSchemaType.INTEGER)
    qdrant.create_collection(
        "named",
        vectors_config={"a": models.VectorParams(size=3, distance=models.Distance.DOT)},
        sparse_vectors_config={"s": models.SparseVectorParams()},
    )
    point = {"a": [0.1, 0.2, 0.3], "s": models.SparseVector(indices=[5, 1], values=[0.5, 0.25])}
    name = "00000000-0000-0000-0000-000000000001"
    qdrant.upsert("named", [models.PointStruct(id=name, vector=point, payload={})], wait=True)
    alias = models.CreateAlias(collection_name="cosine", alias_name="current")
    qdrant.update_collection_aliases([models.CreateAliasOperation(create_alias=alias)])
    stores = {name: value for name, value in connections.items() if name != "AIRFLOW_CONN_ODRAS_POSTGRES"}
    database = json.dumps(postgres.airflow)
    metastore = stores["AIRFLOW_CONN_WORKBENCH_METASTORE"]
    shell.variables = {
        **shell.variables,
        **stores,
        "AIRFLOW_CONN_ODRAS_POSTGRES": database,
        "AIRFLOW_CONN_WORKBENCH_METASTORE": metastore,
        "WORKBENCH_BACKUP_STORES": "odras_postgres,odras_neo4j,odras_qdrant",
    }
    assert shell("db", "upgrade").code == 0
    return shell


def wipe(dsn: str, neo4j: Driver, qdrant: QdrantClient) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public; CREATE TABLE intruder ()")
    with neo4j.session() as session:
        session.run("MATCH (n) DETACH DELETE n").consume()
        session.run("CREATE (:Intruder)").consume()
        session.run("DROP CONSTRAINT thing_key").consume()
    for one in qdrant.get_collections().collections:
        qdrant.delete_collection(one.name)


def succeeded(answer: Answer) -> dict[str, Any]:
    assert answer.code == 0, f"{answer.out}{answer.err}"
    return answer.document


def test_all_stores_come_back_as_they_were(
    site: Shell, postgres: PostgresDatabase, neo4j: Driver, qdrant: QdrantClient, tmp_path: Path
) -> None:
    before = checksum_of_tables(postgres.dsn), checksum_of_graph(neo4j), checksum_of_vectors(qdrant)
    made = succeeded(site("backup", "create", "--json"))
    assert made["quiet"]
    assert not any(one["moved"] for one in made["stores"].values())
    assert made["fence_ms"] > 0
    again = succeeded(site("backup", "create", "--json"))
    # Nothing changed, so nothing is stored again but the dump's beginning, which tells the time.
    only = ("--store", "odras_neo4j", "--store", "odras_qdrant", "--json")
    assert succeeded(site("backup", "create", *only))["new_bytes"] == 0

    # Without the graph, whose server takes long to start; its restore is the one in place below.
    some = ("--store", "odras_postgres", "--store", "odras_qdrant", "--store", "definitions")
    drilled = succeeded(site("backup", "verify", made["set"], "--drill", *some, "--json"))["drill"]
    assert {name: one["outcome"] for name, one in drilled["stores"].items()} == dict.fromkeys(some[1::2], "passed")

    wipe(postgres.dsn, neo4j, qdrant)
    refused = site("backup", "restore", made["set"], "--json")
    assert (refused.code, refused.document["error"]["kind"]) == (2, "UsageError")
    told = succeeded(site("backup", "restore", made["set"], "--yes", "--json"))
    after = checksum_of_tables(postgres.dsn), checksum_of_graph(neo4j), checksum_of_vectors(qdrant)
    assert after[0] == before[0]
    assert after[1] == before[1]
    assert list(after[2]) == list(before[2])
    for name, held in before[2].items():
        for was, now in zip(held, after[2][name], strict=True):
            assert [pair for pair in zip(was, now, strict=True) if pair[0] != pair[1]][:2] == [], name

    # What was replaced is kept: the database beside, graph and vectors as a set that is not the newest.
    kept = told["stores"]["odras_postgres"]["replaced"]
    with psycopg.connect(postgres.dsn.rpartition("/")[0] + f"/{kept}") as connection:
        assert connection.execute("SELECT count(*) FROM intruder").fetchone() == (0,)
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{kept}"'.encode())
    replaced = succeeded(site("backup", "show", told["replaced_set"], "--json"))
    assert replaced["stores"]["odras_neo4j"]["streams"]["Intruder"]["count"] == 1
    sets = succeeded(site("backup", "list", "--json"))["sets"]
    assert sets[0]["set"] == told["replaced_set"]
    assert {one["set"] for one in sets} >= {again["set"], made["set"]}

    beside = succeeded(site("backup", "restore", made["set"], "--beside", "copy", "--definitions", "defs", "--json"))
    assert beside["not_restored"] == ["odras_neo4j"]
    copied = postgres.dsn.rpartition("/")[0] + f"/copy_{postgres.name}"
    assert checksum_of_tables(copied) == before[0]
    assert (tmp_path / "defs" / "pipelines" / "letters.yaml").read_text() == (tmp_path / "letters.yaml").read_text()
    assert checksum_of_vectors(qdrant)["copy_cosine"] == before[2]["cosine"]
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "copy_{postgres.name}"'.encode())


def test_a_killed_backup_leaves_earlier_sets_and_the_next_is_fine(site: Shell, postgres: PostgresDatabase) -> None:
    only = ("--store", "odras_postgres", "--json")
    first = succeeded(site("backup", "create", *only))
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE noise AS SELECT sha512(i::text::bytea) FROM generate_series(1, 300000) AS i")
    folder = Path(site.variables["WORKBENCH_HOME"]) / "backups"
    kept = set((folder / "chunks").rglob("*.age"))
    process = subprocess.Popen(
        [*COMMAND, "backup", "create", *only], env=dict(site.variables), cwd=site.folder, stdout=subprocess.DEVNULL
    )
    while not set((folder / "chunks").rglob("*.age")) - kept:  # it has begun to write
        assert process.poll() is None
        time.sleep(0.005)
    busy = site("backup", "create", *only)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert (busy.code, busy.document["error"]["kind"]) == (1, "StoreBusy")
    assert [one["set"] for one in succeeded(site("backup", "list", "--json"))["sets"]] == [first["set"]]
    assert succeeded(site("backup", "verify", "--json"))["set"] == first["set"]
    third = succeeded(site("backup", "create", *only))
    assert succeeded(site("backup", "verify", "--json"))["set"] == third["set"]
