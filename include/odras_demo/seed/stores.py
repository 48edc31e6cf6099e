"""What ODRAS itself leaves in Qdrant and Neo4j, and the faults of rules 1, 3 and 9 that live there.

Both functions can be called again over their own result.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from odras_demo.seed.documents import MODEL, asset_id
from odras_demo.seed.faults import PlantedFault, planted_faults, retired_project
from odras_demo.seed.organisation import project_id
from odras_demo.seed.recipe import BEGIN, Recipe

if TYPE_CHECKING:
    from neo4j import Driver
    from psycopg import Connection
    from qdrant_client import QdrantClient
    from qdrant_client.models import PointStruct

VECTOR_SIZE = 384
_BATCH = 500
# ODRAS's default writer keeps the text out; asset_id is the one it sets later, when the asset exists.
_POINTS = """
SELECT d.chunk_id, d.doc_id, c.project_id, d.chunk_index, c.version, d.page, d.start_char, d.end_char, d.created_at,
       coalesce(k.asset_id::text, d.doc_id) AS asset_id, a.document_type
FROM doc_chunk d
JOIN doc c USING (doc_id)
LEFT JOIN knowledge_chunks k ON k.metadata ->> 'doc_chunk_id' = d.chunk_id
LEFT JOIN knowledge_assets a ON a.id = k.asset_id
ORDER BY d.chunk_id
"""


def unit_vector(text: str, *, size: int = VECTOR_SIZE) -> list[float]:
    """A unit vector that follows from a text alone; it carries no meaning, the demo's own pipelines embed for real."""
    import numpy as np

    digest = hashlib.sha256(text.encode()).digest()
    values = np.random.default_rng(int.from_bytes(digest[:8], "big")).standard_normal(size)
    return [float(value) for value in values / np.linalg.norm(values)]


def plant_points(
    client: QdrantClient, connection: Connection[Any], *, collection: str = "knowledge_chunks", random_seed: int = 7
) -> list[PlantedFault]:
    """Fill ODRAS's upload collection as its default ingest does, faults included.

    Args:
        client: any Qdrant client.
        connection: the seeded database; points are made from its doc_chunk rows.

    Returns:
        The faults of rules 1 and 3 planted here; the doc_chunks without point are in `planted_faults`.
    """
    from qdrant_client.models import Distance, VectorParams

    if not client.collection_exists(collection):
        client.create_collection(collection, vectors_config=VectorParams(size=VECTOR_SIZE, distance=Distance.COSINE))
    recipe = Recipe(random_seed=random_seed)
    unembedded = {fault.key for fault in planted_faults(random_seed=random_seed) if fault.rule == 1}
    points = _points(connection, unembedded)
    while batch := list(islice(points, _BATCH)):
        client.upsert(collection, batch, wait=True)
    strays = list(_stray_points(recipe, collection))
    client.upsert(collection, [point for _, point in strays], wait=True)
    return [fault for fault, _ in strays]


def _points(connection: Connection[Any], unembedded: set[str]) -> Iterator[PointStruct]:
    from psycopg.rows import dict_row
    from qdrant_client.models import PointStruct

    with connection.transaction(), connection.cursor("odras_demo_points", row_factory=dict_row) as cursor:
        cursor.execute(_POINTS.encode())
        for row in cursor:
            if row["chunk_id"] in unembedded:
                continue
            payload = {**row, "created_at": row["created_at"].isoformat(), "embedding_model": MODEL, "sql_first": True}
            yield PointStruct(id=row["chunk_id"], vector=unit_vector(row["chunk_id"]), payload=payload)


def _stray_points(recipe: Recipe, collection: str) -> Iterator[tuple[PlantedFault, PointStruct]]:
    from qdrant_client.models import PointStruct

    live: dict[str, object] = {"project_id": str(project_id(recipe, "se")), "asset_id": str(asset_id(recipe, 0))}
    wanted: tuple[tuple[int, str, dict[str, object], str], ...] = (
        (1, "no_chunk", live, "a point whose doc_chunk is gone"),
        (3, "no_asset", {**live, "asset_id": str(recipe.uid("asset", "gone"))}, "a point whose asset is gone"),
        (3, "no_project", {**live, "project_id": retired_project(recipe)}, "a point whose project is gone"),
        (3, "text", {**live, "content": "Text does not belong in a payload."}, "a point with text in its payload"),
    )
    for rule, name, payload, description in wanted:
        key = str(recipe.uid("stray_point", name))
        told = {"chunk_id": key, "embedding_model": MODEL, "sql_first": True, **payload}
        fault = PlantedFault(rule, "qdrant", collection, key, description)
        yield fault, PointStruct(id=key, vector=unit_vector(key), payload=told)


def plant_nodes(driver: Driver, *, database: str | None = None, random_seed: int = 7) -> list[PlantedFault]:
    """Leave in the graph what ODRAS's old extraction script and a human hand leave there.

    The script writes triples as :Entity{iri} nodes joined by :REL{type}, with no project. The hand adds a Requirement
    that PostgreSQL does not know.
    """
    recipe = Recipe(random_seed=random_seed)
    triples = [
        ("req:legacy_0", "TYPE", "Requirement"),
        ("req:legacy_0", "HAS_TEXT", "The air vehicle shall land by itself when the link is lost."),
        ("req:legacy_0", "HAS_CONSTRAINT", "constraint:legacy_0_1"),
        ("constraint:legacy_0_1", "TYPE", "Constraint"),
    ]
    stray = str(recipe.uid("stray_node", "requirement"))
    with driver.session(database=database) as session:
        session.run(
            "UNWIND $triples AS triple MERGE (a:Entity {iri: triple[0]}) MERGE (b:Entity {iri: triple[2]}) "
            "MERGE (a)-[:REL {type: triple[1]}]->(b)",
            triples=[list(triple) for triple in triples],
        ).consume()
        session.run(
            "MERGE (r:Requirement {requirement_id: $key}) "
            "SET r.text = $text, r.project_id = $project, r.created_at = $when",
            key=stray,
            text="Typed into the graph by hand; no such row.",
            project=str(project_id(recipe, "se")),
            when=BEGIN,
        ).consume()
    entities = sorted({triple[0] for triple in triples} | {triple[2] for triple in triples})
    found = [
        PlantedFault(9, "neo4j", "Entity", iri, "a triple's node of the old script, without project")
        for iri in entities
    ]
    return [*found, PlantedFault(9, "neo4j", "Requirement", stray, "a hand-made node that no row stands behind")]
