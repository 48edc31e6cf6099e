"""Pipeline definitions, the project file and the configuration into a set and out again: what an empty machine lacks.

The configuration is the environment as the workbench and Airflow read it, passwords of connections and Airflow's keys
among it: without those its metadata cannot be read. A set is encrypted; the identity that opens it is never in it.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from data_workbench.backup.content import Reader, Writer
from data_workbench.backup.exports import Export
from data_workbench.backup.fingerprints import Multiset, digest
from data_workbench.backup.manifest import DEFINITIONS, Content, StoredFile, StoredStore
from data_workbench.connectors.files.failures import translated
from data_workbench.errors import AccessDenied, StateError

CONFIGURATION = "configuration"
_SUFFIXES = frozenset({".yaml", ".yml", ".sql"})
_ENVIRONMENT = f"{CONFIGURATION}/environment.sh"
_TAKEN = ("WORKBENCH_", "AIRFLOW_CONN_", "AIRFLOW_VAR_", "AIRFLOW__")
_NEVER = frozenset({"WORKBENCH_BACKUP_IDENTITY_KEY"})
_AIRFLOW_FILES = ("secrets.json", "passwords.json")
"""Of the local Airflow, in its folder of the home."""
_DRAFT = ".unfinished"
"""In the folder that definitions come back into, until all of them are where they belong."""


class DefinitionExport(Export):
    """The folder of pipelines, the project file beside it, and the configuration.

    Args:
        home: what a local installation keeps, backups and their identity among it; never a definition.
        environment: variables, of which those that configure us and Airflow are taken.
    """

    name = DEFINITIONS

    def __init__(self, pipelines: Path, project: Path, home: Path, environment: Mapping[str, str]) -> None:
        self._pipelines, self._project, self._home = pipelines.absolute(), project, home.absolute()
        self._environment = environment

    def open(self) -> None:
        """Nothing stands between us and a file."""

    def mark(self) -> dict[str, Any]:
        return {"files": len(self._found())}

    def write(self, writer: Writer) -> StoredStore:
        seen = Multiset()
        files = []
        contents = {path: place.read_bytes() for path, place in self._found().items()}
        contents[_ENVIRONMENT] = _script(self._environment).encode()
        for path, content in contents.items():
            seen.add(digest(path.encode() + b"\0" + content))
            files.append(writer.write(path, [content]))
        stream = Content(count=seen.count, fingerprint=seen.fingerprint)
        return StoredStore(kind="definitions", connection=DEFINITIONS, streams={"files": stream}, files=tuple(files))

    def _found(self) -> dict[str, Path]:
        found = {}
        if self._project.is_file():
            found[f"project/{self._project.name}"] = self._project
        for name in _AIRFLOW_FILES:
            if (self._home / "airflow" / name).is_file():
                found[f"{CONFIGURATION}/airflow/{name}"] = self._home / "airflow" / name
        for place in sorted(self._pipelines.rglob("*")) if self._pipelines.is_dir() else ():
            path = place.relative_to(self._pipelines)
            if place.suffix not in _SUFFIXES or any(part.startswith(".") for part in path.parts):
                continue
            if place.is_file() and not place.is_symlink() and not place.is_relative_to(self._home):
                found[f"pipelines/{path.as_posix()}"] = place
        return found


def _script(environment: Mapping[str, str]) -> str:
    """Variables for a shell to read."""
    kept = {name: value for name, value in sorted(environment.items()) if name.startswith(_TAKEN)}
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in kept.items() if name not in _NEVER)


class DefinitionRestore:
    """Files into a folder of their own; what lies in use is never overwritten."""

    def __init__(self, folder: Path, stored: StoredStore, reader: Reader) -> None:
        self._folder, self._stored, self._reader = folder.absolute(), stored, reader
        # Within the folder: what is beside it may be another file system, or not ours to write.
        self._draft = self._folder / _DRAFT

    def check(self) -> None:
        """Refuse a folder with something else in it, before anything of it is read."""
        with self._answering():
            if not self._folder.exists():
                return
            if not self._folder.is_dir():
                raise StateError(f"{self._folder} is a file, no folder", hint="name a folder that is not there yet")
            if any(self._folder.iterdir()) and not self._is_unfinished() and not self.is_there():
                raise StateError(f"{self._folder} is not empty", hint="name a folder that is not there yet")

    def is_there(self) -> bool:
        """Whether the folder holds just what the set does, as after a restore that was killed later."""
        wanted, found = {file.path for file in self._stored.files}, set()
        for path in self._paths():
            if path not in wanted:  # whatever it is, it may be large, many or not ours to read
                return False
            found.add(path)
        if found != wanted:
            return False
        seen = Multiset()
        for path in found:
            seen.add(digest(path.encode() + b"\0" + (self._folder / path).read_bytes()))
        return seen.fingerprint == self._stored.streams["files"].fingerprint

    def restore(self) -> dict[str, Any]:
        """Write the files into a draft within the folder and compare, then put them where they belong."""
        with self._answering():
            if not self.is_there():
                self._clear()
                self._fill()
            if self._draft.exists():
                shutil.rmtree(self._draft)  # last: while it is there the restore is known as unfinished
        return {"folder": str(self._folder), "replaced": None}

    def _fill(self) -> None:
        self._draft.mkdir(parents=True)
        seen = Multiset()
        for file in self._stored.files:
            seen.add(digest(file.path.encode() + b"\0" + self._write(self._draft, file)))
        if self._stored.streams["files"].fingerprint != seen.fingerprint:
            raise StateError("the restored definitions differ from the set", hint="workbench backup verify SET")
        for place in self._draft.iterdir():
            place.rename(self._folder / place.name)

    def _clear(self) -> None:
        """Remove what a restore that was killed had put there, its draft last."""
        if not self._draft.exists():
            return
        for name in {file.path.partition("/")[0] for file in self._stored.files}:
            if (self._folder / name).exists():
                shutil.rmtree(self._folder / name)
        shutil.rmtree(self._draft)

    def _is_unfinished(self) -> bool:
        """Whether a restore of this set was killed here: its draft is there, and no file that the set has not."""
        wanted = {file.path for file in self._stored.files}
        return self._draft.is_dir() and all(path.removeprefix(f"{_DRAFT}/") in wanted for path in self._paths())

    def _paths(self) -> Iterator[str]:
        """Of everything in the folder that is no folder."""
        for place, _, names in os.walk(self._folder):
            for name in names:
                yield (Path(place) / name).relative_to(self._folder).as_posix()

    def _answering(self) -> AbstractContextManager[None]:
        """What the file system refuses is no defect of ours."""
        return translated(f"definitions in {self._folder}")

    def _write(self, folder: Path, file: StoredFile) -> bytes:
        place = folder / file.path
        if not place.resolve().is_relative_to(folder.resolve()):  # the manifest refused this before
            raise AccessDenied(f"{file.path!r} leads out of {self._folder}", hint="the set was tampered with")
        place.parent.mkdir(parents=True, exist_ok=True)
        content = b"".join(self._reader.blocks(file))
        place.touch(mode=0o600 if file.path.startswith(f"{CONFIGURATION}/") else 0o666)
        place.write_bytes(content)
        return content
