"""PostgreSQL's log in a repository: every finished segment once, the one being written as far as it is.

wal/<system identifier>/<segment>.<hash>.age            zstd, then age; the hash is of the file itself
wal/<system identifier>/<segment>.partial.<hash>.age    replaced until the segment is finished
wal/<system identifier>/position.json                   up to when a restore can go
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import zstandard

from data_workbench.backup.keys import Keyring
from data_workbench.backup.locking import VersionRemoval
from data_workbench.backup.vault import Vault
from data_workbench.errors import StateError

_NAME = re.compile(r"([0-9A-F]{24})(\.partial)?\.([0-9a-f]{32})\.age|([0-9A-F]{8}\.history)\.([0-9a-f]{32})\.age")
_SEGMENT = re.compile(r"[0-9A-F]{24}(\.partial)?|[0-9A-F]{8}\.history")
_LARGEST = 1024**3
"""The largest segment PostgreSQL can be made with."""


@dataclass(frozen=True)
class Position:
    """Up to where the archive goes, by the server's clock."""

    time: datetime
    lsn: str
    timeline: int


@dataclass(frozen=True)
class WalArchive:
    """The log of one server, in a repository."""

    vault: Vault
    keyring: Keyring
    system: str
    noted: str = "position.json"
    """The file that tells up to when a restore can go."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\d{1,20}", self.system):
            raise StateError(f"{self.system[:40]!r} is no system identifier", hint="the manifest is damaged")

    @property
    def _folder(self) -> str:
        return f"wal/{self.system}"

    def names(self) -> dict[str, str]:
        """Files by segment, `….partial` and `….history` among them."""
        found = {}
        for file in self.vault.place.files(self._folder):
            matched = _NAME.fullmatch(file)
            if matched:
                found[matched[4] or matched[1] + (matched[2] or "")] = file
        return found

    def ship(self, spool: Path) -> int:
        """Take over what a receiver wrote; finished segments leave the spool. How many were taken."""
        there, taken = self.names(), 0
        for place in sorted(spool.iterdir()):
            name = place.name
            if not _SEGMENT.fullmatch(name):
                continue
            if name not in there or name.endswith(".partial"):
                self._put(name, place.read_bytes(), there)
                taken += 1
            if not name.endswith(".partial"):
                self._forget(f"{name}.partial", there)
                place.unlink()
        return taken

    def _put(self, name: str, content: bytes, there: dict[str, str]) -> None:
        sealed = self.keyring.seal(zstandard.ZstdCompressor(level=3).compress(content))
        file = f"{name}.{hashlib.sha256(sealed).hexdigest()[:32]}.age"
        if name.endswith(".partial"):
            self.vault.place.publish(f"{self._folder}/{file}", sealed)
        else:
            self.vault.publish_locked(f"{self._folder}/{file}", sealed)
        if there.get(name) not in (None, file):
            self._forget(name, there)
        there[name] = file

    def _forget(self, name: str, there: dict[str, str]) -> None:
        file = there.pop(name, None)
        if file is not None:
            self.vault.discard(f"{self._folder}/{file}")

    def note(self, position: Position) -> None:
        """Note up to when a restore can go: everything before it must have been taken over."""
        body = {"time": position.time.isoformat(), "lsn": position.lsn, "timeline": position.timeline}
        content = json.dumps({**body, "checksum": _checksum(body)}).encode()
        self.vault.place.publish(f"{self._folder}/{self.noted}", content)

    def position(self) -> Position | None:
        """Up to when a restore can go; None where no log was taken over yet.

        Raises:
            StateError: the note is damaged.
        """
        content = self.vault.place.read(f"{self._folder}/{self.noted}")
        if content is None:
            return None
        try:
            body: dict[str, Any] = json.loads(content)
            if body.pop("checksum") != _checksum(body):
                raise ValueError("it was changed")
            return Position(datetime.fromisoformat(body["time"]), str(body["lsn"]), int(body["timeline"]))
        except (ValueError, KeyError, TypeError):
            raise StateError("the log's position is damaged", hint="ship the log again: workbench backup wal") from None

    def fetch(self, first: str, folder: Path, *, segment_bytes: int) -> list[str]:
        """Write the log from a segment on into a folder, the unfinished one as if it were finished.

        Raises:
            StateError: a segment is lost or damaged: the message names it.
        """
        there = self.names()
        wanted = [name for name in sorted(there) if name.endswith(".history") or name[8:24] >= first[8:]]
        segments = [name[:24] for name in wanted if not name.endswith(".history")]
        require_unbroken(first, segments, segment_bytes)
        for name in wanted:
            whole = name.removesuffix(".partial")
            if name.endswith(".partial") and whole in there:
                continue
            (folder / whole).write_bytes(self.read(name, there[name]))
        return segments

    def read(self, name: str, file: str) -> bytes:
        """The content of a segment, checked.

        Raises:
            StateError: it is lost or damaged.
        """
        sealed = self.vault.place.read(f"{self._folder}/{file}")
        if sealed is None or hashlib.sha256(sealed).hexdigest()[:32] != file.split(".")[-2]:
            raise StateError(f"segment {name} of the log is damaged", hint="restore to a moment before it, or a set")
        try:
            return zstandard.ZstdDecompressor().decompress(self.keyring.open(sealed), max_output_size=_LARGEST)
        except zstandard.ZstdError as error:
            raise StateError(f"segment {name} of the log cannot be unpacked ({error})", hint="as above") from None

    def damage(self) -> list[str]:
        """Segments that are not what was written; no key is needed to tell."""
        bad = []
        for name, file in sorted(self.names().items()):
            sealed = self.vault.place.read(f"{self._folder}/{file}")
            if sealed is None or hashlib.sha256(sealed).hexdigest()[:32] != file.split(".")[-2]:
                bad.append(name)
        return bad

    def trouble(self, first: str, *, segment_bytes: int) -> list[str]:
        """Segments from `first` on, up to the noted position, that are lost or damaged, in words; the note, too."""
        found = [f"segment {name} of the log is damaged" for name in self.damage()]
        segments = [name[:24] for name in self.names() if not name.endswith(".history") and name[8:24] >= first[8:]]
        try:
            require_unbroken(first, segments, segment_bytes)
            position = self.position()
            if position is None:
                found.append("the log's position is lost")
            elif (last := segment_before(position, segment_bytes)) > max(segments, default=""):
                found.append(f"segment {last} of the log is lost")
        except StateError as error:
            found.append(error.message)
        return found

    def remove_before(self, segment: str, *, removal: VersionRemoval | None = None) -> int:
        """Remove what no kept base backup needs any more; how many files.

        Args:
            removal: what removes files where versions are kept.
        """
        removed = 0
        for name, file in self.names().items():
            if not name.endswith(".history") and name[8:24] < segment[8:]:
                path = f"{self._folder}/{file}"
                if removal is None:
                    self.vault.place.remove_file(path)
                removed += removal is None or removal.remove_file(path)
        return removed


def segment_number(name: str, segment_bytes: int) -> int:
    """A segment's place in the log, without its timeline."""
    return int(name[8:16], 16) * (2**32 // segment_bytes) + int(name[16:24], 16)


def segment_of(lsn: str, timeline: int, segment_bytes: int) -> str:
    """The name of the segment that holds a position such as `0/40000D8`."""
    high, low = (int(part, 16) for part in lsn.split("/"))
    number = ((high << 32) + low) // segment_bytes
    per = 2**32 // segment_bytes
    return f"{timeline:08X}{number // per:08X}{number % per:08X}"


def segment_before(position: Position, segment_bytes: int) -> str:
    """The segment with the last byte before a position."""
    high, low = (int(part, 16) for part in position.lsn.split("/"))
    before = (high << 32) + low - 1
    return segment_of(f"{before >> 32:X}/{before & 0xFFFFFFFF:X}", position.timeline, segment_bytes)


def _checksum(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def require_unbroken(first: str, segments: list[str], segment_bytes: int) -> None:
    """Raise StateError, which names it, if a segment from `first` on is missing."""
    numbers = sorted({segment_number(name, segment_bytes) for name in segments})
    begin = segment_number(first, segment_bytes)
    missing = next((want for want, number in enumerate(numbers, begin) if number != want), None)
    if not numbers:
        missing = begin
    if missing is not None:
        per = 2**32 // segment_bytes
        name = f"{first[:8]}{missing // per:08X}{missing % per:08X}"
        raise StateError(f"segment {name} of the log is lost", hint="restore to a moment before it, or a whole set")
