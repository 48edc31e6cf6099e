"""Making a set: open all stores, note where they stand behind one short fence, store them, publish the manifest."""

from __future__ import annotations

import json
import logging
import os
import secrets
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from data_workbench.backup.content import Writer, key_check
from data_workbench.backup.exports import Export
from data_workbench.backup.keys import Keyring
from data_workbench.backup.manifest import FORMAT, PRODUCT, ChunkFacts, Manifest, Purpose, RecoveryPoint, new_set_id
from data_workbench.backup.pace import Pace
from data_workbench.backup.vault import Vault
from data_workbench.errors import (
    ConnectionUnknown,
    ResourceExhausted,
    StateError,
    Unsupported,
    UsageError,
    WorkbenchError,
)
from data_workbench.events import emit
from data_workbench.metastore import Metastore, backups, fence, hold_alone, journal

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connections
    from data_workbench.settings import Settings

log = logging.getLogger(__name__)

AIRFLOW = "airflow_metadata"
"""Airflow's own database: taken in where a connection of that name is set, brought back only where it is named."""
STORES = ("odras_postgres", "odras_neo4j", "odras_qdrant")
"""Taken in where nothing else is said and a connection of that name is set; the metastore comes with them."""
LOCK = "backup"
LOCK_HINT = "wait for it to end: one backup, restore or thinning out at a time"


@dataclass(frozen=True)
class Creation:
    """What making a set needs."""

    vault: Vault
    keyring: Keyring
    connections: Connections
    settings: Settings
    metastore: Metastore
    anew: bool = False
    """Whether a repository may be begun where another one was seen before."""

    def create(self, *, stores: Sequence[str] = (), label: str = "") -> Manifest:
        """Make a set of these stores, or of those the settings name.

        Raises:
            StoreBusy: another process makes a backup.
            StoreUnavailable, AccessDenied: a store or the repository; earlier sets stay as they are.
        """
        with hold_alone(self.metastore, LOCK, hint=LOCK_HINT):
            return self.create_held(stores=stores, label=label)

    def create_held(self, *, stores: Sequence[str] = (), label: str = "", purpose: Purpose | None = None) -> Manifest:
        """`create` for a caller that holds the lock already."""
        exports, left_out = self._exports(stores)
        self._require_place()
        self._require_room()
        self.vault.prepare()
        now = datetime.now(UTC)
        set_id = new_set_id(now, secrets.token_hex(3))
        backups.begin(self.metastore, set_id, repository=self.vault.id, label=label)
        try:
            manifest = self._make(
                set_id, now, exports, left_out, (label, purpose or ("partial" if stores else "backup"))
            )
        except WorkbenchError as error:
            backups.finish(self.metastore, set_id, error=error.as_dict())
            raise
        except BaseException as error:
            told = {"kind": type(error).__name__, "message": "it was interrupted", "hint": None, "run_id": None}
            backups.finish(self.metastore, set_id, error=told)
            raise
        backups.finish(self.metastore, set_id, facts=summary(manifest))
        return manifest

    def _make(
        self, set_id: str, now: datetime, exports: list[Export], left_out: dict[str, str], about: tuple[str, Purpose]
    ) -> Manifest:
        self.vault.begin(set_id, json.dumps({"set": set_id, "begun": now.isoformat()}).encode())
        with ExitStack() as open_stores, self._writer() as writer:
            for export in exports:
                open_stores.enter_context(export)
            point = self._recovery_point(exports)
            stores = {}
            for export in exports:
                emit("backup.store", store=export.name)
                stores[export.name] = export.write(writer)
                export.close()
        manifest = Manifest(
            format=FORMAT,
            product=PRODUCT,
            set=set_id,
            repository=self.vault.id,
            created=now,
            finished=datetime.now(UTC),
            label=about[0],
            purpose=about[1],
            recipients=tuple(sorted(self.keyring.recipients)),
            key_check=key_check(self.keyring, set_id),
            software={name: version(name) for name in ("odras-data-workbench", "pyrage", "zstandard")},
            recovery_point=point,
            stores=stores,
            left_out=left_out,
            chunks={name: writer.written[name] for name in sorted(_needed(stores.values(), writer))},
            new_bytes=writer.new_bytes,
        )
        self.vault.publish(manifest)
        return manifest

    def _recovery_point(self, exports: list[Export]) -> RecoveryPoint:
        names = [export.name for export in exports]
        with (
            ThreadPoolExecutor(len(exports), thread_name_prefix="mark") as side_by_side,
            fence(self.metastore, wait_seconds=self.settings.fence_wait_seconds) as held,
        ):
            marks = dict(zip(names, side_by_side.map(lambda export: export.mark(), exports), strict=True))
            position, clock = journal.position(self.metastore)
            at = datetime.now(UTC)
        if not held.is_quiet:
            log.warning("pipelines were under way at the recovery point: %s", ", ".join(held.running))
        return RecoveryPoint(
            at=at,
            fence_ms=held.held_ms,
            quiet=held.is_quiet,
            running=held.running,
            marks=marks,
            journal=position,
            clock=clock,
        )

    def _exports(self, names: Sequence[str]) -> tuple[list[Export], dict[str, str]]:
        from data_workbench.backup.definitions import DefinitionExport

        wanted = [*names] or [one.strip() for one in self.settings.backup_stores.split(",") if one.strip()]
        found: list[Export] = []
        left_out: dict[str, str] = {}
        for name in dict.fromkeys(wanted or [*STORES, self.settings.metastore, AIRFLOW]):
            try:
                found.append(self._export(name))
            except ConnectionUnknown as error:
                if wanted:
                    raise
                left_out[name] = error.message
        if self.settings.point_in_time and not names:
            from data_workbench.backup.cluster import ClusterExport

            found.append(ClusterExport(self.connections.get(self.settings.point_in_time)))
        if not names or "definitions" in names:
            places = (self.settings.pipelines, self.settings.project, self.settings.home)
            found.append(DefinitionExport(*places, os.environ))
        if not found:
            raise UsageError("there is no store to back up", hint="name one: --store CONNECTION")
        return found, left_out

    def _export(self, name: str) -> Export:
        connection = self.connections.get(name)
        match connection.kind:
            case "postgres":
                from data_workbench.backup.postgres import PostgresExport

                return PostgresExport(connection)
            case "neo4j":
                from data_workbench.backup.graph import GraphExport

                return GraphExport(connection)
            case "qdrant":
                from data_workbench.backup.vectors import VectorExport

                return VectorExport(connection)
            case "workbench_files":
                from data_workbench.backup.objects import ObjectExport

                return ObjectExport(connection, self.settings)
            case "workbench_rdf":
                from data_workbench.backup.rdf import RdfExport

                return RdfExport(connection)
        raise Unsupported(
            f"connection {name!r} is of type {connection.kind!r}, which backups do not know",
            hint="postgres, neo4j, qdrant, workbench_files and workbench_rdf can be backed up",
        )

    def _writer(self) -> Writer:
        pace = Pace(self.settings.backup_rate)
        return Writer(self.vault, self.keyring, self._known(), pace)

    def _known(self) -> dict[str, ChunkFacts]:
        """Chunks of finished sets that the same identities open."""
        found: dict[str, ChunkFacts] = {}
        damaged: set[str] = set()
        ours = tuple(sorted(self.keyring.recipients))
        for manifest in self.vault.manifests(broken=_warn):
            if manifest.recipients == ours:
                found |= manifest.chunks
            damaged |= set((self.vault.verification(manifest.set) or {}).get("damaged") or ())
        return {name: facts for name, facts in found.items() if name not in damaged}

    def _require_place(self) -> None:
        """Refuse to begin a repository in the empty folder that a disk leaves which is not mounted."""
        before = None if self.anew or self.vault.exists else backups.state_of(self.metastore, self.vault.address)
        if before is not None and before.state.get("repository"):
            raise StateError(
                f"the repository in {self.vault.address} is not there any more: a disk that is not mounted?",
                hint="bring it back; to begin another there: workbench backup create --anew",
            )

    def _require_room(self) -> None:
        free = self.vault.place.free()
        if free is not None and free < self.settings.min_free_disk:
            raise ResourceExhausted(
                f"{self.vault.address} has {free / 1024**2:.0f} MB left, a backup begins with at least "
                f"{self.settings.min_free_disk / 1024**2:.0f}",
                hint="make room: workbench backup prune; or lower WORKBENCH_MIN_FREE_DISK",
            )


def _needed(stores: Any, writer: Writer) -> set[str]:
    """Chunks of the files that count; those of an attempt that was given up do not."""
    return {name for store in stores for file in store.files for name in file.chunks} & writer.written.keys()


def _warn(set_id: str, error: WorkbenchError) -> None:
    log.warning("set %s cannot be read: %s", set_id, error.message)


def summary(manifest: Manifest) -> dict[str, Any]:
    """A set in a few words, JSON-able: what `backup list` tells."""
    point = manifest.recovery_point
    return {
        "set": manifest.set,
        "created": manifest.created.isoformat(),
        "finished": manifest.finished.isoformat(),
        "recovery_point": point.at.isoformat(),
        "fence_ms": point.fence_ms,
        "quiet": point.quiet,
        "label": manifest.label,
        "purpose": manifest.purpose,
        "bytes": manifest.size,
        "stored": manifest.stored,
        "new_bytes": manifest.new_bytes,
        "stores": {
            name: {
                "kind": one.kind,
                "moved": one.moved,
                "streams": len(one.streams),
                "count": _count(one.kind, one.streams),
            }
            for name, one in manifest.stores.items()
        },
        "left_out": manifest.left_out,
    }


def _count(kind: str, streams: Any) -> int:
    """Rows, nodes, points or files, each once."""
    if kind == "neo4j":
        return int(streams["(nodes)"].count)
    return sum(one.count for name, one in streams.items() if not name.startswith("("))
