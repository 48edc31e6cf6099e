"""The three stores as `Stack` starts them."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import psutil
import psycopg
import pytest

from data_workbench.servers import postgres_dsn

if TYPE_CHECKING:
    from neo4j import Driver
    from tests.conftest import PostgresDatabase

    from data_workbench.servers import Stack


def test_all_services_run_and_up_again_changes_nothing(stack: Stack) -> None:
    before = {status.name: status for status in stack.status()}
    started = [name for name, status in before.items() if status.state == "running"]
    assert {"postgres", "neo4j"} <= set(started)
    assert {status.name: status.pid for status in stack.up(started)} == {name: before[name].pid for name in started}


def test_everything_listens_on_loopback_only(stack: Stack) -> None:
    for status in stack.status():
        if status.pid is None:
            continue
        listening = [
            connection.laddr.ip
            for process in [psutil.Process(status.pid), *psutil.Process(status.pid).children(recursive=True)]
            for connection in process.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN
        ]
        assert listening
        assert {address.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}


def test_postgres_is_16_with_logical_wal_and_scram(stack: Stack) -> None:
    with psycopg.connect(postgres_dsn(stack.settings, "odras")) as connection:
        shown = {
            name: connection.execute(f"SHOW {name}").fetchone()[0]
            for name in ("server_version_num", "wal_level", "password_encryption", "server_encoding", "timezone")
        }
        databases = {row[0] for row in connection.execute("SELECT datname FROM pg_database")}
    assert shown["server_version_num"].startswith("16")
    assert (shown["wal_level"], shown["password_encryption"]) == ("logical", "scram-sha-256")
    assert (shown["server_encoding"], shown["timezone"]) == ("UTF8", "UTC")
    assert {"odras", "workbench", "airflow"} <= databases


def test_postgres_refuses_a_wrong_password(stack: Stack) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(postgres_dsn(stack.settings, "odras"), password="wrong")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root drops to another user")
def test_started_by_root_postgres_runs_as_an_unprivileged_user(stack: Stack) -> None:
    status = next(status for status in stack.status() if status.name == "postgres")
    assert psutil.Process(status.pid).uids().effective != 0
    data = (stack.settings.home / "postgres").resolve() / "data"
    assert stat.S_IMODE(data.stat().st_mode) == 0o700


def test_fuseki_is_started_when_it_is_named_and_keeps_its_data_on_disk(servers: Stack, fuseki: str) -> None:
    [status] = [one for one in servers.status() if one.name == "fuseki"]
    assert (status.state, status.detail) == ("running", fuseki)
    assert (servers.settings.home / "fuseki" / "data" / "Data-0001").is_dir()


def test_each_module_has_its_own_database(postgres: PostgresDatabase) -> None:
    with psycopg.connect(postgres.dsn) as connection:
        assert connection.execute("SELECT current_database()").fetchone() == (postgres.name,)


def test_neo4j_is_community_5_with_an_empty_graph(neo4j: Driver) -> None:
    with neo4j.session() as session:
        (component,) = session.run("CALL dbms.components() YIELD versions, edition RETURN versions, edition").data()
        assert component["edition"] == "community"
        assert component["versions"][0].startswith("5.26")
        session.run("CREATE CONSTRAINT one FOR (n:Thing) REQUIRE n.id IS UNIQUE").consume()
        session.run("CREATE (:Thing {id: 1})-[:LIKES]->(:Thing {id: 2})").consume()
        assert session.run("MATCH (n) RETURN count(n)").value() == [2]


def test_the_graph_of_the_test_before_is_gone(neo4j: Driver) -> None:
    with neo4j.session() as session:
        assert session.run("MATCH (n) RETURN count(n)").value() == [0]
        assert session.run("SHOW CONSTRAINTS YIELD name").value() == []


def test_the_connections_fixture_sets_the_environment(connections: dict[str, str]) -> None:
    assert all(os.environ[name] == value for name, value in connections.items())
    assert {"AIRFLOW_CONN_ODRAS_POSTGRES", "AIRFLOW_CONN_WORKBENCH_FILES"} <= set(connections)
