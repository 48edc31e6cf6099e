"""A graph as `neo4j-admin database dump` writes it, beside its rows, where an outage is allowed.

The rows stay in the set: they tell what is in it, single labels are taken from them, and any server takes them. The
dump brings the same graph back in the time that copying its files takes, with the store's own ids.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from data_workbench.backup.content import Reader, Writer
from data_workbench.backup.graph import GraphExport
from data_workbench.backup.graph_restore import GraphRestore
from data_workbench.backup.manifest import StoredStore
from data_workbench.connectors.neo4j.config import Neo4jConfig
from data_workbench.servers.neo4j import Neo4jService
from data_workbench.servers.outage import Outage

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connection
    from data_workbench.settings import Settings

log = logging.getLogger(__name__)

DUMP: Final = "neo4j.dump"
_BLOCK: Final = 1024**2


def has_dump(stored: StoredStore) -> bool:
    """Whether a graph of a set has been dumped, too."""
    return any(file.path == DUMP for file in stored.files)


class DumpExport(GraphExport):
    """One graph of the local stack: read, then stopped, dumped and started again."""

    def __init__(self, connection: Connection, settings: Settings) -> None:
        super().__init__(connection)
        self._connection, self._outage = connection, Outage(settings, "neo4j")

    def open(self) -> None:
        config = Neo4jConfig.of(self._connection)
        self._outage.require(config.host, config.port)
        super().open()

    def write(self, writer: Writer) -> StoredStore:
        stored = super().write(writer)
        try:
            seconds = self._dump()
            if self._now() != self.read_at:
                log.warning("%s was written to before it stopped: the set is without its dump", self.name)
                told = {"dump": "left out: the graph was written to before it stopped", "outage_seconds": seconds}
                return stored.model_copy(update={"details": {**stored.details, **told}})
            file = writer.write(DUMP, _blocks(self._outage.folder / f"{self._client.config.database}.dump"))
        finally:
            shutil.rmtree(self._outage.folder, ignore_errors=True)
        details = {**stored.details, "dump": "taken", "outage_seconds": seconds}
        return stored.model_copy(update={"files": (*stored.files, file), "details": details})

    def _dump(self) -> float:
        """Dump the stopped database; how long it was away."""
        folder, database = _emptied(self._outage.folder), self._client.config.database
        self._client.close()
        began = time.monotonic()
        with self._outage.stopped():
            _administered(self._outage, "dump", database, f"--to-path={folder}")
        return round(time.monotonic() - began, 3)


class DumpRestore(GraphRestore):
    """Replaces the files of the local stack's database by those of a dump."""

    def __init__(self, connection: Connection, stored: StoredStore, reader: Reader, settings: Settings) -> None:
        super().__init__(connection, stored, reader)
        self._connection, self._outage = connection, Outage(settings, "neo4j")

    def check(self) -> None:
        """Also that the server is one that can be stopped.

        Raises:
            Unsupported: it is not.
        """
        config = Neo4jConfig.of(self._connection)
        self._outage.require(config.host, config.port)
        super().check()

    def restore(self) -> dict[str, Any]:
        """Stop the server, load the dump, start it, and compare.

        Raises:
            FatalError: the dump cannot be loaded; the database is empty or as it was.
            StateError: what stands there is not what was stored.
        """
        folder, database = _emptied(self._outage.folder), self._client.config.database
        try:
            with (folder / f"{database}.dump").open("wb") as out:
                for block in self._reader.blocks(self._stored.file(DUMP)):
                    out.write(block)
            self._client.close()
            with self._outage.stopped():
                _administered(self._outage, "load", database, f"--from-path={folder}", "--overwrite-destination=true")
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        with self._client:
            self.require_same()
        return {"database": database, "replaced": None, "by": "dump"}


def _administered(outage: Outage, *arguments: str) -> None:
    assert isinstance(outage.service, Neo4jService)
    outage.service.admin("database", *arguments)


def _emptied(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    return folder


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            yield block
