"""A profile of a wide table beside DuckDB's SUMMARIZE of the same file, and of a graph with all its relationships."""

from __future__ import annotations

import json
from typing import Any

import duckdb
from tests.bench.figures import Figure, middle
from tests.bench.ground import Ground, in_turns, seconds

from data_workbench.connectors.base import ReadRequest
from data_workbench.connectors.connections import Connections, from_environment
from data_workbench.connectors.registry import open_source
from data_workbench.quality.profiling import Asked, profile

FILE = "bench_profile.parquet"
# Sixteen columns: keys, numbers of all kinds, texts long and short, few and many values, nulls, moments.
TABLE = """
SELECT i AS id, i % 1000 AS group_id, random() AS ratio, random() * 1000 AS weight,
       CAST(random() * 100 AS INTEGER) AS small, hash(i) % 500000 AS many,
       'name ' || i AS name, md5(CAST(i AS VARCHAR)) AS digest, 'kind ' || (i % 7) AS kind,
       CASE WHEN i % 10 > 0 THEN 'note ' || (i % 5000) END AS note, CAST(uuid() AS VARCHAR) AS token,
       DATE '2020-01-01' + CAST(i % 1000 AS INTEGER) AS day, TIMESTAMP '2020-01-01' + INTERVAL (i) SECOND AS seen,
       i % 2 = 0 AS is_on, CAST(random() * 1e6 AS DECIMAL(12, 2)) AS price, CAST(random() AS FLOAT) AS share
FROM range({rows}) r(i)
"""
GRAPH = """
UNWIND range(1, {nodes}) AS n
CALL (n) {{ CREATE (:BenchNeed {{id: n, text: 'need ' + n}}) }} IN TRANSACTIONS OF 10000 ROWS
"""
EDGES = """
UNWIND range(2, {nodes}) AS n
CALL (n) {{ MATCH (a:BenchNeed {{id: n}}), (b:BenchNeed {{id: n / 2}}) CREATE (a)-[:PART_OF]->(b) }}
IN TRANSACTIONS OF 10000 ROWS
"""


def measure(ground: Ground) -> list[Figure]:
    """The two figures."""
    return [_table(ground), _graph(ground)]


def _table(ground: Ground) -> Figure:
    path = ground.files / FILE
    with duckdb.connect() as connection:
        connection.execute("SELECT setseed(0.5)").fetchall()
        connection.execute(f"COPY ({TABLE.format(rows=ground.rows)}) TO '{path}' (FORMAT parquet)").fetchall()
    ground.say(f"profile and SUMMARIZE of {ground.rows} rows, 16 columns")
    ours, theirs = in_turns(ground.rounds, lambda: _profile(ground, "file"), lambda: _summarize(ground, str(path)))
    read = seconds(lambda: _read(ground))
    details = {"rows": ground.rows, "profile": ours, "summarize": theirs, "reading_alone": round(read, 3)}
    what = "profile of 16 columns of Parquet, with histograms, top values, patterns and lengths: time of SUMMARIZE"
    return Figure("profile_summarize", what, round(middle(ours) / middle(theirs), 2), 1.2, "less", "×", details)


def _profile(ground: Ground, kind: str) -> float:
    connection, stream = (f"file://{ground.files}", FILE) if kind == "file" else ("odras_neo4j", "BenchNeed")
    known = Connections(lambda name: from_environment(name, ground.environment()))
    with open_source(known.get(connection), ground.settings) as source:
        return seconds(lambda: profile(source, Asked(connection, stream), ground.settings))


def _summarize(ground: Ground, path: str) -> float:
    config: dict[str, Any] = {
        "threads": ground.settings.duckdb_threads,
        "memory_limit": ground.settings.duckdb_memory,
    }
    with duckdb.connect(config=config) as connection:
        return seconds(lambda: connection.execute(f"SUMMARIZE SELECT * FROM '{path}'").fetchall())


def _read(ground: Ground) -> int:
    connection = Connections(from_environment).get(f"file://{ground.files}")
    with open_source(connection, ground.settings) as source:
        return sum(batch.num_rows for batch in source.read(ReadRequest(stream=FILE)))


def _graph(ground: Ground) -> Figure:
    nodes = max(1_000, ground.rows // 20)
    from neo4j import GraphDatabase

    found = json.loads(ground.environment()["AIRFLOW_CONN_ODRAS_NEO4J"])
    address = f"bolt://{found['host']}:{found['port']}"
    with GraphDatabase.driver(address, auth=(found["login"], found["password"])) as driver, driver.session() as session:
        session.run("MATCH (n:BenchNeed) CALL (n) { DETACH DELETE n } IN TRANSACTIONS OF 10000 ROWS").consume()
        session.run("CREATE INDEX bench_need IF NOT EXISTS FOR (n:BenchNeed) ON (n.id)").consume()
        session.run("CALL db.awaitIndexes(60)").consume()
        session.run(GRAPH.format(nodes=nodes)).consume()
        session.run(EDGES.format(nodes=nodes)).consume()
    ground.say(f"profile of a graph of {nodes} nodes")
    took = _profile(ground, "graph")
    what = f"profile of a graph of {nodes:,} nodes and as many relationships, degrees and pieces included"
    return Figure("profile_graph", what, round(took, 2), 30.0, "less", "s", {"nodes": nodes})
