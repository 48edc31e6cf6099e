"""A repository of sets: chunks by content, manifests by set, behind any file system a connection can name."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from data_workbench.artifacts.identity import Identity
from data_workbench.artifacts.opening import open_place
from data_workbench.artifacts.places import Place
from data_workbench.backup.locking import Lock, VersionRemoval, bucket_of, lock_of
from data_workbench.backup.manifest import Manifest, is_set_id, read_manifest
from data_workbench.connectors.files.failures import translated
from data_workbench.errors import StateError, Unsupported, UsageError, WorkbenchError
from data_workbench.events import emit

if TYPE_CHECKING:
    from data_workbench.artifacts.buckets import Retention
    from data_workbench.connectors.connections import Connections
    from data_workbench.settings import Settings

_ABOUT = "repository.json"
_CHUNK = re.compile(r"[0-9a-f]{64}")


class Vault:
    """A repository. Paths in it are made here only, from names that were checked.

    Args:
        lock: how what is written is locked; None: not at all.
    """

    def __init__(self, place: Place, lock: Lock | None = None) -> None:
        self.place, self.lock = place, lock
        self._identity = Identity(
            place,
            _ABOUT,
            what="repository of backups",
            word="repository",
            folder="sets",
            made_by="workbench backup create",
        )

    @property
    def address(self) -> str:
        """The repository's folder or URL, without secrets."""
        return self.place.root

    @property
    def id(self) -> str:
        """What tells this repository from others, made with the first set. Raises as `Identity.id` does."""
        return self._identity.id

    @property
    def exists(self) -> bool:
        """Whether a first set was begun."""
        return self.place.size(_ABOUT) is not None

    def prepare(self) -> None:
        """Make the repository unless it is there, and have its file locked as long as what is about to be written.

        Raises:
            UsageError, Unsupported: what is to be locked cannot be: nothing is written.
        """
        self.require_lockable()
        self._identity.prepare()
        if self.lock is not None:
            self._prolong(_ABOUT)

    def require_lockable(self) -> None:
        """Refuse a place where nothing can be locked, if it is to be; raises as `Lock.require`."""
        if self.lock is not None:
            self.lock.require(self.place)

    # ---------------------------------------------------------------------------------------------- sets

    def set_ids(self) -> list[str]:
        """Ids of all sets with a manifest or the beginning of one, oldest first."""
        return [name for name in self.place.folders("sets") if is_set_id(name)]

    def manifest(self, set_id: str) -> Manifest | None:
        """The manifest of a set; None if it was never finished.

        Raises:
            StateError: it is damaged or foreign.
        """
        content = self.place.read(_manifest_path(set_id))
        return None if content is None else read_manifest(content, set_id=set_id, repository=self.id)

    def manifests(self, *, broken: Callable[[str, WorkbenchError], None]) -> list[Manifest]:
        """All finished sets, oldest first; `broken` is told of those that cannot be read."""
        found = []
        for set_id in self.set_ids():
            try:
                one = self.manifest(set_id)
            except (StateError, Unsupported) as error:
                broken(set_id, error)
                continue
            if one is not None:
                found.append(one)
        return found

    def find(self, set_id: str | None) -> Manifest:
        """A set by its id, or the newest finished one of all stores; of some stores if there is no other.

        Raises:
            StateError: there is none, it was not finished, or it is damaged.
        """
        if set_id is not None:
            if not is_set_id(set_id):
                raise UsageError(f"{set_id!r} is no id of a set", hint="workbench backup list")
            found = self.manifest(set_id)
            if found is None:
                raise StateError(f"there is no finished set {set_id} in {self.address}", hint="workbench backup list")
            return found
        partial = None
        for one in reversed(self.set_ids()):
            found = self.manifest(one)
            if found is not None and found.purpose == "backup":
                return found
            if found is not None and found.purpose == "partial":
                partial = partial or found
        if partial is not None:
            return partial
        raise StateError(f"{self.address} holds no finished set", hint="workbench backup create")

    def begin(self, set_id: str, facts: bytes) -> None:
        """Note that a set is being made: what is killed on the way stays visible."""
        self._publish(f"sets/{_checked_set(set_id)}/begun.json", facts)

    def publish(self, manifest: Manifest) -> None:
        """Make a set count."""
        self.publish_locked(_manifest_path(manifest.set), manifest.to_bytes())

    def lock_of_set(self, set_id: str) -> Retention | None:
        """Until when a set's manifest is locked, as the store tells; None if it is not."""
        bucket = bucket_of(self.place)
        held = bucket.hold(_manifest_path(set_id)) if bucket is not None else None
        return held.retention if held is not None else None

    def keep_verification(self, set_id: str, report: Mapping[str, Any]) -> None:
        """Keep the latest verification beside the set, where it outlives a lost metastore."""
        self._publish(f"sets/{_checked_set(set_id)}/verification.json", json.dumps(report, default=str).encode())

    def verification(self, set_id: str) -> dict[str, Any] | None:
        """The latest verification of a set; None if there is none that can be read."""
        content = self.place.read(f"sets/{_checked_set(set_id)}/verification.json")
        try:
            found = json.loads(content or b"null")
        except ValueError:
            return None
        return found if isinstance(found, dict) else None

    def keep_certificate(self, set_id: str, certificate: bytes) -> None:
        """Keep the certificate of the latest drill; a check of hashes afterwards leaves it as it is."""
        self._publish(f"sets/{_checked_set(set_id)}/certificate.json", certificate)

    def certificate(self, set_id: str) -> bytes | None:
        """The certificate of the latest drill of a set, as it lies there; None if there is none."""
        return self.place.read(f"sets/{_checked_set(set_id)}/certificate.json")

    def remove_set(self, set_id: str) -> bool:
        """Remove a set's folder; its chunks go when no other set needs them (`remove_unneeded`). True: it is gone."""
        self.place.remove(f"sets/{_checked_set(set_id)}")
        return True

    # ---------------------------------------------------------------------------------------------- chunks

    def keep_chunk(self, chunk: str, stored: int) -> bool:
        """Whether a chunk lies there with the size it was written with; its lock is prolonged if there is one."""
        path = _chunk_path(chunk)
        if self.lock is None:
            return self.place.size(path) == stored
        return self._prolong(path) == stored

    def put_chunk(self, chunk: str, sealed: bytes) -> None:
        """Write a chunk, as a whole or not at all.

        Raises:
            ResourceExhausted, AccessDenied, StoreUnavailable: the repository takes no more.
        """
        self.publish_locked(_chunk_path(chunk), sealed)

    def publish_locked(self, path: str, content: bytes) -> None:
        """Write a file that is never written again, and lock it if there is a lock."""
        bucket = bucket_of(self.place)
        if self.lock is None or bucket is None:
            self._publish(path, content)
            return
        with translated(f"the backup repository's {self.place.address(path)}"):
            bucket.publish_locked(path, content, self.lock.retention())

    def discard(self, path: str) -> None:
        """Remove a file that another one has replaced, with all its versions where versions are kept."""
        self.place.remove_file(path)
        bucket = bucket_of(self.place)
        if self.lock is not None and bucket is not None:
            VersionRemoval(bucket).remove_file(path)

    def _prolong(self, path: str) -> int | None:
        """Lock a file as if it were written now; its size, or None if it is not there."""
        bucket = bucket_of(self.place)
        if self.lock is None or bucket is None:
            return self.place.size(path)
        held = bucket.hold(path)
        if held is None:
            return None
        bucket.prolong(path, self.lock.retention(), held=held)
        return held.size

    def _publish(self, path: str, content: bytes) -> None:
        with translated(f"the backup repository's {self.place.address(path)}"):
            self.place.publish(path, content)

    def chunk(self, chunk: str) -> bytes:
        """A chunk as it lies there.

        Raises:
            StateError: it is lost.
        """
        with translated(f"the backup repository's {self.chunk_address(chunk)}"):
            found = self.place.read(_chunk_path(chunk))
        if found is None:
            raise self._lost(chunk)
        return found

    def _lost(self, chunk: str) -> StateError:
        bucket = bucket_of(self.place)
        try:
            is_hidden = bucket is not None and any(one.versions for one in bucket.histories(_chunk_path(chunk)))
        except WorkbenchError:  # a store without versions, or keys that may not list them
            is_hidden = False
        if is_hidden:
            what = f"chunk {chunk[:16]}… was removed, and the bucket still has it as a version"
            return StateError(what, hint="bring back what is locked: workbench backup undelete")
        return StateError(f"chunk {chunk[:16]}… is lost", hint="take another set: workbench backup verify SET")

    def chunk_address(self, chunk: str) -> str:
        """Where a chunk lies, for messages and for other programs."""
        return self.place.address(_chunk_path(chunk))

    def remove_unneeded(self, needed: set[str]) -> tuple[int, int]:
        """Remove chunks no set needs; how many, and their bytes. Nobody may be making a set meanwhile."""
        count = size = 0
        for folder in self.place.folders("chunks"):
            for name, length in self.place.files(f"chunks/{folder}").items():
                if name.removesuffix(".age") not in needed:
                    self.place.remove_file(f"chunks/{folder}/{name}")
                    count, size = count + 1, size + length
                    emit("backup.removed", chunk=name)
        return count, size


def open_vault(where: str, connections: Connections, settings: Settings) -> Vault:
    """The repository at a connection's id, a URL or a folder; nothing is made yet.

    Raises:
        ConnectionUnknown, UsageError: it cannot be reached that way.
    """
    return Vault(open_place(where, connections, settings, what="repository"), lock_of(settings))


def _chunk_path(chunk: str) -> str:
    if not _CHUNK.fullmatch(chunk):
        raise StateError(f"{chunk[:80]!r} is no name of a chunk", hint="the manifest is damaged")
    return f"chunks/{chunk[:2]}/{chunk}.age"


def _manifest_path(set_id: str) -> str:
    return f"sets/{_checked_set(set_id)}/manifest.json"


def _checked_set(set_id: str) -> str:
    if not is_set_id(set_id):
        raise StateError(f"{set_id[:80]!r} is no id of a set", hint="workbench backup list")
    return set_id
