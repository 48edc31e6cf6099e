"""What connections of SQL databases hold."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field, Json, SecretStr, model_validator

from data_workbench.connectors.spec import StoreConfig


class FileDatabaseConfig(StoreConfig):
    """A database that is one file of this machine."""

    columns: ClassVar[Mapping[str, str]] = {"host": "host", "database": "database"}

    host: str | None = Field(None, description="the file; or, as in a URL, `schema`")
    database: str | None = Field(None, description="the file, where there is no host")
    read_only: bool = Field(False, description="never write, and share the file with others who do not either")

    @model_validator(mode="after")
    def _names_a_file(self) -> FileDatabaseConfig:
        if not self.path or "\0" in self.path:
            raise ValueError("no file is named: set host to the path of the database")
        if self.path.startswith(":"):
            raise ValueError("a database in memory holds nothing for the next task: set host to a path")
        return self

    @property
    def path(self) -> str:
        """The file, absolute."""
        given = (self.host or self.database or "").removeprefix("file://")
        return os.path.abspath(given) if given and not given.startswith(":") else given  # noqa: PTH100  # no lookup

    @property
    def address(self) -> str:
        """For messages."""
        return self.path


class SqliteConfig(FileDatabaseConfig):
    """A SQLite file."""

    passed_over: ClassVar[frozenset[str]] = frozenset({"mode", "check_same_thread", "isolation_level"})

    timeout: float = Field(60, ge=0, description="seconds to wait for another writer")


class DuckdbConfig(FileDatabaseConfig):
    """A DuckDB file. One process writes at a time, and none reads meanwhile."""

    memory_limit: str = Field(
        "256MB", pattern=r"^\d+(\.\d+)? ?[KMGT]i?B$", description="what DuckDB may hold in memory"
    )
    threads: int = Field(2, ge=1, description="threads of DuckDB")


class MysqlConfig(StoreConfig):
    """A MySQL (8.0 and later) or MariaDB (10.6 and later) server."""

    columns: ClassVar[Mapping[str, str]] = {
        "host": "host",
        "port": "port",
        "database": "database",
        "user": "login",
        "password": "password",
    }
    # Airflow's own hook reads these out of the same connection.
    passed_over: ClassVar[frozenset[str]] = frozenset(
        {"charset", "cursor", "client", "local_infile", "init_command", "iam", "aws_conn_id", "autocommit"}
    )

    host: str = Field("localhost", description="the server")
    port: int = Field(3306, ge=1, le=65535, description="its port")
    database: str = Field(description="the database")
    user: str | None = Field(None, description="the user")
    password: SecretStr | None = Field(None, description="the password")
    unix_socket: str | None = Field(None, description="a socket instead of host and port")
    ssl: dict[str, Any] | Json[dict[str, Any]] | None = Field(
        None, description="TLS: `ca`, `cert`, `key` as files, `check_hostname`; an empty object trusts the system"
    )
    connect_timeout: int = Field(10, gt=0, description="seconds to wait for the server")
    timeout: int = Field(600, gt=0, description="seconds to wait for the answer to a statement")
    lock_timeout: int = Field(60, gt=0, description="seconds to wait for a row another session holds")

    @property
    def address(self) -> str:
        """For messages."""
        return f"{self.unix_socket or f'{self.host}:{self.port}'}/{self.database}"
