"""Which stores a set takes in: those that are named, or those a connection is set for; and why others are left out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from data_workbench.backup.exports import Export
from data_workbench.backup.manifest import DEFINITIONS
from data_workbench.connectors.registry import CONNECTORS
from data_workbench.errors import ConnectionUnknown, Unsupported, UsageError, WorkbenchError

if TYPE_CHECKING:
    from data_workbench.backup.manifest import Manifest
    from data_workbench.connectors.connections import Connection, Connections
    from data_workbench.settings import Settings

AIRFLOW: Final = "airflow_metadata"
"""Airflow's own database: taken in where a connection of that name is set, brought back only where it is named."""
STORES: Final = ("odras_postgres", "odras_neo4j", "odras_qdrant")
"""Taken in where nothing else is said and a connection of that name is set; the metastore comes with them."""
_FOUND: Final = ("workbench_files", "workbench_rdf")
"""Kinds that are taken in wherever a connection is set: nobody else brings them back to the rows' moment."""
_DATABASES: Final = ("postgres", "neo4j", "qdrant")


@dataclass
class Choice:
    """Stores on their way into a set, and the reason for each that is not."""

    exports: list[Export] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    spare: set[str] = field(default_factory=set)
    """Nobody named these, and no set has them yet: one that does not answer is left out."""

    def open(self, export: Export) -> bool:
        """Open a store; whether it comes in.

        Raises:
            StoreUnavailable, AccessDenied and their like: one that has to.
        """
        try:
            export.open()
        except WorkbenchError as error:
            if export.name not in self.spare:
                raise
            self.left_out[export.name] = f"it does not answer, and no set has it yet: {error.message}"
            return False
        return True


@dataclass(frozen=True)
class Chooser:
    """Who chooses.

    Args:
        repository: where the set goes; what holds it cannot be in it.
        earlier: finished sets, oldest first. What is in the newest of all stores is never left out for being away.
        may_lack: whether a folder of files that is not there is one without files.
    """

    connections: Connections
    settings: Settings
    repository: str
    earlier: Sequence[Manifest] = ()
    may_lack: bool = False

    def choose(self, names: Sequence[str]) -> Choice:
        """These stores; without names those of the settings, or all there are.

        Raises:
            ConnectionUnknown, Unsupported: a store that was named is none.
            UsageError: there is nothing to take in.
        """
        chosen = Choice()
        wanted = [*names] or [one.strip() for one in self.settings.backup_stores.split(",") if one.strip()]
        for name in dict.fromkeys(one for one in wanted if one != DEFINITIONS):
            chosen.exports.append(self._export(self.connections.get(name)))
        if not wanted:
            self._usual(chosen)
            self._found(chosen)
        if self.settings.point_in_time and not names:
            chosen.exports.append(self._cluster(self.connections.get(self.settings.point_in_time)))
        if not names or DEFINITIONS in wanted:
            from data_workbench.backup.definitions import DefinitionExport

            places = (self.settings.pipelines, self.settings.project, self.settings.home)
            chosen.exports.append(DefinitionExport(*places, os.environ))
        if not chosen.exports:
            raise UsageError("there is no store to back up", hint="name one: --store CONNECTION")
        return chosen

    def _cluster(self, connection: Connection) -> Export:
        if self.settings.pgbackrest:
            from data_workbench.backup.pgbackrest_export import PgBackRestExport

            return PgBackRestExport(connection, self.settings)
        from data_workbench.backup.cluster import ClusterExport

        return ClusterExport(connection, self.settings.home, self.earlier)

    def _usual(self, chosen: Choice) -> None:
        for name in dict.fromkeys([*STORES, self.settings.metastore, AIRFLOW]):
            try:
                chosen.exports.append(self._export(self.connections.get(name)))
            except ConnectionUnknown as error:
                chosen.left_out[name] = error.message

    def _found(self, chosen: Choice) -> None:
        """Other connections that are set: files and graphs of triples come in, databases of others do not."""
        whole = [one for one in self.earlier if one.purpose == "backup"]
        had = set(whole[-1].stores) if whole else set()
        known = {one.name for one in chosen.exports} | chosen.left_out.keys()
        for name in self.connections.ids():
            if name in known:
                continue
            try:
                connection = self.connections.get(name)
                if connection.kind not in CONNECTORS:
                    continue  # of another program: mail, chat
                reason = self._reason(connection)
                if reason is None:
                    chosen.exports.append(self._export(connection))
                    chosen.spare |= {name} - had
            except WorkbenchError as error:
                reason = error.message
            if reason is not None:
                chosen.left_out[name] = reason

    def _reason(self, connection: Connection) -> str | None:
        """Why a connection that nobody named is not taken in."""
        if connection.kind in _DATABASES:
            return "it is none of the usual stores: WORKBENCH_BACKUP_STORES takes it in"
        if connection.kind not in _FOUND:
            return f"backups do not know its type {connection.kind!r}"
        if connection.id in (self.settings.backups, self.settings.archives):
            return "backups or archives are kept there"
        if connection.kind == "workbench_files":
            from data_workbench.backup.objects import ObjectExport

            if ObjectExport(connection, self.settings).lies_within(self.repository):
                return "the repository lies in it"
        return None

    def _export(self, connection: Connection) -> Export:
        match connection.kind:
            case "postgres":
                from data_workbench.backup.postgres import PostgresExport

                return PostgresExport(connection)
            # What a restore is about to replace is kept without stopping a server for it.
            case "neo4j" if connection.id == self.settings.backup_dump and not self.may_lack:
                from data_workbench.backup.graph_dump import DumpExport

                return DumpExport(connection, self.settings)
            case "neo4j":
                from data_workbench.backup.graph import GraphExport

                return GraphExport(connection)
            case "qdrant":
                from data_workbench.backup.vectors import VectorExport

                return VectorExport(connection)
            case "workbench_files":
                from data_workbench.backup.objects import ObjectExport

                return ObjectExport(connection, self.settings, may_lack=self.may_lack)
            case "workbench_rdf":
                from data_workbench.backup.rdf import RdfExport

                return RdfExport(connection)
        raise Unsupported(
            f"connection {connection.id!r} is of type {connection.kind!r}, which backups do not know",
            hint="postgres, neo4j, qdrant, workbench_files and workbench_rdf can be backed up",
        )
