"""Single tables, labels, types, collections and entities out of a set; all else stays as it is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from tests.integration.backup.test_all_stores import succeeded
from tests.integration.backup.test_recovery_targets import PIPELINE
from tests.integration.cli.conftest import Shell

if TYPE_CHECKING:
    from pathlib import Path

    from neo4j import Driver
    from qdrant_client import QdrantClient
    from tests.conftest import PostgresDatabase

    from data_workbench.servers import Stack

_TABLES = """
CREATE TABLE requirements (id int PRIMARY KEY, parent int, body text NOT NULL, level numeric(6,2));
INSERT INTO requirements SELECT n, nullif(n / 7, 0), 'the system shall do ' || n, n / 3.0 FROM generate_series(1, 60) n;
CREATE TABLE notes (note int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id int REFERENCES requirements,
                    twice int GENERATED ALWAYS AS (id * 2) STORED);
INSERT INTO notes (id) SELECT id FROM requirements WHERE id <= 5;
CREATE TABLE loose (x text);
INSERT INTO loose VALUES ('a'), ('a'), (NULL);
"""


@pytest.fixture
def site(
    shell: Shell, stack: Stack, postgres: PostgresDatabase, connections: dict[str, str], neo4j: Driver, tmp_path: Path
) -> Shell:
    """Requirements in three stores, and a set of them."""
    shell.sql(_TABLES)
    shell.variables = {
        **shell.variables,
        **connections,
        "AIRFLOW_CONN_ODRAS_POSTGRES": json.dumps(postgres.airflow),
        "AIRFLOW_CONN_WORKBENCH_METASTORE": stack.environment()["AIRFLOW_CONN_WORKBENCH_METASTORE"],
        "WORKBENCH_CACHE": str(stack.settings.cache_folder),
    }
    (tmp_path / "letters.yaml").unlink()
    (tmp_path / "requirements.yaml").write_text(PIPELINE, encoding="utf-8")
    assert shell("db", "upgrade").code == 0
    succeeded(shell("run", "requirements", "--json"))
    succeeded(shell("backup", "create", "--json"))
    return shell


def graph_of(driver: Driver, *, stamps: bool = False) -> list[Any]:
    """Nodes and relationships, without ids."""
    with driver.session() as session:
        nodes = session.run("MATCH (n:Requirement) RETURN properties(n) AS p ORDER BY n.id").value()
        pairs = session.run("MATCH (a)-[r:DERIVES_FROM]->(b) RETURN [a.id, b.id, r._wb_key] AS p ORDER BY p").value()
    return [*nodes, *pairs]


def test_a_table_is_made_what_it_was_and_nothing_else_is_touched(site: Shell, postgres: PostgresDatabase) -> None:
    before = {name: site.sql(f"SELECT * FROM {name} ORDER BY 1") for name in ("requirements", "notes", "loose")}
    site.sql("UPDATE requirements SET body = 'wrong' WHERE id IN (1, 40); DELETE FROM requirements WHERE id > 50")
    site.sql("INSERT INTO requirements VALUES (900, NULL, 'new', 1); DELETE FROM notes WHERE note = 2; TRUNCATE loose")
    asked = site("backup", "retrieve", "odras_postgres:public.requirements", "--json")
    assert (asked.code, "--yes" in asked.document["error"]["hint"]) == (2, True)

    [done] = succeeded(site("backup", "retrieve", "odras_postgres:public.requirements", "--yes", "--json"))["pieces"]
    assert (done["written"], done["removed"]) == (12, 1)
    assert site.sql("SELECT * FROM requirements ORDER BY 1") == before["requirements"]
    assert len(site.sql("SELECT * FROM notes")) == 4, "another table stays as it is"
    assert site.sql(f"SELECT count(*) FROM {done['replaced']} WHERE body = 'wrong'") == [(2,)]
    pieces = ["odras_postgres:public.notes", "odras_postgres:public.loose"]
    succeeded(site("backup", "retrieve", *pieces, "--yes", "--json"))
    assert site.sql("SELECT * FROM notes ORDER BY 1") == before["notes"]
    assert site.sql("SELECT * FROM loose ORDER BY 1") == before["loose"]

    site.sql("ALTER TABLE loose ADD y int")
    changed = site("backup", "retrieve", "odras_postgres:public.loose", "--yes", "--json")
    assert (changed.code, changed.document["error"]["kind"]) == (1, "SchemaConflict")
    unknown = site("backup", "retrieve", "odras_postgres:public.lose", "--yes", "--json")
    assert (unknown.code, "public.loose" in unknown.document["error"]["hint"]) == (2, True)
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        assert connection.execute("SELECT count(*) FROM pg_database WHERE datname LIKE '%piece%'").fetchone() == (0,)


def _hold_changed_vectors(site: Shell, client: QdrantClient) -> None:
    """A collection whose vectors are of another size now takes none of the set's, and loses none of its own."""
    from qdrant_client import models

    count = client.count("requirements").count
    client.delete_collection("requirements")
    client.create_collection("requirements", vectors_config=models.VectorParams(size=3, distance=models.Distance.DOT))
    client.upsert("requirements", [models.PointStruct(id=7, vector=[1, 2, 3], payload={"id": 7})], wait=True)
    some = ("odras_qdrant:requirements", "--yes", "--json")
    refused = site("backup", "retrieve", *some, "--key", '{"id": 7}')
    assert (refused.code, refused.document["error"]["kind"]) == (1, "SchemaConflict")
    assert "(3 Dot) than in the set (384 Cosine)" in refused.document["error"]["message"]
    assert client.count("requirements").count == 1
    succeeded(site("backup", "retrieve", *some))
    assert client.count("requirements").count == count


def test_an_entity_comes_back_in_all_stores_and_its_neighbours_stay(
    site: Shell, neo4j: Driver, qdrant_url: str
) -> None:
    from qdrant_client import QdrantClient

    whole = graph_of(neo4j)
    with neo4j.session() as session:
        session.run("MATCH (n:Requirement {id: 7}) DETACH DELETE n").consume()
        session.run("MATCH (n:Requirement {id: 8}) SET n.body = 'changed by hand'").consume()
    site.sql("DELETE FROM requirements WHERE id = 7; UPDATE requirements SET body = 'later' WHERE id = 8")
    client = QdrantClient(url=qdrant_url, timeout=60, check_compatibility=False)
    [point] = client.retrieve("requirements", [7], with_vectors=True)
    client.delete("requirements", [7])

    pieces = ["odras_postgres:public.requirements", "odras_neo4j:Requirement", "odras_qdrant:requirements"]
    told = succeeded(site("backup", "retrieve", *pieces, "--key", '{"id": 7}', "--yes", "--json"))
    assert [one["written"] for one in told["pieces"]] == [1, 1, 1]
    assert told["pieces"][1]["relationships"] == 8, "to its parent, and of its seven children"
    assert site.sql("SELECT body FROM requirements WHERE id IN (7, 8) ORDER BY id") == [
        ("the system shall do 7",),
        ("later",),
    ]
    [found] = client.retrieve("requirements", [7], with_vectors=True)
    assert (found.payload, found.vector) == (point.payload, point.vector)
    _hold_changed_vectors(site, client)
    client.close()
    with neo4j.session() as session:
        assert session.run("MATCH (n {id: 8}) RETURN n.body").value() == ["changed by hand"]

    with neo4j.session() as session:
        session.run("MATCH (n:Requirement) WHERE n.id > 30 DETACH DELETE n").consume()
        session.run("CREATE (:Requirement {id: 5000}), (:Other {id: 1})").consume()
        session.run("MATCH ()-[r:DERIVES_FROM]->(b {id: 2}) DELETE r").consume()
    told = succeeded(site("backup", "retrieve", "odras_neo4j:Requirement", "--yes", "--json"))
    assert told["pieces"][0]["removed"] == 1
    succeeded(site("backup", "retrieve", "odras_neo4j:[:DERIVES_FROM]", "--yes", "--json"))
    assert graph_of(neo4j) == whole
    with neo4j.session() as session:
        assert session.run("MATCH (n:Other) RETURN count(n)").value() == [1]


def test_a_lost_store_is_made_again_of_its_set_and_of_what_the_rows_say_since(site: Shell, neo4j: Driver) -> None:
    site.sql("INSERT INTO requirements VALUES (61, 3, 'after the set', 1); DELETE FROM requirements WHERE id = 60")
    with neo4j.session() as session:
        session.run("MATCH (n) DETACH DELETE n").consume()
    told = succeeded(site("backup", "restore", "--store", "odras_neo4j", "--yes", "--reconcile", "--json"))
    assert (told["agree"], list(told["stores"])) == (True, ["odras_neo4j"])
    with neo4j.session() as session:
        nodes = session.run("MATCH (n:Requirement) RETURN [n.id, n.body] AS x ORDER BY n.id").value()
        parents = session.run("MATCH ({id: 61})-[:DERIVES_FROM]->(b) RETURN b.id").value()
    assert nodes == [list(row) for row in site.sql("SELECT id, body FROM requirements ORDER BY id")]
    assert parents == [3]
