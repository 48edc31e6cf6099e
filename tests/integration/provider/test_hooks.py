"""`test_connection` against real servers, right and wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest


def _hooks() -> dict[str, Any]:
    from data_workbench.provider.hooks import FilesHook, WorkbenchNeo4jHook, WorkbenchPostgresHook, WorkbenchQdrantHook

    return {
        "odras_postgres": WorkbenchPostgresHook(postgres_conn_id="odras_postgres"),
        "odras_neo4j": WorkbenchNeo4jHook(conn_id="odras_neo4j"),
        "odras_qdrant": WorkbenchQdrantHook(conn_id="odras_qdrant"),
        "workbench_files": FilesHook(),
    }


@pytest.mark.parametrize(
    ("connection_id", "said"),
    [
        ("odras_postgres", "PostgreSQL 16"),
        ("odras_neo4j", "Neo4j"),
        ("odras_qdrant", "REST"),
        ("workbench_files", ""),
    ],
)
def test_a_store_that_answers_names_itself(connections: dict[str, str], connection_id: str, said: str) -> None:
    ok, detail = _hooks()[connection_id].test_connection()
    assert ok, detail
    assert said in detail


@pytest.mark.parametrize("connection_id", ["odras_postgres", "odras_neo4j"])
def test_a_wrong_password_is_told_without_being_shown(
    connections: dict[str, str], connection_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"AIRFLOW_CONN_{connection_id.upper()}"
    monkeypatch.setenv(name, json.dumps(json.loads(connections[name]) | {"password": "not-the-password"}))
    ok, detail = _hooks()[connection_id].test_connection()
    assert not ok
    assert "127.0.0.1" in detail
    assert "not-the-password" not in detail


@pytest.mark.parametrize("connection_id", ["odras_postgres", "odras_neo4j", "odras_qdrant"])
def test_a_server_that_is_away_is_named_with_its_address(
    connections: dict[str, str], connection_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"AIRFLOW_CONN_{connection_id.upper()}"
    value = json.loads(connections[name]) | {"port": 1}
    if connection_id == "odras_qdrant":
        value["extra"] = {"url": "http://127.0.0.1:1"}
    monkeypatch.setenv(name, json.dumps(value))
    ok, detail = _hooks()[connection_id].test_connection()
    assert not ok
    assert "127.0.0.1:1" in detail


def test_the_official_work_of_the_hooks_still_works(connections: dict[str, str]) -> None:
    hooks = _hooks()
    assert hooks["odras_postgres"].get_first("SELECT 41 + 1") == (42,)
    assert hooks["odras_neo4j"].run("RETURN 42 AS answer") == [{"answer": 42}]
    hooks["odras_neo4j"].client.close()
    assert hooks["odras_qdrant"].get_conn().get_collections().collections == []


def test_connections_of_airflow_become_ours(connections: dict[str, str]) -> None:
    from data_workbench.provider.connections import airflow_connections, from_airflow

    found = airflow_connections().get("odras_postgres")
    via_airflow = from_airflow("odras_postgres")
    assert via_airflow == found
    assert from_airflow("nobody_knows_this_one") is None
    assert found.secret is not None
    assert found.secret not in repr(found)
