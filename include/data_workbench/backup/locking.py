"""Object lock of a repository: what a set needs cannot be removed or changed by anybody before its time.

Locked are chunks, manifests, the repository's own file and finished segments of the log. What is written again and
again (the latest verification, how far the log goes, the segment being written) is not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from data_workbench.artifacts.buckets import BucketPlace, History, Mode, Retention
from data_workbench.errors import Unsupported, UsageError

if TYPE_CHECKING:
    from data_workbench.artifacts.places import Place
    from data_workbench.settings import Settings

_MODES: dict[str, Mode] = {"governance": "GOVERNANCE", "compliance": "COMPLIANCE"}


@dataclass(frozen=True)
class Lock:
    """How long what a set needs stays locked, from when it is made, and how firmly."""

    days: float
    mode: Mode = "GOVERNANCE"

    def until(self, begin: datetime) -> datetime:
        """When a lock that begins now ends."""
        return begin + timedelta(days=self.days)

    def retention(self) -> Retention:
        """The lock of an object that is written at this moment."""
        return Retention(self.mode, self.until(datetime.now(UTC)))

    def require(self, place: Place) -> BucketPlace:
        """The bucket; asked before anything is written.

        Raises:
            UsageError: the place is none.
            Unsupported: it was made without Object Lock, or is not there.
        """
        bucket = bucket_of(place)
        if bucket is None:
            raise UsageError(
                f"WORKBENCH_BACKUP_LOCK_DAYS={self.days:g}: object lock needs s3://…, the repository is {place.root}",
                hint="keep backups in a bucket with Object Lock: WORKBENCH_BACKUPS; or set no lock",
            )
        if not bucket.is_lockable():
            raise Unsupported(
                f"{place.root} is in no bucket with Object Lock; WORKBENCH_BACKUP_LOCK_DAYS={self.days:g} needs one",
                hint="make one: aws s3api create-bucket --object-lock-enabled-for-bucket; or set no lock",
            )
        return bucket


def lock_of(settings: Settings) -> Lock | None:
    """The lock that the settings ask for, if they do."""
    days = settings.backup_lock_days
    return Lock(days, _MODES[settings.backup_lock_mode]) if days else None


def bucket_of(place: Place) -> BucketPlace | None:
    """A place as the bucket it is in; None where it is in none."""
    return place if isinstance(place, BucketPlace) else None


@dataclass
class VersionRemoval:
    """Removes objects with all their versions, so that their bytes are free; what is locked is left as it is.

    `held` are the paths that were left, and until when; None for a legal hold, which has no end.
    """

    bucket: BucketPlace
    held: dict[str, datetime | None] = field(default_factory=dict)

    def remove_set(self, set_id: str) -> bool:
        """Remove a set's folder; False, and nothing is, while any file in it is locked."""
        found = self.bucket.histories(f"sets/{set_id}/")
        if not all(self._is_free(one) for one in found):
            return False
        for one in found:
            self._remove(one)
        return True

    def remove_unneeded(self, needed: set[str]) -> tuple[int, int]:
        """Remove chunks no set needs; how many, and their bytes."""
        return self._sweep("chunks/", lambda path: path.rpartition("/")[2].removesuffix(".age") not in needed)

    def remove_file(self, path: str) -> bool:
        """Remove a file; whether it is gone."""
        return self._sweep(path, lambda found: found == path)[0] > 0

    def _sweep(self, below: str, is_unneeded: Callable[[str], bool]) -> tuple[int, int]:
        count = size = 0
        for one in self.bucket.histories(below):
            if is_unneeded(one.path) and self._is_free(one):
                self._remove(one)
                count, size = count + 1, size + sum(version.size for version in one.versions)
        return count, size

    def _is_free(self, history: History) -> bool:
        now = datetime.now(UTC)
        for version in history.versions:
            hold = self.bucket.hold(history.path, version.id)
            if hold is not None and hold.is_held(now):
                ends = None if hold.has_legal_hold or hold.retention is None else hold.retention.until
                self.held[history.path] = ends
                return False
        return True

    def _remove(self, history: History) -> None:
        for version in (*(one.id for one in history.versions), *history.markers):
            self.bucket.remove_version(history.path, version)
