"""A database with all that is odd: backed up, wiped, restored and compared in the server's own words."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from tests.integration.backup.odd_database import ODD_TABLE, facts_of, make_odd, remove_roles
from tests.integration.backup.test_all_stores import succeeded

if TYPE_CHECKING:
    from tests.conftest import PostgresDatabase
    from tests.integration.cli.conftest import Shell

    from data_workbench.servers import Stack


@pytest.fixture
def site(shell: Shell, stack: Stack, postgres: PostgresDatabase) -> Iterator[Shell]:
    """A command line over a database with all that is odd; the metastore is another one."""
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE; DROP SCHEMA IF EXISTS _workbench CASCADE; CREATE SCHEMA public")
    make_odd(postgres.dsn)
    shell.variables = {
        **shell.variables,
        "AIRFLOW_CONN_ODRAS_POSTGRES": json.dumps(postgres.airflow),
        "AIRFLOW_CONN_WORKBENCH_METASTORE": stack.environment()["AIRFLOW_CONN_WORKBENCH_METASTORE"],
        "WORKBENCH_BACKUP_STORES": "odras_postgres",
    }
    assert shell("db", "upgrade").code == 0
    yield shell
    admin = postgres.dsn.rpartition("/")[0] + "/postgres"
    with psycopg.connect(admin, autocommit=True) as connection:
        names = connection.execute("SELECT datname FROM pg_database WHERE datname ~ %s", (postgres.name,)).fetchall()
        for (name,) in names:
            if name != postgres.name:
                connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())
        connection.execute(f"DROP DATABASE {postgres.name} WITH (FORCE)".encode())
        connection.execute(f"CREATE DATABASE {postgres.name}".encode())
    remove_roles(admin)


def differing(found: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """What is other than wanted."""
    return {
        name: (found.get(name), wanted.get(name))
        for name in sorted(found.keys() | wanted.keys())
        if found.get(name) != wanted.get(name)
    }


def test_an_odd_database_comes_back_in_place_with_its_own_settings(site: Shell, postgres: PostgresDatabase) -> None:
    before = facts_of(postgres.dsn)
    succeeded(site("backup", "create", "--json"))
    site.sql("DROP SCHEMA app CASCADE; SELECT lo_unlink(700001)")
    succeeded(site("backup", "restore", "--yes", "--json"))
    assert differing(facts_of(postgres.dsn), before) == {}


def test_a_database_is_replaced_under_clients_that_come_back_at_once(site: Shell, postgres: PostgresDatabase) -> None:
    before = facts_of(postgres.dsn)
    succeeded(site("backup", "create", "--json"))
    ended, away = threading.Event(), Counter[str]()

    def come_back() -> None:
        while not ended.is_set():
            try:
                with psycopg.connect(postgres.dsn) as connection:
                    connection.execute("SELECT pg_sleep(60)")
            except psycopg.Error as error:
                away[str(error).partition(":")[0]] += 1

    with ThreadPoolExecutor(6) as clients:
        waiting = [clients.submit(come_back) for _ in range(6)]
        try:
            told = succeeded(site("backup", "restore", "--yes", "--json"))["stores"]["odras_postgres"]
        finally:
            ended.set()
            with psycopg.connect(postgres.dsn.rpartition("/")[0] + "/postgres", autocommit=True) as admin:
                while not all(one.done() for one in waiting):
                    admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
    assert away.total() >= 6, "all were disconnected"
    assert differing(facts_of(postgres.dsn), before) == {}
    assert facts_of(postgres.dsn.rpartition("/")[0] + f"/{told['replaced']}")["relations"] == before["relations"]


def test_an_odd_database_comes_back_beside_where_its_roles_are_not(site: Shell, postgres: PostgresDatabase) -> None:
    before = facts_of(postgres.dsn)
    succeeded(site("backup", "create", "--json"))
    succeeded(site("backup", "restore", "--beside", "copy", "--json"))
    beside = postgres.dsn.rpartition("/")[0] + f"/copy_{postgres.name}"
    assert differing(facts_of(beside), before) == {}


def test_a_drill_of_an_odd_database_passes(site: Shell) -> None:
    succeeded(site("backup", "create", "--json"))
    told = succeeded(site("backup", "verify", "--drill", "--json"))
    assert told["drill"]["tried"]["queries"]["odras_postgres"]["wrong"] == []


def test_odd_tables_come_back_one_by_one(site: Shell, postgres: PostgresDatabase) -> None:
    before = facts_of(postgres.dsn)
    succeeded(site("backup", "create", "--json"))
    site.sql(
        "SET session_replication_role = replica; SET search_path = app; DELETE FROM ONLY parent; DELETE FROM wide_key; "
        "UPDATE stamped SET body = 'wrong'; DELETE FROM every; UPDATE hen SET mother = 2; TRUNCATE json_key; "
        f"DELETE FROM {ODD_TABLE}; TRUNCATE ranged_25_b, no_columns, embedded"
    )
    names = ["app.parent", "app.wide_key", "app.stamped", "app.every", "app.hen", "app.json_key", "app.ranged_25_b",
             "app.embedded", ODD_TABLE]  # fmt: skip
    told = succeeded(site("backup", "retrieve", *(f"odras_postgres:{name}" for name in names), "--yes", "--json"))
    after = facts_of(postgres.dsn)
    other = {name for name in differing(after, before) if name.startswith("rows of") and "_replaced_" not in name}
    assert other == {"rows of app.no_columns"}, told
    assert after["triggers"] == before["triggers"]
    of_child = before["rows of app.child"]
    one = ("odras_postgres:app.parent", "--key", '{"id": 1}', "--yes", "--json")
    assert [piece["written"] for piece in succeeded(site("backup", "retrieve", *one))["pieces"]] == [0]
    assert facts_of(postgres.dsn)["rows of app.child"] == of_child
