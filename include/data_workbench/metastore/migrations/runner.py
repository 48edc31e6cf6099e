"""Runs Alembic on a connection, without any configuration file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

# Any number that nobody else takes; it keeps two upgrades from running at once.
_UPGRADE_LOCK = 0x0DA7A0B3C4


def configuration(connection: Connection | None = None) -> Config:
    """Alembic's configuration for our migrations."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def upgrade(connection: Connection, *, read: Callable[[Connection], str | None]) -> str | None:
    """Apply what is missing, in the connection's transaction; the revision it was at when its turn came."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _UPGRADE_LOCK})
    found = read(connection)
    command.upgrade(configuration(connection), "head")
    return found
