"""The root of a connection: paths that stay inside it, opening, listing, what a file is like now."""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from data_workbench.connectors.files.config import FilesConfig, config_of
from data_workbench.connectors.files.drivers import open_filesystem
from data_workbench.connectors.files.failures import translated
from data_workbench.errors import AccessDenied, Unsupported

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connection
    from data_workbench.settings import Settings

MAGIC = frozenset("*?[")


@dataclass(frozen=True)
class Facts:
    """What a store says of a file: bytes, time of the last change, and a tag that changes with the content."""

    size: int | None
    modified: datetime | None
    tag: str | None


_BUCKETS = frozenset({"s3", "gs", "abfs"})
"""Drivers of stores that keep objects by key, without folders."""


class Root:
    """Everything under a connection's root; paths are relative to it and use `/`.

    Raises:
        AccessDenied: the root lies outside `settings.file_roots`, or a path leads out of the root.
    """

    def __init__(self, connection: Connection, settings: Settings) -> None:
        self.config: FilesConfig = config_of(connection)
        self._real = os.path.realpath(self.config.folder) if self.config.is_local else ""
        if self.config.is_local and settings.file_roots:
            allowed = [os.path.realpath(item) for item in settings.file_roots.split(":") if item]
            if not any(_is_inside(self._real, place) for place in allowed):
                raise AccessDenied(
                    f"connection {connection.id!r}: {self.config.folder} is outside the folders that may be reached",
                    hint="add it to WORKBENCH_FILE_ROOTS (colon separated), or use a folder that is listed",
                )
        self._filesystem: Any = None

    @property
    def free_bytes(self) -> int | None:
        """Room left on the disk of a local root; None for other places."""
        if not self.config.is_local:
            return None
        with translated(self.config.url):
            return shutil.disk_usage(self._real).free

    @property
    def is_writable(self) -> bool:
        """Whether this process may make files in a local root."""
        return os.access(self._real, os.W_OK | os.X_OK)

    @property
    def filesystem(self) -> Any:
        """The fsspec file system, opened at first use."""
        if self._filesystem is None:
            with translated(self.config.url):
                self._filesystem = open_filesystem(self.config)
        return self._filesystem

    def full(self, path: str) -> str:
        """The file system's own path of a path inside the root.

        Raises:
            AccessDenied: `..`, an absolute path, another store's URL, or a link that leads out.
        """
        parts = re.split(r"[/\\]", path) if self.config.is_local else path.split("/")
        if path.startswith("/") or ".." in parts or "\0" in path or "::" in path or "://" in path:
            raise AccessDenied(
                f"{path!r} leads out of the connection's folder", hint=f"write it relative to {self.config.url}"
            )
        inside = posixpath.normpath(path)
        if self.config.driver.name == "http":
            # Quoted, so that no percent sign or question mark makes another address of it.
            return self.config.folder + ("/" + quote(inside, safe="/*") if inside != "." else "/")
        joined = posixpath.join(self.config.folder, inside) if inside != "." else self.config.folder
        self._check_link(path, joined)
        return joined

    def named(self, name: str) -> str:
        """The file system's own path of a file by the name that a listing of the root gave it.

        Such a name may look like more than one (`Foo::Bar.html`). In a bucket it is a key of which no part means
        anything (`a//b`, `../up`), and stays as it is.

        Raises:
            AccessDenied: it leads out of the root.
        """
        if self.config.driver.name in _BUCKETS:
            return f"{self.config.folder.rstrip('/')}/{name}"
        parts = re.split(r"[/\\]", name) if self.config.is_local else name.split("/")
        if name.startswith("/") or ".." in parts or "\0" in name or posixpath.normpath(name) != name:
            hint = "it was a key in a bucket: restore it into one"
            raise AccessDenied(f"{name!r} leads out of {self.config.url}, or is no name there", hint=hint)
        joined = posixpath.join(self.config.folder, name)
        self._check_link(name, joined)
        return joined

    def _check_link(self, path: str, joined: str) -> None:
        if self.config.is_local:
            is_out = not _is_inside(os.path.realpath(joined), self._real)
        elif self.config.driver.name == "sftp":
            self._real = self._real or self._resolved(self.config.folder)
            is_out = not _is_inside(self._resolved(joined), self._real)
        else:
            return
        if is_out:
            raise AccessDenied(
                f"{path!r} is a link that leads out of the connection's folder",
                hint=f"copy the file into {self.config.url}",
            )

    def _resolved(self, full: str) -> str:
        """A path of an SFTP server with its links followed."""
        from fsspec.asyn import sync

        system = self.filesystem

        async def ask() -> Any:
            async with system._pool.get() as channel:
                return await channel.realpath(full)

        with translated(full):
            found = sync(system.loop, ask)
        return found.decode() if isinstance(found, bytes) else str(found)

    def local(self, path: str) -> Path | None:
        """The path on this machine, or None for a remote root."""
        return Path(self.full(path)) if self.config.is_local else None

    def exists(self, path: str) -> bool:
        """Whether something is there."""
        with translated(path):
            return bool(self.filesystem.exists(self.full(path)))

    def is_folder(self, path: str) -> bool:
        """Whether it is a folder (or, in object storage, a prefix; on a web server, a page with links)."""
        with translated(path):
            if self.config.driver.name == "http" and posixpath.splitext(path)[1]:
                return False  # a file of pages would be fetched to look for links in it
            return bool(self.filesystem.isdir(self.full(path)))

    def facts(self, path: str) -> Facts:
        """What the store says of a file now.

        Raises:
            StreamUnknown: it is gone.
        """
        with translated(path):
            return facts_of(self.filesystem.info(self.full(path)))

    def open_read(self, path: str) -> IO[bytes]:
        """A binary handle to read."""
        with translated(path):
            handle: IO[bytes] = self.filesystem.open(self.full(path), "rb")
            return handle

    def glob(self, pattern: str) -> list[str]:
        """Files that match, sorted, relative to the root; hidden ones are left out."""
        with translated(pattern):
            found = self.filesystem.glob(self.full(pattern), detail=True)
        files = [name for name, facts in found.items() if facts.get("type") == "file"]
        prefix = str(self.filesystem._strip_protocol(self.config.folder)).rstrip("/") + "/"
        inside = [name.removeprefix(prefix) for name in files if name.startswith(prefix)]
        relative = sorted(unquote(name) if self.config.driver.name == "http" else name for name in inside)
        visible = [name for name in relative if not any(part.startswith((".", "_")) for part in name.split("/"))]
        return [name for name in visible if _is_text(name) and self.full(name)]

    def make_parents(self, path: str) -> None:
        """Create the folders above a path. Object stores have none: there nothing is created."""
        with translated(path):
            self.make_parents_full(self.full(path))

    def make_parents_full(self, full: str) -> None:
        """Create the folders above the file system's own path."""
        if self.config.driver.publishes == "rename" or self.config.driver.name == "memory":
            self.filesystem.makedirs(posixpath.dirname(full), exist_ok=True)

    def remove(self, path: str) -> None:
        """Delete a file if it is there."""
        with translated(path):
            self.remove_full(self.full(path))

    def remove_full(self, full: str) -> None:
        """Delete a file by the file system's own path, if it is there."""
        if self.filesystem.exists(full):
            self.filesystem.rm_file(full)

    def check_writable(self) -> None:
        """Refuse a root that is read only.

        Raises:
            Unsupported: it is.
        """
        if self.config.driver.publishes is None:
            raise Unsupported(
                f"{self.config.url} is read, not written", hint="write to file://, s3://, gs://, abfs:// or sftp://"
            )


def facts_of(info: dict[str, Any]) -> Facts:
    """The facts among what fsspec's file systems tell, each in its own words."""
    tag = next((info[name] for name in ("ETag", "etag", "md5Hash", "content_md5") if info.get(name)), None)
    names = ("LastModified", "last_modified", "mtime", "updated", "Last-Modified", "modified", "created")
    modified = next((info[name] for name in names if info.get(name)), None)
    return Facts(info.get("size"), _moment(modified), str(tag).strip('"') if tag else None)


def _moment(value: Any) -> datetime | None:
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC)
    if isinstance(value, str):
        from email.utils import parsedate_to_datetime

        for read in (datetime.fromisoformat, parsedate_to_datetime):
            try:
                return _moment(read(value))
            except ValueError:
                continue
    return None


def content_hash(root: Root, path: str) -> str:
    """SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with root.open_read(path) as handle, translated(path):
        while block := handle.read(1024**2):
            digest.update(block)
    return digest.hexdigest()


def _is_text(name: str) -> bool:
    """Whether a name can be written down: bytes that are no UTF-8 come as lone surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_inside(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip("/") + "/")
