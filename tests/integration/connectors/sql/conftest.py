"""A MariaDB server for this folder's tests, and a database of its own for each test."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from data_workbench.connectors.connections import Connection
from local_mariadb import Mariadb, NoServer, running

REPOSITORY = Path(__file__).resolve().parents[4]


@pytest.fixture(scope="session")
def mariadb() -> Iterator[Mariadb]:
    cache = Path(os.environ.get("WORKBENCH_CACHE") or REPOSITORY / ".workbench" / "cache").absolute()
    home = Path(tempfile.mkdtemp(prefix="workbench-mariadb-"))
    try:
        with running(home, cache) as server:
            yield server
    except NoServer as reason:
        pytest.skip(f"no MySQL-speaking server: {reason}")
    finally:
        shutil.rmtree(home, ignore_errors=True)


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
