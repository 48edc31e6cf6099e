"""Restored stores are asked as applications ask them: what cannot be found by its key is noticed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from data_workbench.connectors.connections import from_environment
from data_workbench.recovery.sampling import sampled

if TYPE_CHECKING:
    from neo4j import Driver


def asked(connections: dict[str, str], name: str, **more: Any) -> Any:
    value = json.dumps({**json.loads(connections[f"AIRFLOW_CONN_{name.upper()}"]), **more})
    found = from_environment(name, {f"AIRFLOW_CONN_{name.upper()}": value})
    assert found is not None
    return sampled(found)


def test_a_graph_is_asked_by_its_keys_and_from_both_ends(connections: dict[str, str], neo4j: Driver) -> None:
    with neo4j.session() as session:
        session.run("CREATE CONSTRAINT odd FOR (n:`We``ird`) REQUIRE (n.`a b`, n.c) IS UNIQUE").consume()
        session.run("UNWIND range(1, 20) AS i CREATE (:`We``ird` {`a b`: i, c: date('2020-01-01')})").consume()
        session.run("MATCH (a), (b) WHERE a.`a b` = b.`a b` - 1 CREATE (a)-[:NEXT]->(b), (b)-[:SELF]->(b)").consume()
    found = asked(connections, "odras_neo4j")
    with neo4j.session() as session:
        session.run("DROP CONSTRAINT odd").consume()
    assert (found.asked, found.wrong) == (10, ())


def test_points_are_nearest_to_their_own_vectors(connections: dict[str, str], qdrant_url: str) -> None:
    from qdrant_client import QdrantClient, models

    client = QdrantClient(url=qdrant_url, check_compatibility=False)
    sizes = {"cosine": models.Distance.COSINE, "dot": models.Distance.DOT, "far": models.Distance.EUCLID}
    named = {name: models.VectorParams(size=3, distance=distance) for name, distance in sizes.items()}
    client.create_collection("sampled", vectors_config=named)
    try:
        points = [
            models.PointStruct(id=n, vector={name: [n, 1, -n] for name in sizes}, payload={}) for n in range(1, 9)
        ]
        client.upsert("sampled", [*points, models.PointStruct(id=9, vector={}, payload={})], wait=True)
        found = asked(connections, "odras_qdrant")
        assert found.wrong == ()
        assert found.asked == 10, "five points by two vectors each; a dot product proves nothing"
    finally:
        client.delete_collection("sampled")
        client.close()
