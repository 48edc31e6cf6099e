"""Bringing stores back from a set: everything is asked first, then replaced store by store, each compared.

In place, what is replaced is kept: PostgreSQL's database under another name, graph and vectors in a set made before.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from data_workbench.backup.choosing import AIRFLOW
from data_workbench.backup.content import Reader
from data_workbench.backup.definitions import DefinitionRestore
from data_workbench.backup.manifest import Manifest, StoredStore
from data_workbench.errors import StateError, Unsupported, UsageError
from data_workbench.events import emit
from data_workbench.settings import Settings

if TYPE_CHECKING:
    from data_workbench.backup.postgres import LiveDatabase
    from data_workbench.connectors.connections import Connections


ONE_PLACE = ("neo4j", "workbench_files", "workbench_rdf")
"""Kinds of which nothing can be made beside in the same place: another connection has to be named."""


class StoreRestore(Protocol):
    """One store on its way back."""

    def check(self) -> None:
        """Ask everything that can be asked before anything is touched."""

    def restore(self) -> dict[str, Any]:
        """Do it, and compare; raises StateError where what stands there is not what was stored."""


@dataclass(frozen=True)
class Target:
    """Where stores go.

    Args:
        beside: prefix of databases and collections that are made beside those in use; None restores in place.
        into: connections to restore into, by store; a store that is named here is not restored where it was.
        folder: where definitions are put.
        last: the store that the others are restored before, since we use it meanwhile: the metastore.
        whole: Airflow's own database, too, though nobody names it.
        exactly: refuse servers with other versions of what the set needs, as a drill does.
    """

    beside: str | None = None
    into: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None
    last: str | None = None
    whole: bool = False
    exactly: bool = False


@dataclass(frozen=True)
class Restoring:
    """One restore of a set."""

    reader: Reader
    connections: Connections
    target: Target
    live: Mapping[str, LiveDatabase] = field(default_factory=dict)
    """Databases that are taken from a running server instead of the set."""
    later: Mapping[str, Reader] = field(default_factory=dict)
    """Stores that are taken from other sets."""
    settings: Settings = field(default_factory=Settings)
    """Which folders of this machine may be reached."""

    def stored(self, name: str) -> StoredStore:
        """A store as the set it is taken from has it."""
        return self._reader(name).manifest.stores[name]

    def manifest(self, name: str) -> Manifest:
        """The set a store is taken from."""
        return self._reader(name).manifest

    def _reader(self, name: str) -> Reader:
        return self.later.get(name, self.reader)

    def chosen(self, names: Sequence[str]) -> list[str]:
        """The stores to bring back: those named, or all that have a place to go to; the metastore comes last.

        Raises:
            UsageError: the set has no such store.
        """
        stores = self.reader.manifest.stores
        unknown = next((name for name in [*names, *self.target.into] if name not in stores), None)
        if unknown is not None:
            raise UsageError(f"the set has no store {unknown!r}", hint=f"it has {', '.join(stores)}")
        chosen = [name for name in stores if (name in names if names else self._has_place(name))]
        return sorted(chosen, key=lambda name: name == self.target.last)

    def left_behind(self, names: Sequence[str]) -> list[str]:
        """Stores of the set that a restore without names has no place for."""
        stores = self.reader.manifest.stores
        kept = [name for name, one in stores.items() if one.kind != "cluster"]
        return [] if names else [name for name in kept if not self._has_place(name)]

    def _has_place(self, name: str) -> bool:
        kind = self.reader.manifest.stores[name].kind
        if kind == "cluster":
            return False  # where a restore to a moment begins (recovery.point_in_time)
        if kind == "definitions":
            return self.target.folder is not None
        if name == AIRFLOW and not self.target.whole:
            return False  # whoever wants rows back seldom wants yesterday's DAG runs
        return kind not in ONE_PLACE or self.target.beside is None or name in self.target.into

    def restore(self, names: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Bring stores back; what happened to each.

        Raises:
            AccessDenied: the identity does not open the set; nothing was touched.
            StateError: the set is damaged (nothing was touched), or a store differs after it.
        """
        for reader in (self.reader, *self.later.values()):
            reader.require_key()
        works = {name: self._work(name) for name in names}
        for work in works.values():
            work.check()
        self._require_whole(names)
        done = {}
        for name, work in works.items():
            emit("backup.store", store=name)
            stored, started = self.stored(name), time.monotonic()
            told = {"kind": stored.kind, "moved": stored.moved, "streams": len(stored.streams), **work.restore()}
            done[name] = {**told, "seconds": round(time.monotonic() - started, 3)}
        return done

    def _require_whole(self, names: Sequence[str]) -> None:
        """Read every chunk that is needed before the first store is touched."""
        for name in names:
            if name in self.live:
                continue
            reader = self._reader(name)
            for chunk in sorted({chunk for file in self.stored(name).files for chunk in file.chunks}):
                reader.chunk(chunk)
                emit("backup.checked", bytes=reader.manifest.chunks[chunk].stored)

    def _work(self, name: str) -> StoreRestore:
        stored, reader = self.stored(name), self._reader(name)
        if stored.kind == "definitions":
            if self.target.folder is None:
                raise UsageError("definitions are restored into a folder", hint="name it: --definitions FOLDER")
            return DefinitionRestore(self.target.folder, stored, reader)
        connection = self.connections.get(self.target.into.get(name, name))
        if connection.kind != stored.kind:
            raise UsageError(
                f"{name!r} is {stored.kind}, connection {connection.id!r} is of type {connection.kind!r}",
                hint="name a connection of the same kind: --into STORE=CONNECTION",
            )
        return self._store(name, stored, connection)

    def _store(self, name: str, stored: StoredStore, connection: Any) -> StoreRestore:
        elsewhere = name in self.target.into
        prefix = "" if elsewhere or self.target.beside is None else f"{self.target.beside}_"
        match stored.kind:
            case "postgres":
                from data_workbench.backup.postgres_restore import PostgresRestore

                stamp = f"{datetime.now(UTC):%Y%m%d%H%M%S}"
                source = self.live.get(name, self._reader(name))
                exactly = self.target.exactly
                return PostgresRestore(connection, stored, source, stamp=stamp, prefix=prefix, exactly=exactly)
            case "neo4j":
                from data_workbench.backup.graph_dump import DumpRestore, has_dump
                from data_workbench.backup.graph_restore import GraphRestore

                if prefix:
                    raise Unsupported(
                        "a graph cannot be restored beside in the same database: Community has one",
                        hint=f"name another server: --into {name}=CONNECTION",
                    )
                if connection.id == self.settings.backup_dump and has_dump(stored):
                    return DumpRestore(connection, stored, self._reader(name), self.settings)
                return GraphRestore(connection, stored, self._reader(name))
            case "qdrant":
                from data_workbench.backup.vectors import VectorRestore

                return VectorRestore(connection, stored, self._reader(name), prefix=prefix)
            case "workbench_files" | "workbench_rdf" if prefix:
                raise Unsupported(
                    f"{name!r} cannot be restored beside in the same place",
                    hint=f"name another: --into {name}=CONNECTION",
                )
            case "workbench_files":
                from data_workbench.backup.objects import ObjectRestore

                return ObjectRestore(connection, stored, self._reader(name), self.settings)
            case "workbench_rdf":
                from data_workbench.backup.rdf import RdfRestore

                return RdfRestore(connection, stored, self._reader(name))
        raise StateError(f"a store of kind {stored.kind!r} cannot be restored", hint="take another set")
