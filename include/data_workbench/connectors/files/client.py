"""The folder of a connection: paths that stay inside it, opening, listing, publishing, errors translated once."""

from __future__ import annotations

import errno
import os
import posixpath
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from data_workbench.connectors.files.config import FilesConfig, config_of
from data_workbench.errors import (
    AccessDenied,
    ResourceExhausted,
    StoreUnavailable,
    StreamUnknown,
    Unsupported,
    WorkbenchError,
)

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connection
    from data_workbench.settings import Settings


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn what the operating system or fsspec raises into our errors."""
    try:
        yield
    except WorkbenchError:
        raise
    except FileNotFoundError as error:
        raise StreamUnknown(f"{what}: no such file", hint="`workbench discover` lists what is there") from error
    except PermissionError as error:
        raise AccessDenied(f"{what}: permission denied", hint="check the rights of the file and its folder") from error
    except ImportError as error:
        raise Unsupported(
            f"{what}: its file system needs a package that is not installed ({error.name or error})",
            hint="install it beside the workbench, e.g. s3fs, gcsfs or adlfs",
        ) from error
    except (IsADirectoryError, NotADirectoryError) as error:
        raise StreamUnknown(
            f"{what}: {'a folder' if isinstance(error, IsADirectoryError) else 'not a folder'}"
        ) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ResourceExhausted(
                f"{what}: no space left on the device", hint="free some disk, then run again"
            ) from error
        raise StoreUnavailable(f"{what}: {error.strerror or type(error).__name__}") from error


class Root:
    """Everything under a connection's root; paths are relative to it and use `/`.

    Raises:
        AccessDenied: the root lies outside `settings.file_roots`, or a path leads out of the root.
    """

    def __init__(self, connection: Connection, settings: Settings) -> None:
        self.config: FilesConfig = config_of(connection)
        self._real = os.path.realpath(self.config.root) if self.config.is_local else ""
        if self.config.is_local and settings.file_roots:
            allowed = [os.path.realpath(item) for item in settings.file_roots.split(":") if item]
            if not any(_is_inside(self._real, place) for place in allowed):
                raise AccessDenied(
                    f"connection {connection.id!r}: {self.config.root} is outside the folders that may be reached",
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
            import fsspec

            with translated(self.config.url):
                self._filesystem = fsspec.filesystem(self.config.protocol, **dict(self.config.storage))
        return self._filesystem

    def full(self, path: str) -> str:
        """The file system's own path of a path inside the root.

        Raises:
            AccessDenied: `..`, an absolute path or a link that leads out.
        """
        parts = path.replace("\\", "/").split("/") if self.config.is_local else path.split("/")
        if path.startswith("/") or ".." in parts or "\0" in path or "::" in path:
            raise AccessDenied(
                f"{path!r} leads out of the connection's folder", hint=f"write it relative to {self.config.url}"
            )
        joined = posixpath.join(self.config.root, posixpath.normpath(path))
        if self.config.is_local and not _is_inside(os.path.realpath(joined), self._real):
            raise AccessDenied(
                f"{path!r} is a link that leads out of the connection's folder",
                hint=f"copy the file into {self.config.url}",
            )
        return joined

    def local(self, path: str) -> Path | None:
        """The path on this machine, or None for a remote root."""
        return Path(self.full(path)) if self.config.is_local else None

    def exists(self, path: str) -> bool:
        """Whether something is there."""
        with translated(path):
            return bool(self.filesystem.exists(self.full(path)))

    def is_folder(self, path: str) -> bool:
        """Whether it is a folder (or, in object storage, a prefix)."""
        with translated(path):
            return bool(self.filesystem.isdir(self.full(path)))

    def size(self, path: str) -> int:
        """Bytes of a file."""
        with translated(path):
            return int(self.filesystem.size(self.full(path)))

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
        prefix = self.filesystem._strip_protocol(self.config.root).rstrip("/") + "/"
        relative = sorted(name.removeprefix(prefix) for name in files)
        visible = [name for name in relative if not any(part.startswith((".", "_")) for part in name.split("/"))]
        return [name for name in visible if self.full(name)]

    def make_parents(self, path: str) -> None:
        """Create the folders above a path."""
        with translated(path):
            self.filesystem.makedirs(posixpath.dirname(self.full(path)), exist_ok=True)

    def remove(self, path: str) -> None:
        """Delete a file if it is there."""
        with translated(path):
            full = self.full(path)
            if self.filesystem.exists(full):
                self.filesystem.rm_file(full)

    def publication(self, path: str, token: str) -> Publication:
        """A file that becomes visible at `path` as a whole, or not at all; `token` tells one writer from another."""
        return Publication(self, path, token)

    def write_text(self, path: str, text: str, token: str) -> None:
        """Replace a small file as a whole."""
        publication = self.publication(path, token)
        try:
            publication.handle.write(text.encode())
            publication.seal()
            publication.publish()
        finally:
            publication.discard()


class Publication:
    """Content on its way to a path: write to `handle`, `seal` it, `publish` it; `discard` is safe at any time.

    On this machine: a hidden file beside the path, fsync, rename, fsync of the folder; the hidden name depends on the
    token alone, so a writer that starts again takes up its own remains. Object stores show an object only when it is
    complete: there `seal` publishes.
    """

    def __init__(self, root: Root, path: str, token: str) -> None:
        self.path = path
        root.make_parents(path)
        self._place = root.local(path)
        self._sealed = False
        with translated(path):
            if self._place is None:
                self.handle: IO[bytes] = root.filesystem.open(root.full(path), "wb")
            else:
                self.hidden = self._place.with_name(f".{self._place.name}.{token}.tmp")
                self.hidden.unlink(missing_ok=True)
                self.handle = self.hidden.open("wb")

    def adopt(self, staged: Path) -> bool:
        """Take a finished file instead of content: by link where the file system allows, else by copy.

        Returns False on an object store, which has neither.
        """
        if self._place is None:
            return False
        self.handle.close()
        with translated(self.path):
            self.hidden.unlink()
            try:
                os.link(staged, self.hidden)
            except OSError:  # another device, or no links here
                shutil.copyfile(staged, self.hidden)
            # Staged files are private; what is published follows the umask.
            self.hidden.chmod(0o666 & ~_umask())
            self.seal()
        return True

    def seal(self) -> None:
        """Finish writing; the content is durable after this."""
        with translated(self.path):
            if not self.handle.closed:
                self.handle.flush()
                if self._place is not None:
                    os.fsync(self.handle.fileno())
                self.handle.close()
        self._sealed = True

    def publish(self) -> None:
        """Let it be seen."""
        if self._place is not None:
            with translated(self.path):
                self.hidden.replace(self._place)
                sync_folder(self._place.parent)

    def discard(self) -> None:
        """Forget what was not published."""
        if self._place is not None:
            self.handle.close()
            self.hidden.unlink(missing_ok=True)
        elif not self._sealed and not self.handle.closed:
            getattr(self.handle, "discard", self.handle.close)()


def sync_folder(folder: Path) -> None:
    """Make a rename in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    current = os.umask(0o022)
    os.umask(current)
    return current


def _is_inside(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip("/") + "/")
