"""The whole ODRAS schema as SQL files of our own, and the function that loads them.

Read `90_behaviour.sql` for what the database does by itself; the other files hold the tables by subject, in the
order in which their foreign keys need them. Every file can be run again over its own result.
"""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from psycopg import Connection

TABLE_COUNT = 64


def schema_files() -> list[tuple[str, str]]:
    """Name and text of each SQL file, in loading order."""
    folder = resources.files(__name__)
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [(name, folder.joinpath(name).read_text(encoding="utf-8")) for name in names]


def load_schema(connection: Connection[Any]) -> None:
    """Create what is missing of the ODRAS schema; the caller commits."""
    for _, text in schema_files():
        connection.execute(text.encode())
