"""Rows with their nodes, relationships and points leave together, and come back joined again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.cli.conftest import Shell

if TYPE_CHECKING:
    from neo4j import Driver
    from qdrant_client import QdrantClient

POLICY = """\
version: 1
archive: old_parts
connection: site
dataset: public.parts
age: {column: made, older_than: 1y}
partition: none
batch_rows: 2
graph: {connection: odras_neo4j, label: Part, key: [part_id], with: [Remark]}
vectors: {connection: odras_qdrant, collection: parts}
"""

GRAPH = """
CREATE CONSTRAINT project_key FOR (p:Project) REQUIRE p.code IS UNIQUE;
CREATE (:Project {code: 'P1', name: 'kept'});
UNWIND range(1, 8) AS n CREATE (:Part:Thing {part_id: n, name: 'part ' + n, numbers: [1.5, n],
    at: datetime('2020-01-01T00:00:00[Europe/Berlin]'), where: point({x: n, y: 2})});
MATCH (p:Part), (q:Project) CREATE (p)-[:PART_OF {since: date('2020-02-0' + p.part_id)}]->(q);
MATCH (a:Part), (b:Part) WHERE b.part_id = a.part_id + 1 CREATE (a)-[:NEXT]->(b), (a)-[:NEXT]->(b);
MATCH (p:Part) WHERE p.part_id <= 4 CREATE (p)-[:HAS]->(:Remark {text: 'on ' + p.part_id});
MATCH (a:Part {part_id: 1}), (b:Part {part_id: 2}) CREATE (a)-[:HAS]->(r:Remark {text: 'on both'})<-[:HAS]-(b);
MATCH (a:Part {part_id: 3}) CREATE (a)-[:SELF {n: 1}]->(a);
"""


@pytest.fixture
def parts(
    shell: Shell, neo4j: Driver, qdrant_url: str, connections: dict[str, str]
) -> Iterator[tuple[Shell, Driver, QdrantClient]]:
    """Eight parts, six of them past their time, in three stores."""
    from qdrant_client import QdrantClient
    from qdrant_client.models import Distance, PointStruct, VectorParams

    shell.sql("CREATE TABLE parts (id bigint PRIMARY KEY, made date NOT NULL, name text)")
    shell.sql("INSERT INTO parts SELECT n, CASE WHEN n <= 6 THEN '2020-01-01'::date ELSE current_date END, 'part ' || n"
              " FROM generate_series(1, 8) n")  # fmt: skip
    with neo4j.session() as session:
        for statement in GRAPH.strip().rstrip(";").split(";\n"):
            session.run(statement).consume()
    client = QdrantClient(url=qdrant_url, timeout=60, check_compatibility=False)
    client.create_collection("parts", vectors_config=VectorParams(size=3, distance=Distance.COSINE))
    points = [PointStruct(id=n, vector=[n, 0.3, -1.0], payload={"id": n, "deep": {"a": [n]}}) for n in range(1, 8)]
    client.upsert("parts", points, wait=True)
    folder = shell.folder / "dags" / "archives"
    folder.mkdir(parents=True)
    (folder / "old_parts.yaml").write_text(POLICY, encoding="utf-8")
    names = ("AIRFLOW_CONN_ODRAS_NEO4J", "AIRFLOW_CONN_ODRAS_QDRANT")
    variables = {**shell.variables, **{name: connections[name] for name in names}}
    try:
        yield replace(shell, variables=variables), neo4j, client
    finally:
        client.close()


def graph(driver: Driver) -> list[Any]:
    """Everything in the graph, without the store's own ids."""
    with driver.session() as session:
        nodes = session.run("MATCH (n) RETURN labels(n) AS l, properties(n) AS p").values()
        edges = session.run("MATCH (a)-[r]->(b) RETURN properties(a) AS a, type(r) AS t, properties(r) AS p,"
                            " properties(b) AS b").values()  # fmt: skip
    return sorted(repr([sorted(one[0]), sorted(one[1].items())]) for one in nodes) + sorted(
        repr([sorted(a.items()), t, sorted(p.items()), sorted(b.items())]) for a, t, p, b in edges
    )


def points(client: QdrantClient) -> list[str]:
    found = client.scroll("parts", limit=100, with_vectors=True)[0]
    return [json.dumps([one.id, one.payload, one.vector], sort_keys=True) for one in found]


def test_entities_leave_three_stores_and_come_back_joined(parts: tuple[Shell, Driver, QdrantClient]) -> None:
    shell, driver, client = parts
    nodes, vectors = graph(driver), points(client)
    done = shell("archive", "run", "--json")
    assert done.code == 0, done.err
    [told] = done.document["policies"]
    # Four remarks hang on one part each; the one on two parts stays, until nothing else holds it.
    assert (told["rows"], told["points"], told["kept_beside"]) == (6, 6, 0)
    assert told["nodes"] in (10, 11)
    with driver.session() as session:
        left = session.run("MATCH (n) RETURN labels(n)[0] AS l, count(*) AS n ORDER BY l").values()
        assert session.run("MATCH (p:Part) RETURN p.part_id AS id ORDER BY id").value() == [7, 8]
    assert ["Project", 1] in left
    assert [one.id for one in client.scroll("parts", limit=100)[0]] == [7]
    assert shell("archive", "verify").code == 0

    one = shell("archive", "restore", "old_parts", "--key", "3", "--json").document
    assert one["beside"]["nodes"] == 2
    assert one["beside"]["waiting"] > 0  # to parts 2 and 4, which are not there yet
    rest = shell("archive", "restore", "old_parts", "--all", "--json").document
    assert (rest["rows"], rest["beside"]["waiting"]) == (5, 0)
    assert graph(driver) == nodes
    assert points(client) == vectors
    again = shell("archive", "restore", "old_parts", "--all", "--json").document
    assert (again["rows"], again["beside"]["nodes"], again["beside"]["relationships"], again["beside"]["points"]) == (
        0, 0, 0, 0,
    )  # fmt: skip
    assert graph(driver) == nodes


def test_what_was_left_between_the_stores_is_made_up_for(parts: tuple[Shell, Driver, QdrantClient]) -> None:
    """The process dies after the rows have left, before graph and vectors are asked."""
    from data_workbench.events import Event, subscribed

    shell, driver, client = parts
    nodes, vectors = graph(driver), points(client)

    class Died(Exception):
        pass

    def die(event: Event) -> None:
        if event.name in ("archive.after_commit", "archive.restored"):
            raise Died

    with subscribed(die):
        assert shell("archive", "run").code == 1
    assert shell.sql("SELECT count(*) FROM parts") == [(6,)]
    assert len(points(client)) == 7
    told = shell("archive", "run", "--json").document["policies"][0]
    assert (told["rows"], told["points"], len(told["taken_up"])) == (4, 6, 1)
    assert [one.id for one in client.scroll("parts", limit=100)[0]] == [7]

    with subscribed(die):
        assert shell("archive", "restore", "old_parts", "--all").code == 1
    assert shell("archive", "restore", "old_parts", "--all", "--json").document["rows"] == 4
    assert graph(driver) == nodes
    assert points(client) == vectors


def test_a_node_that_was_changed_meanwhile_stays(parts: tuple[Shell, Driver, QdrantClient]) -> None:
    from data_workbench.events import Event, subscribed

    shell, driver, client = parts
    archives: list[str] = []

    def change(event: Event) -> None:
        if event.name == "archive.registered":
            archives.append(event.facts["archive"])
            if len(archives) == 3:  # that of parts 5 and 6
                with driver.session() as session:
                    session.run("MATCH (p:Part {part_id: 5}) SET p.name = 'mine'").consume()
                client.set_payload("parts", {"mine": True}, points=[6], wait=True)

    with subscribed(change):
        told = shell("archive", "run", "--json").document["policies"][0]
    assert told["rows"] == 6
    with driver.session() as session:
        assert session.run("MATCH (p:Part {part_id: 5}) RETURN p.name").value() == ["mine"]
    assert 6 in [one.id for one in client.scroll("parts", limit=100)[0]]
    assert told["kept_beside"] == 2


def test_rows_without_points_come_back_though_the_collection_is_gone(parts: tuple[Shell, Driver, QdrantClient]) -> None:
    shell, _, client = parts
    client.delete("parts", points_selector=list(range(1, 8)), wait=True)
    assert shell("archive", "run", "--json").document["policies"][0]["rows"] == 6
    client.delete_collection("parts")
    back = shell("archive", "restore", "old_parts", "--all", "--json")
    assert back.code == 0, back.err
    assert (back.document["rows"], back.document["beside"]["points"]) == (6, 0)
