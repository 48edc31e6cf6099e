"""A place from what a person or a setting names: a connection's id, an fsspec URL or a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from data_workbench.artifacts.buckets import BucketPlace
from data_workbench.artifacts.places import LocalPlace, Place, RemotePlace
from data_workbench.connectors.files.client import Root
from data_workbench.errors import UsageError

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connections
    from data_workbench.settings import Settings


def open_place(where: str, connections: Connections, settings: Settings, *, what: str) -> Place:
    """The place at a connection's id, a URL or a folder; nothing is made yet.

    Args:
        what: what it is to be, for messages.

    Raises:
        ConnectionUnknown, UsageError: it cannot be reached that way.
    """
    if "://" not in where and ("/" in where or where.startswith(".")):
        where = f"file://{Path(where).absolute()}"
    connection = connections.get(where)
    if connection.kind != "workbench_files":
        raise UsageError(
            f"connection {where!r} is of type {connection.kind!r}, a {what} needs a place for files",
            hint="name a folder, a URL (s3://bucket/folder) or a connection of type workbench_files",
        )
    root = Root(connection, settings)
    root.check_writable()
    if root.config.is_local:
        return LocalPlace(Path(root.full(".")))
    kind = BucketPlace if root.config.driver.name == "s3" else RemotePlace
    return kind.over(root.filesystem, root.full("."), root.config.url)
