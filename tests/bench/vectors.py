"""PostgreSQL to Qdrant against a bare client loop, and texts a second of the real embedding model."""

from __future__ import annotations

import json
import time
from contextlib import closing
from typing import Any

import psycopg
from tests.bench.figures import Figure, middle
from tests.bench.files import beside
from tests.bench.ground import Ground, Ran, in_turns, seconds

BATCH = 1_000
"""Points in a request, as the engine does it."""
SIZE = 384
TABLE = """
DROP TABLE IF EXISTS vectors;
CREATE TABLE vectors (id bigint PRIMARY KEY, name text, category text, vector real[]);
INSERT INTO vectors SELECT n, 'point ' || n, (ARRAY['alpha', 'beta', 'gamma'])[1 + n % 3],
                           (SELECT array_agg((sin(n * 0.37 + i))::real ORDER BY i) FROM generate_series(1, {size}) i)
FROM generate_series(1, {rows}) n;
"""
PIPELINE = """
version: 1
pipeline: bench_points
sources:
  vectors: {connection: odras_postgres, stream: public.vectors}
destinations:
  points: {connection: odras_qdrant, collection: bench_points, key: id, vector: vector}
"""
SENTENCE = "The system shall reject an operator command {number} whose checksum does not match within {number} ms."


def measure(ground: Ground) -> list[Figure]:
    """Points have a goal, texts have none."""
    return [_points(ground), *_texts(ground)]


def _points(ground: Ground) -> Figure:
    """Ready vectors into no collection; the client is given the same vectors and payloads."""
    rows = max(500, ground.rows // 50)
    ground.sql(TABLE.format(rows=rows, size=SIZE))
    with _client(ground) as client:
        in_turns(1 if rows > 500 else 0, lambda: _run(ground, client), lambda: _loop(ground, client))
        ours, bare = in_turns(ground.rounds, lambda: _run(ground, client), lambda: _loop(ground, client))
        for name in ("bench_points", "bare_points"):
            client.delete_collection(name)
    ground.sql("DROP TABLE vectors")
    moved, loop = middle([one.moved for one in ours]), middle(bare)
    details = {
        "rows": rows,
        "seconds": moved,
        "points_per_second": round(rows / moved),
        "peer": f"client loop: rows fetched from PostgreSQL, upserts of {BATCH} points over REST, waited for",
        "peer_seconds": loop,
        "server": "the local one, which speaks REST only",
        "beside": beside(ours),
        "samples": [one.moved for one in ours],
        "peer_samples": [round(one, 3) for one in bare],
        "reconciled": ours[-1].document["reconciliation"]["clean"],
    }
    return Figure(
        "qdrant", "PostgreSQL → Qdrant points: speed of a bare client loop", loop / moved, 0.8, details=details
    )


def _client(ground: Ground) -> Any:
    from qdrant_client import QdrantClient

    found = json.loads(ground.stack.environment()["AIRFLOW_CONN_ODRAS_QDRANT"])
    extra = found.get("extra") or {}
    extra = json.loads(extra) if isinstance(extra, str) else extra
    return closing(
        QdrantClient(
            url=extra.get("url") or f"http://{found['host']}:{found['port']}", timeout=120, check_compatibility=False
        )
    )


def run_points(ground: Ground, rows: int) -> Ran:
    """So many points into a new collection."""
    ground.sql(TABLE.format(rows=rows, size=SIZE))
    with _client(ground) as client:
        return _run(ground, client)


def _run(ground: Ground, client: Any) -> Ran:
    ground.say("bench_points")
    client.delete_collection("bench_points")
    return ground.run("bench_points", PIPELINE)


def _loop(ground: Ground, client: Any) -> float:
    from qdrant_client.models import Batch, Distance, VectorParams

    ground.say("client loop")
    client.delete_collection("bare_points")
    client.create_collection("bare_points", vectors_config=VectorParams(size=SIZE, distance=Distance.COSINE))
    began = time.monotonic()
    with psycopg.connect(ground.dsn) as connection:
        rows = connection.execute("SELECT id, name, category, vector FROM vectors").fetchall()
    for start in range(0, len(rows), BATCH):
        ids, names, categories, vectors = zip(*rows[start : start + BATCH], strict=True)
        payloads = [
            {"id": point, "name": name, "category": category}
            for point, name, category in zip(ids, names, categories, strict=True)
        ]
        batch = Batch(ids=list(ids), vectors=list(vectors), payloads=payloads)
        client.upsert("bare_points", points=batch, wait=True)
    return time.monotonic() - began


def _texts(ground: Ground) -> list[Figure]:
    from data_workbench.embedding import open_embedder
    from data_workbench.errors import WorkbenchError

    texts = [SENTENCE.format(number=number) for number in range(256)]
    try:
        embedder = open_embedder("all-MiniLM-L6-v2", ground.settings)
        embedder.embed(texts[:8])
    except WorkbenchError as error:
        ground.say(f"no embedding model: {error.message}")
        return []
    ground.say("all-MiniLM-L6-v2")
    took = middle([seconds(lambda: embedder.embed(texts)) for _ in range(ground.rounds)])
    return [Figure("embedding", "all-MiniLM-L6-v2", len(texts) / took, unit="texts/s", details={"texts": len(texts)})]
