"""The database behaves as ODRAS's does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from odras_demo.schema import TABLE_COUNT, load_schema

if TYPE_CHECKING:
    from tests.conftest import PostgresDatabase

PROJECT = "11111111-1111-1111-1111-111111111111"


@pytest.fixture
def database(postgres: PostgresDatabase) -> Iterator[psycopg.Connection[Any]]:
    """The loaded schema with one project, in a transaction that is rolled back."""
    with psycopg.connect(postgres.dsn) as connection:
        load_schema(connection)
        connection.execute("INSERT INTO projects (project_id, name) VALUES (%s, 'Trial')", (PROJECT,))
        yield connection
        connection.rollback()


def value(connection: psycopg.Connection[Any], statement: str, *params: object) -> Any:
    row = connection.execute(statement.encode(), params).fetchone()
    assert row is not None
    return row[0] if len(row) == 1 else row


def requirement(connection: psycopg.Connection[Any], identifier: str = "", text: str = "It shall fly.") -> Any:
    return value(
        connection,
        "INSERT INTO requirements_enhanced (project_id, requirement_identifier, requirement_title, requirement_text, "
        "requirement_type) VALUES (%s, %s, 'A title', %s, 'functional') "
        "RETURNING requirement_id, requirement_identifier",
        PROJECT,
        identifier,
        text,
    )


def test_tables_keys_and_checks_are_as_many_as_odras_has(database: psycopg.Connection[Any]) -> None:
    tables = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public' AND table_type = %s"
    constraints = "SELECT count(*) FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype = %s"
    assert value(database, tables, "BASE TABLE") == TABLE_COUNT == 64
    assert value(database, tables, "VIEW") == 1
    assert value(database, constraints, "f") == 105
    assert value(database, constraints, "c") == 55


def test_loading_again_changes_nothing(database: psycopg.Connection[Any]) -> None:
    rows = "SELECT (SELECT count(*) FROM prefix_registry), (SELECT count(*) FROM domain_registry), "
    rows += "(SELECT count(*) FROM namespace_versions WHERE status = 'released'), "
    rows += "(SELECT count(*) FROM installation_config), "
    rows += "(SELECT count(*) FROM tenants)"
    assert value(database, rows) == (8, 12, 2, 1, 1)
    load_schema(database)
    assert value(database, rows) == (8, 12, 2, 1, 1)


def test_updated_at_is_refreshed_on_twenty_one_tables_and_not_on_the_others(database: psycopg.Connection[Any]) -> None:
    found = database.execute(
        "SELECT c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
        "JOIN pg_proc p ON p.oid = t.tgfoid WHERE p.proname = 'refresh_updated_at'"
    ).fetchall()
    refreshed = {row[0] for row in found}
    assert len(refreshed) == 21
    assert not refreshed & {"configurations", "microtheories", "individual_instances", "namespace_registry"}
    old = "2020-01-01T00:00:00+00:00"
    database.execute("UPDATE projects SET name = 'Renamed', updated_at = %s", (old,))
    assert value(database, "SELECT updated_at = now() FROM projects")


def test_a_blank_identifier_becomes_the_next_of_its_project(database: psycopg.Connection[Any]) -> None:
    assert requirement(database)[1] == "REQ-001"
    assert requirement(database, "REQ-0041")[1] == "REQ-0041"
    assert requirement(database, "Other.REQ-900")[1] == "Other.REQ-900"
    assert requirement(database, "  ")[1] == "REQ-042"
    requirement(database, "REQ-1000")
    assert requirement(database)[1] == "REQ-1001"


def test_a_changed_text_is_a_new_version_with_history_and_a_changed_state_is_not(
    database: psycopg.Connection[Any],
) -> None:
    key, _ = requirement(database)
    change = "UPDATE requirements_enhanced SET {} WHERE requirement_id = %s RETURNING version"
    assert value(database, change.format("requirement_text = 'It shall fly far.', version = 17"), key) == 2
    assert value(database, change.format("state = 'approved', priority = 'high'"), key) == 2
    history = database.execute(
        "SELECT change_type, old_value, new_value, version_before, version_after FROM requirements_history"
    ).fetchall()
    assert history == [("text_updated", "It shall fly.", "It shall fly far.", 1, 2)]


def test_a_deleted_file_leaves_its_asset_orphaned(database: psycopg.Connection[Any]) -> None:
    file = value(
        database, "INSERT INTO files (project_id, filename, file_size) VALUES (%s, 'a.txt', 1) RETURNING id", PROJECT
    )
    key, _ = requirement(database)
    database.execute("UPDATE requirements_enhanced SET source_document_id = %s", (file,))
    database.execute(
        "INSERT INTO requirements_extraction_jobs (project_id, source_document_id) VALUES (%s, %s)", (PROJECT, file)
    )
    database.execute(
        "INSERT INTO knowledge_assets (project_id, source_file_id, title) VALUES (%s, %s, 'A')", (PROJECT, file)
    )
    database.execute("DELETE FROM files WHERE id = %s", (file,))
    asset = "SELECT source_file_id, traceability_status, orphaned_at IS NOT NULL FROM knowledge_assets"
    assert value(database, asset) == (None, "orphaned", True)
    assert (
        value(database, "SELECT source_document_id FROM requirements_enhanced WHERE requirement_id = %s", key) is None
    )
    assert value(database, "SELECT count(*) FROM requirements_extraction_jobs") == 0


def test_a_project_has_one_default_microtheory(database: psycopg.Connection[Any]) -> None:
    for label in ("first", "second"):
        database.execute(
            "INSERT INTO microtheories (project_id, label, iri, is_default) VALUES (%s, %s, %s, true)",
            (PROJECT, label, f"urn:{label}"),
        )
    found = database.execute("SELECT label FROM microtheories WHERE is_default").fetchall()
    assert found == [("second",)]


def test_an_iri_is_looked_up_in_files_assets_projects_and_users_but_not_in_requirements(
    database: psycopg.Connection[Any],
) -> None:
    database.execute("UPDATE projects SET iri = 'urn:project'")
    requirement(database)
    database.execute("UPDATE requirements_enhanced SET iri = 'urn:requirement'")
    found = database.execute(
        "SELECT resource_type, resource_id::text, label FROM resolve_iri('urn:project')"
    ).fetchall()
    assert found == [("project", PROJECT, "Trial")]
    assert database.execute("SELECT * FROM resolve_iri('urn:requirement')").fetchall() == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE projects SET project_level = 4",
        "UPDATE projects SET parent_project_id = project_id",
        "INSERT INTO tenants (tenant_code, tenant_name, base_iri) VALUES ('Not Kebab', 'x', 'urn:x')",
        "INSERT INTO prefix_registry (prefix, description, owner, created_by) VALUES ('1st', 'x', 'x', 'x')",
        "INSERT INTO domain_registry (domain, description, owner, created_by) VALUES ('Upper', 'x', 'x', 'x')",
        (
            "INSERT INTO das_personas (name, role, system_prompt, temperature, created_by) "
            "VALUES ('x', 'analyst', 'x', 1.5, 'x')"
        ),
    ],
)
def test_values_out_of_their_range_are_refused(database: psycopg.Connection[Any], statement: str) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        database.execute(statement.encode())


def test_configurations_are_summed_up_per_project(database: psycopg.Connection[Any]) -> None:
    tenant = "00000000-0000-0000-0000-000000000000"
    user = value(
        database,
        "INSERT INTO users (username, display_name, tenant_id) VALUES ('u', 'U', %s) RETURNING user_id",
        tenant,
    )
    for key, made in (("a", "{}"), ("b", '{"confidence": 0.5}'), ("c", '{"confidence": 0.7}')):
        database.execute(
            "INSERT INTO configurations "
            "(config_id, project_id, name, ontology_graph, structure, das_metadata, created_by) "
            "VALUES (%s, %s, %s, 'urn:g', '{}', %s, %s)",
            (key, PROJECT, key, made, user),
        )
    row = value(
        database,
        "SELECT total_configurations, das_configurations, manual_configurations, mean_das_confidence "
        "FROM configuration_statistics",
    )
    assert row == (3, 2, 1, pytest.approx(0.6))
