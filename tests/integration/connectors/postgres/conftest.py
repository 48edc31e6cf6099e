"""A database of the module's own, as a connection of ours."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import psycopg
import pytest

from data_workbench.connectors.connections import Connection, from_environment
from data_workbench.connectors.postgres.destination import PostgresDestination
from data_workbench.connectors.postgres.source import PostgresSource
from data_workbench.settings import Settings

if TYPE_CHECKING:
    from conftest import PostgresDatabase


@pytest.fixture
def connection(postgres: PostgresDatabase) -> Connection:
    """The connection as the engine has it."""
    found = from_environment("test", {"AIRFLOW_CONN_TEST": json.dumps(dict(postgres.airflow))})
    assert found is not None
    return found


@pytest.fixture
def source(connection: Connection) -> Iterator[PostgresSource]:
    with PostgresSource(connection, Settings()) as opened:
        yield opened


@pytest.fixture
def destination(connection: Connection) -> Iterator[PostgresDestination]:
    with PostgresDestination(connection, Settings()) as opened:
        yield opened


@pytest.fixture
def execute(postgres: PostgresDatabase) -> Iterator[Callable[..., list[tuple]]]:
    """Run SQL beside the workbench; the rows, if there are any."""
    with psycopg.connect(postgres.dsn, autocommit=True) as beside:

        def run(query: str, *params: object) -> list[tuple]:
            cursor = beside.execute(query, params or None)
            return cursor.fetchall() if cursor.description else []

        yield run
        beside.execute("SET lock_timeout = '5s'")
        names = beside.execute(
            "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_|^information_schema$'"
        ).fetchall()
        for (name,) in names:
            beside.execute(psycopg.sql.SQL("DROP SCHEMA {} CASCADE").format(psycopg.sql.Identifier(name)))
        beside.execute("CREATE SCHEMA public")
