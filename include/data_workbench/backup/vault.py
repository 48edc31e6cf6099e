"""A repository of sets: chunks by content, manifests by set, behind any file system a connection can name."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from data_workbench.artifacts.identity import Identity
from data_workbench.artifacts.opening import open_place
from data_workbench.artifacts.places import Place
from data_workbench.backup.manifest import Manifest, is_set_id, read_manifest
from data_workbench.connectors.files.failures import translated
from data_workbench.errors import StateError, Unsupported, UsageError, WorkbenchError

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connections
    from data_workbench.settings import Settings

_ABOUT = "repository.json"
_CHUNK = re.compile(r"[0-9a-f]{64}")


class Vault:
    """A repository. Paths in it are made here only, from names that were checked."""

    def __init__(self, place: Place) -> None:
        self.place = place
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
        """Make the repository unless it is there."""
        self._identity.prepare()

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
        self._publish(_manifest_path(manifest.set), manifest.to_bytes())

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

    def remove_set(self, set_id: str) -> None:
        """Remove a set's folder; its chunks go when no other set needs them (`remove_unneeded`)."""
        self.place.remove(f"sets/{_checked_set(set_id)}")

    # ---------------------------------------------------------------------------------------------- chunks

    def has_chunk(self, chunk: str, stored: int) -> bool:
        """Whether a chunk lies there with the size it was written with."""
        return self.place.size(_chunk_path(chunk)) == stored

    def put_chunk(self, chunk: str, sealed: bytes) -> None:
        """Write a chunk, as a whole or not at all.

        Raises:
            ResourceExhausted, AccessDenied, StoreUnavailable: the repository takes no more.
        """
        self._publish(_chunk_path(chunk), sealed)

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
            raise StateError(f"chunk {chunk[:16]}… is lost", hint="take another set: workbench backup verify SET")
        return found

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
        return count, size


def open_vault(where: str, connections: Connections, settings: Settings) -> Vault:
    """The repository at a connection's id, a URL or a folder; nothing is made yet.

    Raises:
        ConnectionUnknown, UsageError: it cannot be reached that way.
    """
    return Vault(open_place(where, connections, settings, what="repository"))


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
