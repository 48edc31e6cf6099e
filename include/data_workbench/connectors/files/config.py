"""Where a `workbench_files` connection points: a root folder as a URL, and options of its file system."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from data_workbench.errors import UsageError

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connection

# Protocols of fsspec that name a place; chains (`zip::…`, `simplecache::…`) and programs (`github`, `git`) do not.
PROTOCOLS = frozenset(
    {
        "file",
        "local",
        "memory",
        "s3",
        "s3a",
        "gs",
        "gcs",
        "az",
        "abfs",
        "abfss",
        "hdfs",
        "webhdfs",
        "sftp",
        "http",
        "https",
    }
)


@dataclass(frozen=True)
class FilesConfig:
    """A root as protocol and path, with what its file system needs to open it."""

    protocol: str
    root: str
    storage: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_local(self) -> bool:
        """Whether the root is a folder of this machine."""
        return self.protocol == "file"

    @property
    def url(self) -> str:
        """The root for messages and lineage; it holds no secret."""
        return f"file://{self.root}" if self.is_local else f"{self.protocol}://{self.root}"


def config_of(connection: Connection) -> FilesConfig:
    """Read a connection: the root is `host`, or `root` of its extras, as a URL or a plain folder.

    Raises:
        UsageError: there is no root, or its protocol is not one that names a place.
    """
    extra = dict(connection.extra)
    root = extra.pop("root", None) or connection.host or (f"/{connection.database}" if connection.database else None)
    if not root:
        raise UsageError(
            f"connection {connection.id!r} has no root folder", hint='set its host (or extra "root") to file:///folder'
        )
    if "://" not in root:
        root = f"file://{root}" if root.startswith("/") else f"file:///{root}"
    if "::" in root or urlsplit(root).scheme not in PROTOCOLS:
        raise UsageError(
            f"connection {connection.id!r}: root {root.split('?')[0]!r} is not a place for files",
            hint=f"use one of {', '.join(sorted(PROTOCOLS))}",
        )
    protocol, _, path = root.partition("://")
    if protocol in ("file", "local"):
        return FilesConfig("file", unquote(path) or "/")
    storage = {**(extra.pop("storage_options", None) or {}), **extra}
    if protocol.startswith("s3") and connection.login:
        storage.setdefault("key", connection.login)
        storage.setdefault("secret", connection.secret)
    return FilesConfig(protocol, path.rstrip("/"), storage)
