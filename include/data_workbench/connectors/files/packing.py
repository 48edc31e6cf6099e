"""Compressed files and archives, read and written: never expanded past what the options allow.

What a header says of its content's size is not believed; bytes are counted as they come.
"""

from __future__ import annotations

import copy
import io
import lzma
import re
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Any

import pyarrow as pa

from data_workbench.errors import AccessDenied, ResourceExhausted, SchemaConflict, UsageError, WorkbenchError

if TYPE_CHECKING:
    from data_workbench.connectors.files.options import FileOptions

_RATIO_FROM = 64 * 1024**2
_MOST_MEMBERS = 10_000
_UNKNOWN_SIZE = 2**62
_DAMAGE = (OSError, EOFError, ValueError, lzma.LZMAError, zlib.error, zipfile.BadZipFile, NotImplementedError)


class Counted(io.RawIOBase):
    """The packed bytes: counted, and their own errors remembered, to be told apart from damage."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self.taken = 0
        self.error: BaseException | None = None

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        try:
            data: bytes = self._raw.read(size)
        except BaseException as error:
            self.error = error
            raise
        self.taken += len(data)
        return data

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()


class Expanded(io.RawIOBase):
    """The unpacked bytes, counted against the limits; damage is told by the file's name.

    Args:
        packed: how many packed bytes the content so far came from.
    """

    def __init__(
        self, name: str, stream: Any, packed: Callable[[], int], options: FileOptions, source: Counted | None = None
    ) -> None:
        self._name, self._stream, self._packed, self._options, self._source = name, stream, packed, options, source
        self._given = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if size is None or size < 0:
            return self.readall()
        try:
            data: bytes = self._stream.read(size)
        except WorkbenchError:
            raise
        except _DAMAGE as error:
            if self._source is not None and self._source.error is not None:
                raise
            raise _damaged(self._name, error) from error
        except RuntimeError as error:  # zipfile's word for a member with a password
            raise SchemaConflict(f"{self._name}: {str(error)[:200]}", hint="unpack it first") from error
        self._count(len(data))
        return data

    def readall(self) -> bytes:
        return b"".join(iter(lambda: self.read(1024**2), b""))

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
            if self._source is not None:
                self._source.close()
        super().close()

    def _count(self, size: int) -> None:
        self._given += size
        most, ratio = self._options.max_expanded_bytes, self._options.max_ratio
        if self._given > most:
            raise ResourceExhausted(
                f"{self._name} expands to more than {most} bytes",
                hint="if that is what it should hold, raise `options: {max_expanded_bytes: …}`",
            )
        if self._given > _RATIO_FROM and self._given > ratio * max(self._packed(), 1):
            raise ResourceExhausted(
                f"{self._name} expands to more than {ratio} times its size",
                hint="if that is what it should hold, raise `options: {max_ratio: …}`",
            )


def _damaged(name: str, error: BaseException) -> SchemaConflict:
    said = (str(error).splitlines() or [type(error).__name__])[0][:200]
    return SchemaConflict(
        f"{name}: its compressed content is damaged, cut short, or of another kind ({said})",
        hint="fetch the file again, or name its `compression`",
    )


def expanded(name: str, raw: Any, compression: str, options: FileOptions) -> IO[bytes]:
    """The content of a file compressed as a whole."""
    source = Counted(raw)
    stream: Any
    if compression == "xz":
        stream = lzma.LZMAFile(source)  # type: ignore[arg-type]  # noqa: SIM115  # it only reads; closed by Expanded
    else:
        stream = pa.CompressedInputStream(pa.PythonFile(source, "r"), compression)
    return Expanded(name, stream, lambda: source.taken, options, source)  # type: ignore[return-value]


# ------------------------------------------------------------------------------------------------------ archives


class Archive:
    """A zip archive: its members' names, each opened within the limits.

    Raises:
        SchemaConflict: no zip archive.
        AccessDenied: a member's name leads out of a folder.
    """

    def __init__(self, name: str, raw: Any) -> None:
        self.name, self._raw = name, raw
        try:
            self._zip = zipfile.ZipFile(raw)
        except _DAMAGE as error:
            raw.close()
            raise SchemaConflict(f"{name}: not a zip archive, or cut short", hint="check `compression`") from error
        found = [item for item in self._zip.infolist() if not item.is_dir()]
        if len(found) > _MOST_MEMBERS:
            raise ResourceExhausted(f"{name} holds more than {_MOST_MEMBERS} files", hint="unpack it, then use a glob")
        self._members = {item.filename: item for item in found}
        for member in self._members:
            _check_member(name, member)

    def members(self) -> list[str]:
        """Names of the files inside, sorted; hidden ones and what a Mac adds are left out."""
        visible = [one for one in self._members if not any(part[:1] in (".", "_") for part in one.split("/"))]
        return sorted(visible)

    def every_member(self) -> list[str]:
        """Names of all files inside."""
        return list(self._members)

    def open(self, member: str, options: FileOptions, *, closes: bool = True) -> IO[bytes]:
        """The content of a member; closing it closes the archive, too, if `closes`."""
        info = copy.copy(self._members[member])
        # The size in the directory may lie: with none, reading ends where the content does, and the checksum is held.
        info.file_size = _UNKNOWN_SIZE
        label = f"{self.name}!{member}"
        try:
            stream = self._zip.open(info)
        except RuntimeError as error:
            raise SchemaConflict(f"{label} is encrypted, or packed in an unknown way", hint="unpack it") from error
        except _DAMAGE as error:
            raise _damaged(label, error) from error
        content = Expanded(label, stream, lambda: max(info.compress_size, 1), options)
        return _Closing(content, self if closes else None)

    def close(self) -> None:
        """Close the archive and its file."""
        self._zip.close()
        self._raw.close()


class _Closing(io.BufferedReader):
    """A member that closes its archive."""

    def __init__(self, content: Expanded, archive: Archive | None) -> None:
        super().__init__(content, 1024**2)
        self._archive = archive

    def close(self) -> None:
        super().close()
        if self._archive is not None:
            self._archive.close()


def _check_member(name: str, member: str) -> None:
    parts = re.split(r"[/\\]", member)
    if ".." in parts or member.startswith(("/", "\\")) or ":" in parts[0] or "\0" in member:
        raise AccessDenied(
            f"{name} holds a member whose name leads out of a folder: {member[:200]!r}",
            hint="such an archive is likely made to do harm: do not use it",
        )


def only_member(archive: Archive) -> str:
    """The one member of an archive.

    Raises:
        UsageError: it holds none or several.
    """
    members = archive.members()
    if len(members) != 1:
        near = f", e.g. {archive.name}!{members[0]}" if members else ""
        raise UsageError(
            f"{archive.name} holds {len(members)} files, one is wanted",
            hint=f"name a member or a pattern after '!'{near}",
        )
    return members[0]


def spooled(content: IO[bytes]) -> IO[bytes]:
    """The content in a temporary file, for formats that are read from their end."""
    place = tempfile.TemporaryFile(prefix="workbench-unpacked-")  # noqa: SIM115  # given to the caller, who closes it
    try:
        with content:
            while block := content.read(1024**2):
                place.write(block)
        place.seek(0)
    except BaseException:
        place.close()
        raise
    return place


def packed(path: str, handle: IO[bytes], compression: str) -> IO[bytes]:
    """A handle that compresses what is written; closing it leaves `handle` open.

    Raises:
        UsageError: files are not written into archives.
    """
    if compression == "zip":
        raise UsageError(
            f"{path!r}: files are not written into archives", hint="end the name in .gz, .zst, .bz2 or .xz"
        )
    if compression == "xz":
        return lzma.LZMAFile(handle, "wb", preset=1)
    inner = pa.PythonFile(_Unclosed(handle), "w")
    stream: IO[bytes] = pa.CompressedOutputStream(inner, compression)
    return stream


class _Unclosed(io.RawIOBase):
    def __init__(self, handle: IO[bytes]) -> None:
        self._handle = handle

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._handle.write(data)
        return memoryview(data).nbytes
