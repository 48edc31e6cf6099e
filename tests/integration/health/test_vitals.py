"""What real stores say of themselves, when they are well and when they are not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg
import pytest

from data_workbench.connectors.base import Vital
from data_workbench.connectors.connections import from_environment
from data_workbench.connectors.registry import open_source
from data_workbench.health import examine
from data_workbench.settings import Settings, load

if TYPE_CHECKING:
    from neo4j import Driver
    from tests.conftest import PostgresDatabase


@pytest.fixture
def settings() -> Settings:
    return replace(load(), slow_connection_seconds=60.0)


def vitals(name: str, settings: Settings) -> dict[str, Vital]:
    found = from_environment(name)
    assert found is not None
    with open_source(found, settings) as source:
        return {one.name: one for one in source.vitals()}  # type: ignore[attr-defined]  # these can


@pytest.mark.parametrize("name", ["odras_postgres", "odras_neo4j", "odras_qdrant", "workbench_files"])
def test_a_store_that_is_well_is_healthy_and_tells_what_matters(
    connections: dict[str, str], settings: Settings, name: str
) -> None:
    connection = from_environment(name)
    assert connection is not None
    found = examine(connection, settings)
    assert found.verdict.state == "healthy", found.verdict.cause
    assert found.vitals
    assert len(found.latencies) == 2


def test_postgres_tells_of_a_slot_whose_consumer_is_gone(connections: dict[str, str], settings: Settings) -> None:
    assert "replication slots" not in vitals("odras_postgres", settings)
    connection = from_environment("odras_postgres")
    assert connection is not None
    dsn = f"host={connection.host} port={connection.port} user={connection.login} password={connection.secret}"
    with psycopg.connect(f"{dsn} dbname=odras", autocommit=True) as admin:
        admin.execute("SELECT pg_create_physical_replication_slot('health_test', true)")
        try:
            found = vitals("odras_postgres", settings)
        finally:
            admin.execute("SELECT pg_drop_replication_slot('health_test')")
    assert found["replication slots"].value == 1.0
    assert (found["WAL kept by replication slots"].value or 0) >= 0
    assert found["can write"].value is True


def test_postgres_tells_of_a_transaction_that_is_open(
    connections: dict[str, str], settings: Settings, postgres: PostgresDatabase
) -> None:
    from data_workbench.connectors.postgres.vitals import ask

    with psycopg.connect(postgres.dsn) as idle, psycopg.connect(postgres.dsn) as other:
        idle.execute("SELECT 1")
        found = {one.name: one for one in ask(other)}
    assert (found["oldest transaction"].value or 0) >= 0
    assert found["oldest transaction"].trouble is None


def test_neo4j_tells_of_an_index_that_has_failed(
    connections: dict[str, str], settings: Settings, neo4j: Driver
) -> None:
    assert vitals("odras_neo4j", settings)["indexes not online"].value == 0.0
    with neo4j.session() as session:
        session.run("CREATE (:Health {name: $name})", name="x" * 40_000).consume()
        session.run("CREATE RANGE INDEX health FOR (n:Health) ON (n.name)").consume()
        # Filling the index finds a value that no index can hold.
        with pytest.raises(Exception, match=r"(?i)failed"):
            session.run("CALL db.awaitIndexes(60)").consume()
    found = vitals("odras_neo4j", settings)["indexes not online"]
    assert found.value == 1.0
    assert "health" in (found.trouble or "")


def test_qdrant_counts_its_collections(connections: dict[str, str], settings: Settings, qdrant_url: str) -> None:
    from qdrant_client import QdrantClient
    from qdrant_client.models import Distance, VectorParams

    client = QdrantClient(url=qdrant_url, check_compatibility=False)
    client.create_collection("health", vectors_config=VectorParams(size=4, distance=Distance.COSINE))
    client.close()
    found = vitals("odras_qdrant", settings)
    assert found["collections"].value == 1.0
    assert found["collections not green"].value == 0.0
