"""Points and texts a second, for information: the local Qdrant and the real embedding model."""

from __future__ import annotations

from tests.bench.figures import Figure, middle
from tests.bench.files import beside
from tests.bench.ground import Ground, seconds

TABLE = """
DROP TABLE IF EXISTS texts;
CREATE TABLE texts (id bigint PRIMARY KEY, text text);
INSERT INTO texts SELECT n, 'requirement ' || n || ' of the system, ' || md5(n::text) FROM generate_series(1, {rows}) n;
"""
PIPELINE = """
version: 1
pipeline: bench_points
sources:
  texts: {connection: odras_postgres, stream: public.texts}
destinations:
  points: {connection: odras_qdrant, collection: bench_points, key: id, embed: {text: text, model: hashing-384}}
"""
SENTENCE = "The system shall reject an operator command {number} whose checksum does not match within {number} ms."


def measure(ground: Ground) -> list[Figure]:
    """Neither has a goal."""
    return [_points(ground), *_texts(ground)]


def _points(ground: Ground) -> Figure:
    rows = max(500, ground.rows // 50)
    ground.sql(TABLE.format(rows=rows))
    ground.say("bench_points")
    ran = ground.run("bench_points", PIPELINE)
    details = {"rows": rows, "seconds": ran.moved, "model": "hashing-384", "beside": beside([ran])}
    return Figure("qdrant", "PostgreSQL → Qdrant", rows / ran.moved, unit="points/s", details=details)


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
