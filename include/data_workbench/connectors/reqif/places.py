"""Where documents stand: `.reqif` files, and those inside `.reqifz` archives, whose sizes nobody believes."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from data_workbench.connectors.connections import Connection
from data_workbench.connectors.files.client import Root
from data_workbench.errors import AccessDenied, ResourceExhausted, SchemaConflict, StreamUnknown, Unsupported

if TYPE_CHECKING:
    from data_workbench.connectors.reqif.config import ReqifConfig
    from data_workbench.settings import Settings

BLOCK = 256 * 1024
_MOST_MEMBERS = 10_000
_ENDINGS = (".reqif", ".reqifz")


@dataclass(frozen=True)
class Document:
    """One ReqIF document: a file, or a member of an archive."""

    path: str
    member: str | None = None

    def __str__(self) -> str:
        return self.path if self.member is None else f"{self.path}:{self.member}"


class Place:
    """Documents below a connection's address; reached as by the files connector, inside its root."""

    def __init__(self, connection_id: str, config: ReqifConfig, settings: Settings) -> None:
        self._config = config
        address = config.place.rstrip("/")
        folder, _, last = address.rpartition("/")
        self._only = last if last.lower().endswith(_ENDINGS) else None
        root = folder if self._only else address
        self._root = Root(Connection(id=connection_id, kind="workbench_files", host=root), settings)

    def documents(self, file: str | None) -> list[Document]:
        """What there is to read, in the order of names.

        Raises:
            StreamUnknown: nothing.
            Unsupported, AccessDenied, SchemaConflict: an archive that is encrypted, climbs out, or is none.
        """
        pattern = self._only or file or "*"
        if set("*?[") & set(pattern):
            paths = [path for path in self._root.glob(pattern) if path.lower().endswith(_ENDINGS)]
        else:
            paths = [pattern] if self._root.exists(pattern) else []
        found = [document for path in paths for document in self._inside(path)]
        if not found:
            raise StreamUnknown(
                f"no ReqIF document in {self._config.place}", hint="name the file with `options: {file: …}`"
            )
        return found

    def blocks(self, document: Document) -> Iterator[bytes]:
        """A document's content.

        Raises:
            ResourceExhausted: it is larger than the connection's `max_bytes`.
        """
        if document.member is None:
            with self._root.open_read(document.path) as handle:
                while block := handle.read(BLOCK):
                    yield block
            return
        with self._archive(document.path) as archive:
            left = self._config.max_bytes
            try:
                with archive.open(document.member) as member:
                    while block := member.read(BLOCK):
                        left -= len(block)  # the header's size is what its maker says
                        if left < 0:
                            raise ResourceExhausted(
                                f"{document} is larger than {self._config.max_bytes} bytes, unpacked",
                                hint="raise extra.max_bytes of the connection, if it is no bomb",
                            )
                        yield block
            except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
                raise SchemaConflict(f"{document}: {str(error)[:200]}", hint="the archive is damaged") from error

    def _inside(self, path: str) -> list[Document]:
        if not path.lower().endswith(".reqifz"):
            return [Document(path)]
        with self._archive(path) as archive:
            members = archive.infolist()
        if len(members) > _MOST_MEMBERS:
            raise ResourceExhausted(f"{path} has {len(members)} members, {_MOST_MEMBERS} at most are taken")
        for one in members:
            if one.filename.startswith(("/", "\\")) or ".." in one.filename.replace("\\", "/").split("/"):
                raise AccessDenied(f"{path}: the member {one.filename[:200]!r} leads out of the archive")
        wanted = sorted(
            (one for one in members if one.filename.lower().endswith(".reqif")), key=lambda one: one.filename
        )
        if any(one.flag_bits & 0x1 for one in wanted):
            raise Unsupported(f"{path} is encrypted", hint="unpack it, then read the .reqif files")
        return [Document(path, one.filename) for one in wanted]

    @contextmanager
    def _archive(self, path: str) -> Iterator[zipfile.ZipFile]:
        handle: IO[bytes] = self._root.open_read(path)
        with handle:
            try:
                archive = zipfile.ZipFile(handle)
            except zipfile.BadZipFile as error:
                raise SchemaConflict(
                    f"{path}: no zip archive", hint="a .reqifz file is a zip of .reqif files"
                ) from error
            with archive:
                yield archive
