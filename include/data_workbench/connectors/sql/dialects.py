"""The dialect of a connection: its driver is imported here, and its file must be one that may be reached."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar

from data_workbench.connectors.sql.config import DuckdbConfig, FileDatabaseConfig, MysqlConfig, SqliteConfig
from data_workbench.errors import AccessDenied, Unsupported

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connection
    from data_workbench.connectors.sql.dialect import Dialect
    from data_workbench.settings import Settings


def dialect_of(connection: Connection, settings: Settings) -> Dialect:
    """The dialect behind a connection; nothing is connected to yet.

    Raises:
        UsageError: the connection is wrong.
        AccessDenied: the file lies outside `settings.file_roots`.
    """
    match connection.kind:
        case "sqlite":
            from data_workbench.connectors.sql.sqlite import SqliteDialect

            return SqliteDialect(_reachable(SqliteConfig.of(connection), connection.id, settings))
        case "duckdb":
            from data_workbench.connectors.sql.duck import DuckdbDialect

            return DuckdbDialect(_reachable(DuckdbConfig.of(connection), connection.id, settings))
        case "mysql":
            from data_workbench.connectors.sql.mysql import MysqlDialect

            return MysqlDialect(MysqlConfig.of(connection))
    raise Unsupported(f"connection {connection.id!r}: no SQL dialect for {connection.kind!r}")


Config = TypeVar("Config", bound=FileDatabaseConfig)


def _reachable(config: Config, connection_id: str, settings: Settings) -> Config:
    roots = [os.path.realpath(item) for item in settings.file_roots.split(":") if item]
    real = os.path.realpath(config.path)
    if roots and not any(os.path.commonpath([real, root]) == root for root in roots):
        raise AccessDenied(
            f"connection {connection_id!r}: {config.path} is outside the folders that may be reached",
            hint="add its folder to WORKBENCH_FILE_ROOTS (colon separated), or use a folder that is listed",
        )
    return config
