"""Making a set: open all stores, note where they stand behind one short fence, store them, publish the manifest."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from data_workbench.backup.choosing import Choice, Chooser
from data_workbench.backup.content import Writer, key_check
from data_workbench.backup.exports import Export
from data_workbench.backup.keys import Keyring
from data_workbench.backup.manifest import FORMAT, PRODUCT, ChunkFacts, Manifest, Purpose, RecoveryPoint, new_set_id
from data_workbench.backup.pace import Pace
from data_workbench.backup.vault import Vault
from data_workbench.errors import ResourceExhausted, StateError, WorkbenchError
from data_workbench.events import emit
from data_workbench.metastore import Metastore, backups, fence, hold_alone, journal

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connections
    from data_workbench.settings import Settings

log = logging.getLogger(__name__)

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
        self._require_place()
        manifests = self.vault.manifests(broken=_warn) if self.vault.exists else []
        is_replaced = purpose == "replaced"
        chooser = Chooser(self.connections, self.settings, self.vault.address, manifests, may_lack=is_replaced)
        chosen = chooser.choose(stores)
        self._require_room()
        self.vault.prepare()
        now = datetime.now(UTC)
        set_id = new_set_id(now, self.vault.set_ids())
        backups.begin(self.metastore, set_id, repository=self.vault.id, label=label)
        try:
            about: tuple[str, Purpose] = (label, purpose or ("partial" if stores else "backup"))
            writer = Writer(self.vault, self.keyring, self._known(manifests), Pace(self.settings.backup_rate))
            manifest = self._make(set_id, now, chosen, writer, about)
        except WorkbenchError as error:
            backups.finish(self.metastore, set_id, error=error.as_dict())
            raise
        except BaseException as error:
            told = {"kind": type(error).__name__, "message": "it was interrupted", "hint": None, "run_id": None}
            backups.finish(self.metastore, set_id, error=told)
            raise
        backups.finish(self.metastore, set_id, facts=summary(manifest))
        return manifest

    def _make(self, set_id: str, now: datetime, chosen: Choice, writer: Writer, about: tuple[str, Purpose]) -> Manifest:
        self.vault.begin(set_id, json.dumps({"set": set_id, "begun": now.isoformat()}).encode())
        with ExitStack() as open_stores, writer:
            exports = []
            for export in chosen.exports:
                open_stores.callback(export.close)
                if chosen.open(export):
                    exports.append(export)
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
            left_out=chosen.left_out,
            chunks={name: writer.written[name] for name in sorted(_needed(stores.values(), writer))},
            new_bytes=writer.new_bytes,
            locked_until=self.vault.lock.until(now) if self.vault.lock is not None else None,
        )
        self.vault.publish(manifest)
        emit("backup.published", set=set_id)
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

    def _known(self, manifests: Sequence[Manifest]) -> dict[str, ChunkFacts]:
        """Chunks of finished sets that the same identities open."""
        found: dict[str, ChunkFacts] = {}
        damaged: set[str] = set()
        ours = tuple(sorted(self.keyring.recipients))
        for manifest in manifests:
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
        "locked_until": manifest.locked_until.isoformat() if manifest.locked_until else None,
    }


def _count(kind: str, streams: Any) -> int:
    """Rows, nodes, points or files, each once."""
    if kind == "neo4j":
        return int(streams["(nodes)"].count)
    return sum(one.count for name, one in streams.items() if not name.startswith("("))
