"""Files of a folder or a bucket into a set and out again, each as chunks by its content.

Names stand in a file of the set (`names.jsonl`), encrypted like all others: what may be a path here need not be one
elsewhere. Links are left out, and counted: what they lead to may lie outside.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any, Final

from data_workbench.backup.content import Reader, Writer
from data_workbench.backup.exports import ListedExport
from data_workbench.backup.fingerprints import Multiset, digest
from data_workbench.backup.manifest import Content, StoredFile, StoredStore
from data_workbench.connectors.files.client import Root
from data_workbench.connectors.files.failures import translated
from data_workbench.errors import StateError, StoreUnavailable, StreamUnknown, UsageError
from data_workbench.events import emit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from data_workbench.connectors.connections import Connection
    from data_workbench.settings import Settings

NAMES: Final = "names.jsonl"
STREAM: Final = "files"
_BLOCK: Final = 1024**2

Listed = tuple[dict[str, tuple[Any, ...]], dict[str, int]]
"""Files with what changes when they do, and how many of what is no file were left out."""


class ObjectExport(ListedExport[Listed]):
    """All files below a connection's root.

    Args:
        may_lack: whether a folder that is not there is one without files, as where it is about to be restored.
    """

    def __init__(self, connection: Connection, settings: Settings, *, may_lack: bool = False) -> None:
        super().__init__()
        self.name, self._may_lack = connection.id, may_lack
        self._root = Root(connection, settings)

    def open(self) -> None:
        # A prefix of a bucket is there once something is in it.
        if self._root.config.is_local and not self._may_lack and not self._root.is_folder("."):
            hint = "a disk that is not mounted, or the connection's address"
            raise StoreUnavailable(f"{self._root.config.url} is not there", hint=hint)

    def now(self) -> Listed:
        return listed(self._root)

    def write(self, writer: Writer) -> StoredStore:
        started = time.monotonic()
        if self.lies_within(writer.vault.address):
            raise UsageError(
                f"the repository {writer.vault.address} lies in {self.name!r}, which is to be backed up",
                hint="keep backups elsewhere: WORKBENCH_BACKUPS",
            )
        before, left_out = self.marked()
        seen, files, names = Multiset(), list[StoredFile](), list[bytes]()
        gone = 0
        for number, path in enumerate(sorted(before)):
            try:
                stored = writer.write(f"{number:09}", _blocks(self._root, path))
            except StreamUnknown:
                gone += 1
                continue
            files.append(stored)
            names.append(json.dumps({"file": stored.path, "path": path}).encode() + b"\n")
            seen.add(_digest(path, stored.sha256))
        return StoredStore(
            kind="workbench_files",
            connection=self.name,
            moved=self.now()[0] != before,
            seconds=round(time.monotonic() - started, 3),
            streams={STREAM: Content(count=seen.count, fingerprint=seen.fingerprint)},
            files=(writer.write(NAMES, names), *files),
            details={**left_out, "gone_meanwhile": gone},
        )

    def lies_within(self, address: str) -> bool:
        """Whether a place is below this root: with the repository in it every set would hold all before it."""
        own = str(self._root.full(".")) if self._root.config.is_local else self._root.config.url
        return f"{address.rstrip('/')}/".startswith(f"{own.rstrip('/')}/")


class ObjectRestore:
    """Files in place of those that lie there: what is the same stays, what is not in the set is removed."""

    def __init__(self, connection: Connection, stored: StoredStore, reader: Reader, settings: Settings) -> None:
        self._root, self._stored, self._reader = Root(connection, settings), stored, reader

    def check(self) -> None:
        """Ask whether it can be written to, and whether every name stays inside; nothing is touched.

        Raises:
            AccessDenied: a name leads out of the root.
        """
        self._root.check_writable()
        self._files = dict(self._named())
        for path in self._files:
            self._root.named(path)

    def restore(self) -> dict[str, Any]:
        """Write what differs, remove what is surplus, and compare all.

        Raises:
            StateError: what lies there now is not what was stored.
        """
        there, _ = listed(self._root)
        for path in sorted(there.keys() - self._files.keys()):
            with translated(path):
                self._root.remove_full(self._root.named(path))
        written = 0
        for path, file in self._files.items():
            if path not in there or _hash(self._root, path) != file.sha256:
                self._write(path, file)
                written += 1
        found = self.contents()
        if found != self._stored.streams:
            raise StateError(
                f"the restored files are not those of the set ({found[STREAM].count} of "
                f"{self._stored.streams[STREAM].count})",
                hint="does something write there? Take another set: workbench backup list",
            )
        return {"streams": len(found), "written": written, "replaced": None}

    def contents(self) -> Mapping[str, Content]:
        """What lies there now."""
        seen = Multiset()
        for path in listed(self._root)[0]:
            seen.add(_digest(path, _hash(self._root, path)))
        return {STREAM: Content(count=seen.count, fingerprint=seen.fingerprint)}

    def _named(self) -> Iterator[tuple[str, StoredFile]]:
        by_path = {one.path: one for one in self._stored.files}
        for line in self._reader.lines(by_path[NAMES]):
            named = json.loads(line)
            yield str(named["path"]), by_path[named["file"]]

    def _write(self, path: str, file: StoredFile) -> None:
        full = self._root.named(path)
        with translated(path):
            self._root.make_parents_full(full)
            handle: IO[bytes]
            with self._root.filesystem.open(full, "wb") as handle:
                for block in self._reader.blocks(file):
                    handle.write(block)
        emit("backup.restored", store=self._stored.connection, count=1)


def listed(root: Root) -> Listed:
    """Files below a root."""
    with translated(root.config.url):
        root.filesystem.invalidate_cache()
        found: dict[str, dict[str, Any]] = root.filesystem.find(root.full("."), detail=True)
    prefix = str(root.filesystem._strip_protocol(root.config.folder)).rstrip("/") + "/"
    files, left_out = {}, {"links_left_out": 0, "folders_left_out": 0}
    for name, facts in found.items():
        if facts.get("islink") or facts.get("type") == "link":
            left_out["links_left_out"] += 1
        elif name.endswith("/"):  # as consoles of object stores make them, to show a folder
            left_out["folders_left_out"] += 1
        elif facts.get("type") == "file" and name.startswith(prefix):
            changes = (facts.get("mtime"), facts.get("ETag"), str(facts.get("LastModified") or ""))
            files[name.removeprefix(prefix)] = (facts.get("size"), *changes)
    return files, left_out


def _blocks(root: Root, path: str) -> Iterator[bytes]:
    with translated(path), root.filesystem.open(root.named(path), "rb") as handle:
        while block := handle.read(_BLOCK):
            yield block


def _hash(root: Root, path: str) -> str:
    found = hashlib.sha256()
    for block in _blocks(root, path):
        found.update(block)
    return found.hexdigest()


def _digest(path: str, sha256: str) -> int:
    return digest(f"{path}\0{sha256}".encode("utf-8", "surrogateescape"))
