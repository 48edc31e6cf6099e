"""PostgreSQL to Neo4j nodes and Neo4j to Parquet, against bare driver loops that do the same."""

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
NODES = """
version: 1
pipeline: bench_nodes
sources:
  things: {{connection: odras_postgres, stream: public.things{columns}}}
destinations:
  graph: {{connection: odras_neo4j, write: merge, nodes: [{{input: things, label: Thing, key: id}}]}}
"""
READ = """
version: 1
pipeline: bench_graph_read
sources:
  things: {connection: odras_neo4j, stream: Thing}
destinations:
  parquet: {connection: workbench_files, folder: bench_graph_read, format: parquet, write: replace}
"""
WITHOUT_MOMENTS = ("id", "code", "name", "category", "quantity", "ratio", "active")
"""The driver takes long over a timestamp, the engine does not: both are measured with them and without."""
ALL = (*WITHOUT_MOMENTS, "created_at")


def measure(ground: Ground) -> list[Figure]:
    """Nodes of one label into an empty graph, and out of it again."""
    rows = max(1000, ground.rows // 5)
    ground.sql(TABLE.format(rows=rows))
    with _driver(ground) as driver:
        # The server compiles what runs often; the first round of either side would pay for both.
        in_turns(1 if rows > 1000 else 0, lambda: _run(ground, driver), lambda: _loop(ground, driver))
        written = in_turns(ground.rounds, lambda: _run(ground, driver), lambda: _loop(ground, driver))
        figures = [_written("neo4j", "PostgreSQL → Neo4j nodes: speed of a bare driver loop", 0.9, rows, *written)]
        plain = in_turns(
            ground.rounds,
            lambda: _run(ground, driver, WITHOUT_MOMENTS),
            lambda: _loop(ground, driver, WITHOUT_MOMENTS),
        )
        figures.append(_written("neo4j_plain", "  the same without a timestamp", None, rows, *plain))
        _run(ground, driver)
        in_turns(1, lambda: run_read(ground), lambda: _walk(ground, driver))
        figures.append(
            _read_figure(rows, *in_turns(ground.rounds, lambda: run_read(ground), lambda: _walk(ground, driver)))
        )
        _empty(driver, "Thing", "BareThing")
    return figures


def _written(
    name: str, what: str, goal: float | None, rows: int, ours: list[Ran], bare: list[tuple[float, float]]
) -> Figure:
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
    return Figure(name, what, loop / moved, goal, details=details)


def _read_figure(rows: int, ours: list[Ran], bare: list[float]) -> Figure:
    moved, walked = middle([one.moved for one in ours]), middle(bare)
    details = {
        "rows": rows,
        "seconds": moved,
        "rows_per_second": round(rows / moved),
        "peer": "driver loop: MATCH … RETURN the same properties, each record's values taken, nothing kept",
        "peer_seconds": walked,
        "beside": beside(ours),
        "samples": [one.moved for one in ours],
        "peer_samples": [round(one, 3) for one in bare],
        "reconciled": ours[-1].document["reconciliation"]["clean"],
    }
    what = "Neo4j → Parquet: speed of a bare driver loop that only reads"
    return Figure("neo4j_read", what, walked / moved, 0.8, details=details)


def _driver(ground: Ground) -> Any:
    from neo4j import GraphDatabase

    found = json.loads(ground.stack.environment()["AIRFLOW_CONN_ODRAS_NEO4J"])
    return GraphDatabase.driver(f"bolt://{found['host']}:{found['port']}", auth=(found["login"], found["password"]))


def run_nodes(ground: Ground, rows: int) -> Ran:
    """So many nodes into an empty graph."""
    ground.sql(TABLE.format(rows=rows))
    with _driver(ground) as driver:
        return _run(ground, driver)


def _run(ground: Ground, driver: Any, columns: tuple[str, ...] = ALL) -> Ran:
    ground.say("bench_nodes")
    _empty(driver, "Thing")
    return ground.run("bench_nodes", NODES.format(columns=f", columns: [{', '.join(columns)}]"))


def _loop(ground: Ground, driver: Any, columns: tuple[str, ...] = ALL) -> tuple[float, float]:
    """Seconds for reading and for writing."""
    ground.say("driver loop")
    _empty(driver, "BareThing")
    driver.execute_query("CREATE CONSTRAINT bare IF NOT EXISTS FOR (n:BareThing) REQUIRE n.id IS UNIQUE")
    driver.execute_query("CALL db.awaitIndexes(60)")
    began = time.monotonic()
    with psycopg.connect(ground.dsn, row_factory=dict_row) as connection:
        rows = connection.execute(f"SELECT {', '.join(columns)} FROM things".encode()).fetchall()
    read = time.monotonic()
    query = "UNWIND $rows AS row MERGE (n:BareThing {id: row.id}) SET n += row"
    with driver.session() as session:
        for start in range(0, len(rows), BATCH):
            session.execute_write(lambda tx, part: tx.run(query, rows=part).consume(), rows[start : start + BATCH])
    return read - began, time.monotonic() - read


def run_read(ground: Ground) -> Ran:
    """The nodes that stand there into a folder."""
    ground.say("bench_graph_read")
    return ground.run("bench_graph_read", READ)


def _walk(ground: Ground, driver: Any) -> float:
    ground.say("driver loop: reading")
    query = f"MATCH (n:Thing) RETURN elementId(n), {', '.join(f'n.{name}' for name in ALL)}"
    began = time.monotonic()
    with driver.session() as session:
        for record in session.run(query):
            record.values()
    return time.monotonic() - began


def _empty(driver: Any, *labels: str) -> None:
    with driver.session() as session:
        for label in labels:
            session.run(f"MATCH (n:{label}) CALL (n) {{ DETACH DELETE n }} IN TRANSACTIONS OF 20000 ROWS").consume()
