"""A shelf of archives behind any file system a connection can name. Paths are made here only, from checked names."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from data_workbench.archive.manifest import Manifest, digest_of, is_archive_id, is_policy_name, read_manifest
from data_workbench.artifacts.identity import Identity
from data_workbench.artifacts.opening import open_place
from data_workbench.artifacts.places import Place
from data_workbench.audit import Keys
from data_workbench.connectors.files.failures import translated
from data_workbench.errors import ResourceExhausted, StateError

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connections
    from data_workbench.settings import Settings

_ABOUT = "shelf.json"
_PART = re.compile(r"[0-9a-f]{64}")
MANIFEST = "manifest.json"
HOLD = "hold.json"
_HINT = "workbench archive verify names every archive that is not as it was written"


class NamedPart(Protocol):
    """A part as a manifest or the metastore tells of it."""

    @property
    def sha256(self) -> str:
        """Its hash, and name."""

    @property
    def bytes(self) -> int:
        """Its size."""


class Shelf:
    """Archives by policy."""

    def __init__(self, place: Place, keys: Keys) -> None:
        self.place = place
        self.keys = keys
        self._identity = Identity(
            place, _ABOUT, what="shelf of archives", word="shelf", folder="archives", made_by="workbench archive run"
        )

    @property
    def address(self) -> str:
        """Its folder or URL, without secrets."""
        return self.place.root

    @property
    def id(self) -> str:
        """What tells this shelf from others. Raises as `Identity.id` does."""
        return self._identity.id

    @property
    def exists(self) -> bool:
        """Whether anything was ever archived here. Raises as the place does where it cannot be reached."""
        return self._read(_ABOUT) is not None

    def prepare(self) -> None:
        """Make the shelf unless it is there."""
        self._identity.prepare()

    def require_room(self, least: int) -> None:
        """Raise ResourceExhausted where the disk has less room than this."""
        free = self.place.free()
        if free is not None and free < least:
            raise ResourceExhausted(
                f"{self.address} has {free / 1024**2:.0f} MB left, archiving begins with {least / 1024**2:.0f}",
                hint="make room: workbench archive expire; or lower WORKBENCH_MIN_FREE_DISK",
            )

    def policies(self) -> list[str]:
        """Names of policies with a folder."""
        return [name for name in self.place.folders("archives") if is_policy_name(name)]

    def archives(self, policy: str) -> list[str]:
        """Ids of a policy's archives, finished or not, oldest first."""
        return [name for name in self.place.folders(_policy(policy)) if is_archive_id(name)]

    def files(self, policy: str, archive: str) -> dict[str, int]:
        """Everything in an archive's folder, with its bytes."""
        return self.place.files(_folder(policy, archive))

    def strangers(self) -> list[str]:
        """What lies on the shelf and belongs to no archive: files beside, folders with other names."""
        found = [name for name in self.place.files("") if name != _ABOUT]
        found += [f"{name}/" for name in self.place.folders("") if name not in ("archives", "iceberg")]
        found += [f"archives/{name}" for name in self.place.files("archives")]
        for policy in self.place.folders("archives"):
            if not is_policy_name(policy):
                found.append(f"archives/{policy}/")
                continue
            found += [f"{_policy(policy)}/{name}" for name in self.place.files(_policy(policy))]
            folders = self.place.folders(_policy(policy))
            found += [f"{_policy(policy)}/{name}/" for name in folders if not is_archive_id(name)]
            known = [name for name in folders if is_archive_id(name)]
            found += [
                f"{_folder(policy, one)}/{name}/" for one in known for name in self.place.folders(_folder(policy, one))
            ]
        return sorted(found)

    # ---------------------------------------------------------------------------------------------- manifests

    def manifest(self, policy: str, archive: str) -> Manifest | None:
        """A finished archive; None if it was never finished.

        Raises:
            StateError, AccessDenied, Unsupported: it is damaged or foreign.
        """
        content = self._read(f"{_folder(policy, archive)}/{MANIFEST}")
        if content is None:
            return None
        return read_manifest(content, self.keys, policy=policy, archive=archive, shelf=self.id)

    def manifest_digest(self, policy: str, archive: str) -> str | None:
        """SHA-256 of the manifest's file."""
        content = self._read(f"{_folder(policy, archive)}/{MANIFEST}")
        return None if content is None else digest_of(content)

    def publish(self, manifest: Manifest) -> str:
        """Make an archive be there; the digest of its manifest."""
        sealed = manifest.sealed(self.keys)
        self._publish(f"{_folder(manifest.policy, manifest.archive)}/{MANIFEST}", sealed)
        return digest_of(sealed)

    def remove(self, policy: str, archive: str) -> None:
        """Remove an archive with all in its folder: the manifest first, so that no half of it passes for a whole."""
        folder = _folder(policy, archive)
        with translated(f"the archive {self.place.address(folder)}"):
            self.place.remove_file(f"{folder}/{MANIFEST}")
            self.place.remove(folder)

    # ---------------------------------------------------------------------------------------------- parts

    def put_part(self, policy: str, archive: str, content: bytes) -> str:
        """Write a part, as a whole or not at all; its hash, which is its name."""
        name = hashlib.sha256(content).hexdigest()
        self._publish(f"{_folder(policy, archive)}/{name}.parquet", content)
        return name

    def part(self, policy: str, archive: str, facts: NamedPart) -> bytes:
        """A part, its size and hash checked.

        Raises:
            StateError: it is lost or damaged.
        """
        content = self._read(part_path(policy, archive, facts.sha256))
        if content is None:
            raise StateError(f"part {facts.sha256[:16]}… of archive {archive} is lost", hint=_HINT)
        if len(content) != facts.bytes or hashlib.sha256(content).hexdigest() != facts.sha256:
            raise StateError(f"part {facts.sha256[:16]}… of archive {archive} is damaged", hint=_HINT)
        return content

    def part_file(self, policy: str, archive: str, facts: NamedPart) -> Path | None:
        """A part's path on this machine; None where it has none."""
        return self.place.local(part_path(policy, archive, facts.sha256))

    def put_extra(self, policy: str, archive: str, content: bytes) -> str:
        """Write a file of lines; its hash, which is its name."""
        name = hashlib.sha256(content).hexdigest()
        self._publish(f"{_folder(policy, archive)}/{extra_name(name)}", content)
        return name

    def lines(self, policy: str, archive: str, facts: NamedPart) -> bytes:
        """A file of lines, its size and hash checked. Raises StateError if it is lost or damaged."""
        content = self._read(f"{_folder(policy, archive)}/{extra_name(facts.sha256)}")
        if content is None:
            raise StateError(f"file {facts.sha256[:16]}… of archive {archive} is lost", hint=_HINT)
        if len(content) != facts.bytes or hashlib.sha256(content).hexdigest() != facts.sha256:
            raise StateError(f"file {facts.sha256[:16]}… of archive {archive} is damaged", hint=_HINT)
        return content

    # ---------------------------------------------------------------------------------------------- holds

    def hold(self, policy: str, archive: str) -> bytes | None:
        """The note of a legal hold that was set or released after the archive was made."""
        return self._read(f"{_folder(policy, archive)}/{HOLD}")

    def keep_hold(self, policy: str, archive: str, note: bytes) -> None:
        """Set or release a legal hold."""
        self._publish(f"{_folder(policy, archive)}/{HOLD}", note)

    def _read(self, path: str) -> bytes | None:
        with translated(f"the archive {self.place.address(path)}"):
            return self.place.read(path)

    def _publish(self, path: str, content: bytes) -> None:
        with translated(f"the archive {self.place.address(path)}"):
            self.place.publish(path, content)


def open_shelf(where: str, connections: Connections, settings: Settings, keys: Keys) -> Shelf:
    """The shelf at a connection's id, a URL or a folder; nothing is made yet. Raises as `open_place` does."""
    return Shelf(open_place(where, connections, settings, what="shelf of archives"), keys)


def part_path(policy: str, archive: str, part: str) -> str:
    """Where a part lies on its shelf."""
    if not _PART.fullmatch(part):
        raise StateError(f"{part[:80]!r} is no name of a part", hint=_HINT)
    return f"{_folder(policy, archive)}/{part}.parquet"


def extra_name(name: str) -> str:
    """The file of lines with this hash."""
    if not _PART.fullmatch(name):
        raise StateError(f"{name[:80]!r} is no name of a file", hint=_HINT)
    return f"{name}.jsonl.zst"


def _policy(policy: str) -> str:
    if not is_policy_name(policy):
        raise StateError(f"{policy[:80]!r} is no name of a policy", hint="workbench archive list")
    return f"archives/{policy}"


def _folder(policy: str, archive: str) -> str:
    if not is_archive_id(archive):
        raise StateError(f"{archive[:80]!r} is no id of an archive", hint="workbench archive list")
    return f"{_policy(policy)}/{archive}"
