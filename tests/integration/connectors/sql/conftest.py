"""A MariaDB database of its own for each test."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from data_workbench.connectors.connections import Connection
from local_mariadb import Mariadb


@pytest.fixture
def mysql(mariadb: Mariadb) -> Iterator[Connection]:
    """A connection to an empty database, dropped afterwards."""
    import pymysql

    name = f"test {uuid.uuid4().hex[:12]}"
    login = {"host": "127.0.0.1", "port": mariadb.port, "user": mariadb.login, "password": mariadb.password}
    with pymysql.connect(**login) as admin, admin.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE `{name}`")
        cursor.execute("SET lock_wait_timeout = 10")  # a failed test may still hold a table
        try:
            yield Connection(
                "here",
                "mysql",
                host="127.0.0.1",
                port=mariadb.port,
                login=mariadb.login,
                password=SecretStr(mariadb.password),
                database=name,
            )
        finally:
            cursor.execute(f"DROP DATABASE `{name}`")
