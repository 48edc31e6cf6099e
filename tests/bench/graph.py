"""PostgreSQL to Neo4j nodes against a bare driver loop that does the same."""

from __future__ import annotations

import json
import time
from typing import Any

import psycopg
from psycopg.rows import dict_row
from tests.bench.figures import Figure, middle
from tests.bench.files import beside
from tests.bench.ground import Ground, Ran, in_turns

BATCH = 10_000
"""Rows in a transaction, as the engine does it."""
TABLE = """
DROP TABLE IF EXISTS things;
CREATE TABLE things (id bigint PRIMARY KEY, code text, name text, category text, quantity int, ratio float8,
                     active bool, created_at timestamptz);
INSERT INTO things SELECT n, 'C' || n % 5000, 'thing ' || n, (ARRAY['alpha', 'beta', 'gamma'])[1 + n % 3], n % 1000,
                          sqrt(n), n % 2 = 0, timestamptz '2020-01-01Z' + n * interval '37 s'
FROM generate_series(1, {rows}) AS n;
ANALYZE things;
"""
PIPELINE = """
version: 1
pipeline: bench_nodes
sources:
  things: {connection: odras_postgres, stream: public.things}
destinations:
  graph: {connection: odras_neo4j, write: merge, nodes: [{input: things, label: Thing, key: id}]}
"""


def measure(ground: Ground) -> list[Figure]:
    """Nodes of one label into an empty graph."""
    rows = max(1000, ground.rows // 5)
    ground.sql(TABLE.format(rows=rows))
    with _driver(ground) as driver:
        ours, bare = in_turns(ground.rounds, lambda: _run(ground, driver), lambda: _loop(ground, driver))
        _empty(driver, "Thing", "BareThing")
    moved = middle([one.moved for one in ours])
    loop = middle([reading + writing for reading, writing in bare])
    writing = middle([writing for _, writing in bare])
    details = {
        "rows": rows,
        "seconds": moved,
        "rows_per_second": round(rows / moved),
        "peer": f"driver loop: rows fetched from PostgreSQL, UNWIND … MERGE of {BATCH} rows a transaction",
        "peer_seconds": loop,
        "peer_seconds_without_reading": writing,
        "against_writing_only": round(writing / moved, 3),
        "beside": beside(ours),
        "samples": [one.moved for one in ours],
        "peer_samples": [[round(part, 3) for part in one] for one in bare],
        "reconciled": ours[-1].document["reconciliation"]["clean"],
    }
    what = "PostgreSQL → Neo4j nodes: speed of a bare driver loop"
    return [Figure("neo4j", what, loop / moved, 0.75, details=details)]


def _driver(ground: Ground) -> Any:
    from neo4j import GraphDatabase

    found = json.loads(ground.stack.environment()["AIRFLOW_CONN_ODRAS_NEO4J"])
    return GraphDatabase.driver(f"bolt://{found['host']}:{found['port']}", auth=(found["login"], found["password"]))


def _run(ground: Ground, driver: Any) -> Ran:
    ground.say("bench_nodes")
    _empty(driver, "Thing")
    return ground.run("bench_nodes", PIPELINE)


def _loop(ground: Ground, driver: Any) -> tuple[float, float]:
    """Seconds for reading and for writing."""
    ground.say("driver loop")
    _empty(driver, "BareThing")
    driver.execute_query("CREATE CONSTRAINT bare IF NOT EXISTS FOR (n:BareThing) REQUIRE n.id IS UNIQUE")
    driver.execute_query("CALL db.awaitIndexes(60)")
    began = time.monotonic()
    with psycopg.connect(ground.dsn, row_factory=dict_row) as connection:
        rows = connection.execute("SELECT * FROM things").fetchall()
    read = time.monotonic()
    query = "UNWIND $rows AS row MERGE (n:BareThing {id: row.id}) SET n += row"
    with driver.session() as session:
        for start in range(0, len(rows), BATCH):
            session.execute_write(lambda tx, part: tx.run(query, rows=part).consume(), rows[start : start + BATCH])
    return read - began, time.monotonic() - read


def _empty(driver: Any, *labels: str) -> None:
    with driver.session() as session:
        for label in labels:
            session.run(f"MATCH (n:{label}) CALL (n) {{ DELETE n }} IN TRANSACTIONS OF 20000 ROWS").consume()
