"""Pipeline definitions and the project file into a set and out again: what would be missing on an empty machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from data_workbench.backup.content import Reader, Writer
from data_workbench.backup.exports import Export
from data_workbench.backup.fingerprints import Multiset, digest
from data_workbench.backup.manifest import Content, StoredStore
from data_workbench.errors import AccessDenied, StateError

NAME = "definitions"
_SUFFIXES = frozenset({".yaml", ".yml", ".sql"})


class DefinitionExport(Export):
    """The folder of pipelines, and the project file beside it.

    Args:
        home: what a local installation keeps, backups and their identity among it; never a definition.
    """

    name = NAME

    def __init__(self, pipelines: Path, project: Path, home: Path) -> None:
        self._pipelines, self._project, self._home = pipelines.absolute(), project, home.absolute()

    def open(self) -> None:
        """Nothing stands between us and a file."""

    def mark(self) -> dict[str, Any]:
        return {"files": len(self._found())}

    def write(self, writer: Writer) -> StoredStore:
        seen = Multiset()
        files = []
        for path, place in self._found().items():
            content = place.read_bytes()
            seen.add(digest(path.encode() + b"\0" + content))
            files.append(writer.write(path, [content]))
        stream = Content(count=seen.count, fingerprint=seen.fingerprint)
        return StoredStore(kind="definitions", connection=NAME, streams={"files": stream}, files=tuple(files))

    def _found(self) -> dict[str, Path]:
        found = {}
        if self._project.is_file():
            found[f"project/{self._project.name}"] = self._project
        for place in sorted(self._pipelines.rglob("*")) if self._pipelines.is_dir() else ():
            path = place.relative_to(self._pipelines)
            if place.suffix not in _SUFFIXES or any(part.startswith(".") for part in path.parts):
                continue
            if place.is_file() and not place.is_symlink() and not place.is_relative_to(self._home):
                found[f"pipelines/{path.as_posix()}"] = place
        return found


class DefinitionRestore:
    """Files into a folder of their own; what lies in use is never overwritten."""

    def __init__(self, folder: Path, stored: StoredStore, reader: Reader) -> None:
        self._folder, self._stored, self._reader = folder.absolute(), stored, reader

    def check(self) -> None:
        """Refuse a folder with something in it."""
        if self._folder.exists() and any(self._folder.iterdir()):
            raise StateError(f"{self._folder} is not empty", hint="name a folder that is not there yet")

    def restore(self) -> dict[str, Any]:
        """Write the files and compare."""
        seen = Multiset()
        for file in self._stored.files:
            place = self._folder / file.path
            if not place.resolve().is_relative_to(self._folder.resolve()):  # the manifest refused this before
                raise AccessDenied(f"{file.path!r} leads out of {self._folder}", hint="the set was tampered with")
            place.parent.mkdir(parents=True, exist_ok=True)
            content = b"".join(self._reader.blocks(file))
            place.write_bytes(content)
            seen.add(digest(file.path.encode() + b"\0" + content))
        if self._stored.streams["files"].fingerprint != seen.fingerprint:
            raise StateError("the restored definitions differ from the set", hint="workbench backup verify SET")
        return {"folder": str(self._folder), "replaced": None}
