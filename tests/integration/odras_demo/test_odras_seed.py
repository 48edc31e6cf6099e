"""The seeder fills a real database, once and whole, and the planted faults can be found in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from data_workbench.errors import AccessDenied, StoreUnavailable, UsageError
from odras_demo.schema import load_schema
from odras_demo.seed import PlantedFault, SeedReport, plant_nodes, plant_points, planted_faults, seed

if TYPE_CHECKING:
    from neo4j import Driver
    from tests.conftest import PostgresDatabase

# What finds a fault again: one query a rule and table, giving the keys of the rows that break it.
FINDINGS = {
    (0, "requirements_enhanced"): "SELECT requirement_id FROM requirements_enhanced "
    "WHERE length(requirement_text) < 10 OR requirement_identifier !~ '^[A-Z]'",
    (2, "knowledge_chunks"): "SELECT id FROM knowledge_chunks k WHERE metadata ? 'doc_chunk_id' "
    "AND NOT EXISTS (SELECT FROM doc_chunk d WHERE d.chunk_id = k.metadata ->> 'doc_chunk_id')",
    (3, "files"): "SELECT id FROM files WHERE project_id NOT IN (SELECT project_id FROM projects)",
    (
        3,
        "knowledge_assets",
    ): "SELECT id FROM knowledge_assets WHERE project_id NOT IN (SELECT project_id FROM projects)",
    (7, "das_knowledge_chunks"): "SELECT d.chunk_id FROM das_knowledge_chunks d "
    "LEFT JOIN knowledge_chunks k ON k.id::text = d.metadata ->> 'original_chunk_id' "
    "WHERE d.knowledge_type = 'project' AND k.content IS DISTINCT FROM d.content",
    (8, "doc"): "SELECT doc_id FROM doc WHERE project_id NOT IN (SELECT project_id::text FROM projects)",
    (8, "project_thread"): "SELECT project_thread_id FROM project_thread "
    "WHERE project_id NOT IN (SELECT project_id::text FROM projects)",
    (
        8,
        "chat_message",
    ): "SELECT message_id FROM chat_message WHERE project_id NOT IN (SELECT project_id::text FROM projects)",
    (9, "knowledge_relationships"): "SELECT id FROM knowledge_relationships WHERE neo4j_relationship_id IS NOT NULL",
    (10, "requirements_enhanced"): "SELECT c.requirement_id FROM requirements_enhanced c "
    "JOIN requirements_enhanced o ON o.requirement_id = c.source_requirement_id "
    "WHERE (c.requirement_text, c.version) IS DISTINCT FROM (o.requirement_text, o.version)",
}


@pytest.fixture(scope="module")
def report(postgres: PostgresDatabase) -> SeedReport:
    return seed(postgres.dsn)


def checksum(dsn: str) -> list[tuple[Any, ...]]:
    """Rows and an order-independent hash per table."""
    with psycopg.connect(dsn) as connection:
        names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1").fetchall()
        return [
            (name, *(connection.execute(
                f"SELECT count(*), sum(hashtextextended(t::text, 0)::numeric) FROM {name} t".encode()
            ).fetchone() or ()))
            for (name,) in names
        ]  # fmt: skip


def test_size_one_is_what_was_promised(report: SeedReport) -> None:
    assert not report.already_seeded
    assert report.tables["project_event"] == 20_000
    assert 300 <= report.tables["requirements_enhanced"] <= 320
    assert 40 <= report.tables["files"] <= 45
    assert 4_500 <= report.tables["knowledge_chunks"] <= 6_000
    assert report.tables["projects"] == 6
    assert report.tables["users"] == 5
    assert report.faults == planted_faults()


def test_seeding_again_leaves_every_row_as_it_was(postgres: PostgresDatabase, report: SeedReport) -> None:
    before = checksum(postgres.dsn)
    again = seed(postgres.dsn)
    assert again.already_seeded
    assert again.tables == report.tables
    assert checksum(postgres.dsn) == before


def test_another_size_is_refused_and_with_reset_replaces_the_rows(
    postgres: PostgresDatabase, report: SeedReport
) -> None:
    before = checksum(postgres.dsn)
    with pytest.raises(UsageError, match="seeded with size 1"):
        seed(postgres.dsn, size=2)
    with psycopg.connect(postgres.dsn) as connection:
        connection.execute("SELECT 1")  # from here on it is this transaction that decides
        doubled = seed(connection, size=2, reset=True)
        assert doubled.tables["project_event"] == 2 * report.tables["project_event"]
        connection.rollback()
    assert [row for row in checksum(postgres.dsn) if row not in before] == []


def test_each_planted_fault_is_found_and_nothing_else_is(postgres: PostgresDatabase, report: SeedReport) -> None:
    with psycopg.connect(postgres.dsn) as connection:
        for (rule, table), statement in FINDINGS.items():
            wanted = {fault.key for fault in report.faults if (fault.rule, fault.table) == (rule, table)}
            if rule == 2:
                wanted = {fault.key for fault in report.faults if "doc_chunk_id" in fault.description}
            found = {str(row[0]) for row in connection.execute(statement.encode())}
            assert found == wanted, (rule, table)


def test_the_hash_and_size_of_stored_bytes_hold_except_where_planted(
    postgres: PostgresDatabase, report: SeedReport
) -> None:
    with psycopg.connect(postgres.dsn) as connection:
        wrong = connection.execute(
            "SELECT f.id::text FROM files f JOIN file_content c ON c.file_id = f.id "
            "WHERE encode(sha256(c.content), 'hex') <> f.hash_sha256 OR length(c.content) <> f.file_size"
        ).fetchall()
    planted = {fault.key for fault in report.faults if fault.rule == 4 and "never stored" not in fault.description}
    assert {row[0] for row in wrong} == planted


def test_a_database_with_projects_of_its_own_is_left_alone(postgres: PostgresDatabase) -> None:
    name = "somebody_elses"
    with psycopg.connect(postgres.dsn, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}".encode())
    other = postgres.dsn.replace(postgres.name, name)
    try:
        with psycopg.connect(other) as connection:
            load_schema(connection)
            connection.execute("INSERT INTO projects (name) VALUES ('Real work')")
        with pytest.raises(AccessDenied, match="1 projects that are not the demo's"):
            seed(other)
        with psycopg.connect(other) as connection:
            assert connection.execute("SELECT count(*) FROM files").fetchone() == (0,)
    finally:
        with psycopg.connect(postgres.dsn, autocommit=True) as admin:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def test_a_server_that_is_away_is_named_without_its_password() -> None:
    with pytest.raises(StoreUnavailable) as caught:
        seed("postgresql://someone:hush-hush@127.0.0.1:1/odras")
    assert "hush-hush" not in caught.value.message
    assert caught.value.hint


def test_odras_points_are_planted_with_their_faults_and_can_be_planted_again(
    postgres: PostgresDatabase, report: SeedReport, qdrant_url: str
) -> None:
    from qdrant_client import QdrantClient

    client = QdrantClient(url=qdrant_url, timeout=60)
    with psycopg.connect(postgres.dsn) as connection:
        for _ in range(2):
            planted = plant_points(client, connection)
    unembedded = sum(fault.rule == 1 for fault in report.faults)
    count = client.count("knowledge_chunks", exact=True).count
    assert count == report.tables["doc_chunk"] - unembedded + len(planted)
    stray = client.retrieve("knowledge_chunks", [fault.key for fault in planted], with_payload=True)
    assert {str(point.id) for point in stray} == {fault.key for fault in planted}
    client.close()


def test_stray_nodes_are_planted_in_the_graph_once(neo4j: Driver) -> None:
    planted: list[PlantedFault] = []
    for _ in range(2):
        planted = plant_nodes(neo4j)
    records, _, _ = neo4j.execute_query("MATCH (n) RETURN coalesce(n.iri, n.requirement_id) AS key")
    assert sorted(record["key"] for record in records) == sorted(fault.key for fault in planted)
    records, _, _ = neo4j.execute_query("MATCH (:Entity)-[r:REL]->(:Entity) RETURN count(r) AS found")
    assert records[0]["found"] == 4
