"""Which files are new or changed since the last read, with a state that stays small.

The state holds, of the files that are there, a digest of name and version (24 characters), the newest 10,000 of them.
Of older ones only the time of the youngest is kept: a file no younger than that counts as known. Files that are gone
are forgotten, so one that comes back is read again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from data_workbench.connectors.files.client import Facts, Root, content_hash
from data_workbench.mapping.text_values import to_text

if TYPE_CHECKING:
    from data_workbench.connectors.files.streams import Place

FILE = "_file"
MODIFIED = "_file_modified"
MOST_KNOWN = 10_000


@dataclass(frozen=True)
class Version:
    """A file as it is now; `mark` stands for its name and content."""

    path: str
    modified: datetime
    mark: str


class Changes:
    """Tells new and changed files from known ones, and what to remember once they are read.

    Args:
        by: auto (a tag of the store, otherwise size and time), etag, mtime, size or hash (reads every file).
        state: the position of an earlier read.
        now: what stands for the time of a file whose store tells none.
    """

    def __init__(self, root: Root, by: str, state: Mapping[str, Any] | None, now: datetime | None) -> None:
        self._root, self._by = root, by
        self._now = now or datetime.now(UTC)
        self._known = set((state or {}).get("files", ()))
        floor = (state or {}).get("floor")
        self._floor = datetime.fromisoformat(floor) if floor else None
        self._watermark = (state or {}).get("watermark")
        self._present: dict[str, Version] = {}
        self._read: dict[str, Version] = {}

    def fresh(self, places: list[Place]) -> list[Place]:
        """The places in files that are new or changed."""
        chosen = []
        for place in places:
            version = self._present.get(place.path) or self._look(place.path)
            self._present[place.path] = version
            if not self._is_known(version):
                chosen.append(place)
        return chosen

    def version(self, path: str) -> Version:
        """A file as it was when `fresh` looked at it."""
        return self._present[path]

    def note(self, path: str) -> None:
        """A file has been read to its end."""
        self._read[path] = self._present[path]

    def position(self) -> dict[str, Any]:
        """The state to store: `settled`, because nothing that was read comes again while it is unchanged."""
        known = [one for one in self._present.values() if self._is_known(one) or one.path in self._read]
        known.sort(key=lambda one: one.modified, reverse=True)
        kept, older = known[:MOST_KNOWN], known[MOST_KNOWN:]
        floors = [one.modified for one in older[:1]] + ([self._floor] if self._floor else [])
        return {
            "watermark": _text(kept[0].modified) if kept else self._watermark,
            "floor": max(floors).isoformat() if floors else None,
            "files": sorted(one.mark for one in kept),
            "settled": True,
        }

    def _is_known(self, version: Version) -> bool:
        if version.mark in self._known:
            return True
        return self._floor is not None and version.modified <= self._floor

    def _look(self, path: str) -> Version:
        facts = self._root.facts(path)
        version = f"{path}\0{self._version(path, facts)}"
        mark = hashlib.sha256(version.encode()).hexdigest()[:24]
        return Version(path, facts.modified or self._now, mark)

    def _version(self, path: str, facts: Facts) -> str:
        times = f"{facts.size} {facts.modified.isoformat() if facts.modified else ''}"
        match self._by:
            case "hash":
                return content_hash(self._root, path)
            case "etag":
                return facts.tag or times
            case "size":
                return str(facts.size)
            case "mtime":
                return facts.modified.isoformat() if facts.modified else times
        return facts.tag or times


def _text(moment: datetime) -> str:
    import pyarrow as pa

    return str(to_text(pa.array([moment], pa.timestamp("us", "UTC")))[0].as_py())
