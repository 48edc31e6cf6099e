"""Where artifacts lie: a folder of this machine, or an object store behind fsspec.

A place knows nothing of manifests; paths in it are relative, with slashes. What is in it is for its owner only:
folders have mode 0700 and files 0600, whatever the umask (an object store has its own rules).
"""

from __future__ import annotations

import io
import os
import shutil
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self, cast

import pyarrow as pa

from data_workbench.connectors.files.failures import translated
from data_workbench.errors import StateError, UsageError

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

_FLAT = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az"})


class Place(ABC):
    """Files below one root."""

    root: str
    """An absolute path, or a URL."""

    def address(self, path: str) -> str:
        """The absolute path or URL of a file, for messages and for other programs."""
        return f"{self.root}/{path}"

    @abstractmethod
    def create(self, path: str) -> IO[bytes]:
        """Open a new file for writing, making its folder. Raises StateError if it is there."""

    @abstractmethod
    def publish(self, path: str, content: bytes) -> None:
        """Write a small file so that it is there as a whole or not at all."""

    @abstractmethod
    def read(self, path: str) -> bytes | None:
        """A small file, or None."""

    @abstractmethod
    def map(self, path: str) -> pa.Buffer:
        """A large file. Raises FileNotFoundError."""

    @abstractmethod
    def local(self, path: str) -> Path | None:
        """The file's path on this machine; None where it has none and must be copied to be read by others."""

    @abstractmethod
    def open(self, path: str) -> IO[bytes]:
        """A large file, to read from its beginning to its end. Raises FileNotFoundError."""

    @abstractmethod
    def size(self, path: str) -> int | None:
        """Bytes of a file, or None if it is not there."""

    @abstractmethod
    def folders(self, path: str) -> list[str]:
        """Names of the folders in a folder, sorted; none if it is not there."""

    @abstractmethod
    def files(self, path: str) -> dict[str, int]:
        """Names of the files in a folder and their bytes; none if it is not there."""

    @abstractmethod
    def remove(self, path: str) -> None:
        """Remove a folder and all in it; fine if it is not there."""

    @abstractmethod
    def remove_file(self, path: str) -> None:
        """Remove a file; fine if it is not there."""

    @abstractmethod
    def free(self) -> int | None:
        """Free bytes, or None where that has no meaning."""

    @abstractmethod
    def arrow(self) -> tuple[FileSystem | None, str]:
        """The file system and base path for pyarrow's own readers."""


class LocalPlace(Place):
    """A folder; fast, because nothing stands between Arrow and the file."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        self.root = str(self._root)

    def create(self, path: str) -> IO[bytes]:
        target = self._root / path
        self._make(target.parent)
        try:
            handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError as error:
            raise StateError(
                f"{target} is there already: another process writes the same artifact",
                hint="let one of them finish; a run takes up what it finds finished",
            ) from error
        return os.fdopen(handle, "wb", buffering=1 << 20)

    def publish(self, path: str, content: bytes) -> None:
        target = self._root / path
        self._make(target.parent)
        draft = target.with_name(f"{target.name}.{os.getpid()}.draft")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(target)
        _sync_folder(target.parent)

    def read(self, path: str) -> bytes | None:
        try:
            return (self._root / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def map(self, path: str) -> pa.Buffer:
        target = self._root / path
        if target.stat().st_size == 0:  # an empty file cannot be mapped
            return pa.py_buffer(b"")
        with pa.memory_map(str(target), "rb") as stream:
            return stream.read_buffer()

    def local(self, path: str) -> Path | None:
        return self._root / path

    def open(self, path: str) -> IO[bytes]:
        return (self._root / path).open("rb")

    def size(self, path: str) -> int | None:
        try:
            return (self._root / path).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None

    def folders(self, path: str) -> list[str]:
        try:
            found = list((self._root / path).iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(one.name for one in found if one.is_dir() and not one.is_symlink())

    def files(self, path: str) -> dict[str, int]:
        try:
            with os.scandir(self._root / path) as found:
                return {one.name: one.stat().st_size for one in found if one.is_file(follow_symlinks=False)}
        except (FileNotFoundError, NotADirectoryError):
            return {}

    def remove_file(self, path: str) -> None:
        (self._root / path).unlink(missing_ok=True)

    def remove(self, path: str) -> None:
        shutil.rmtree(self._root / path, ignore_errors=True)
        if (self._root / path).exists():
            shutil.rmtree(self._root / path)  # once more, to hear why

    def free(self) -> int | None:
        nearest = self._root
        while not nearest.exists():
            nearest = nearest.parent
        return shutil.disk_usage(nearest).free

    def arrow(self) -> tuple[FileSystem | None, str]:
        return None, self.root

    def _make(self, folder: Path) -> None:
        """Make a folder and its parents; those from the root down are private."""
        if folder.is_dir():
            return
        if folder != self._root:
            self._make(folder.parent)
        else:
            folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            return
        folder.chmod(0o700)


class RemotePlace(Place):
    """An object store, or whatever fsspec has a driver for; keys come from where its driver looks for them.

    What the driver raises is raised as StoreUnavailable, AccessDenied and their like.
    """

    def __init__(self, url: str) -> None:
        import fsspec

        try:
            self._files, base = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise UsageError(
                f"the artifact store {url!r} cannot be reached: {error}",
                hint="install the fsspec driver of its scheme (s3: s3fs, gs: gcsfs), or set WORKBENCH_ARTIFACTS",
            ) from error
        self._base = base.rstrip("/")
        self.root = url.rstrip("/")

    @classmethod
    def over(cls, files: Any, base: str, url: str) -> Self:
        """A place on a file system that is open already, such as a connection's."""
        place = cls.__new__(cls)
        place._files, place._base, place.root = files, base.rstrip("/"), url.rstrip("/")
        return place

    def create(self, path: str) -> IO[bytes]:
        if self.size(path) is not None:
            raise StateError(f"{self.address(path)} is there already", hint="let the other process finish")
        with self._asking(path):
            self._make_parent(path)
            return cast("IO[bytes]", _Upload(self._files.open(self._at(path), "wb"), self.address(path)))

    def publish(self, path: str, content: bytes) -> None:
        # One PUT: an object store shows an object as a whole or not at all.
        with self._asking(path):
            self._make_parent(path)
            self._files.pipe_file(self._at(path), content)

    def read(self, path: str) -> bytes | None:
        with self._asking(path):
            try:
                return cast("bytes", self._files.cat_file(self._at(path)))
            except FileNotFoundError:
                return None

    def map(self, path: str) -> pa.Buffer:
        content = self.read(path)
        if content is None:
            raise FileNotFoundError(self.address(path))
        return pa.py_buffer(content)

    def local(self, path: str) -> Path | None:  # noqa: ARG002  # no file here has one
        return None

    def open(self, path: str) -> IO[bytes]:
        if self.size(path) is None:
            raise FileNotFoundError(self.address(path))
        with self._asking(path):
            return cast("IO[bytes]", self._files.open(self._at(path), "rb", cache_type="readahead"))

    def size(self, path: str) -> int | None:
        with self._asking(path):
            self._files.invalidate_cache()
            try:
                return int(self._files.info(self._at(path))["size"])
            except FileNotFoundError:
                return None

    def folders(self, path: str) -> list[str]:
        with self._asking(path):
            self._files.invalidate_cache()
            try:
                found: list[dict[str, Any]] = self._files.ls(self._at(path), detail=True)
            except FileNotFoundError:
                return []
        return sorted(one["name"].rstrip("/").rpartition("/")[2] for one in found if one["type"] == "directory")

    def files(self, path: str) -> dict[str, int]:
        with self._asking(path):
            self._files.invalidate_cache()
            try:
                found: list[dict[str, Any]] = self._files.ls(self._at(path), detail=True)
            except FileNotFoundError:
                return {}
        return {one["name"].rpartition("/")[2]: int(one["size"] or 0) for one in found if one["type"] == "file"}

    def remove_file(self, path: str) -> None:
        with self._asking(path):
            if self._files.exists(self._at(path)):
                self._files.rm_file(self._at(path))

    def remove(self, path: str) -> None:
        with self._asking(path):
            self._files.invalidate_cache()
            if self._files.exists(self._at(path)):
                self._files.rm(self._at(path), recursive=True)

    def free(self) -> int | None:
        return None

    def arrow(self) -> tuple[FileSystem | None, str]:
        from pyarrow.fs import FSSpecHandler, PyFileSystem

        return PyFileSystem(FSSpecHandler(self._files)), self._base

    def _at(self, path: str) -> str:
        return f"{self._base}/{path}" if path else self._base

    def _make_parent(self, path: str) -> None:
        # An object store has no folders, and s3fs would make the bucket of a mistyped name.
        if self.root.partition("://")[0] not in _FLAT:
            self._files.makedirs(self._at(path).rpartition("/")[0], exist_ok=True)

    def _asking(self, path: str) -> AbstractContextManager[None]:
        return translated(f"the artifact store's {self.address(path)}")


class _Upload(io.RawIOBase):
    """Writes to an object; what its driver raises on the way, or at the end, is translated."""

    def __init__(self, stream: IO[bytes], address: str) -> None:
        self._stream, self._address = stream, address

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        with translated(self._address):
            return self._stream.write(data)

    def close(self) -> None:
        if not self.closed:
            with translated(self._address):
                self._stream.close()
        super().close()


def place_of(url: str) -> Place:
    """The place of a folder or an fsspec URL."""
    if url.startswith("file://"):
        return LocalPlace(Path(url.removeprefix("file://")))
    if "://" not in url:
        return LocalPlace(Path(url))
    return RemotePlace(url)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
