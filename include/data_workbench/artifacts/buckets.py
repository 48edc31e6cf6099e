"""A folder of an S3 bucket: a place that can also lock objects, and that knows versions of them.

A bucket with Object Lock keeps versions: removing a file only lays a marker over it, and writing one again leaves what
was there before (https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, cast

from data_workbench.artifacts.places import RemotePlace
from data_workbench.connectors.files.failures import translated

Mode = Literal["GOVERNANCE", "COMPLIANCE"]


@dataclass(frozen=True)
class Retention:
    """Until when nobody may remove a version; in mode GOVERNANCE somebody with a right of its own still may."""

    mode: Mode
    until: datetime


@dataclass(frozen=True)
class Hold:
    """What a store tells of a version: its size, and what keeps it from being removed."""

    size: int
    retention: Retention | None
    has_legal_hold: bool

    def is_held(self, now: datetime) -> bool:
        """Whether it cannot be removed at this moment."""
        return self.has_legal_hold or (self.retention is not None and self.retention.until > now)


@dataclass(frozen=True)
class Version:
    """One content of an object; `tag` tells it from others."""

    id: str
    size: int
    tag: str


@dataclass
class History:
    """An object with all that was ever written to its path, newest first, and the markers that removing left."""

    path: str
    versions: list[Version] = field(default_factory=list)
    markers: list[str] = field(default_factory=list)
    is_hidden: bool = False
    """Whether a marker is the newest: readers find nothing there."""


class BucketPlace(RemotePlace):
    """A place in S3; it behaves as any other until a lock or a version is asked for."""

    def is_lockable(self) -> bool:
        """Whether the bucket was made with Object Lock.

        Raises:
            AccessDenied, StoreUnavailable: it does not say.
        """
        with translated(f"the object lock of {self.root}"):
            try:
                found = self._ask("get_object_lock_configuration")
            except FileNotFoundError:  # so does s3fs tell that there is no such configuration, or no such bucket
                return False
            except OSError as error:
                if _code(error) in ("ObjectLockConfigurationNotFoundError", "InvalidRequest", "NotImplemented"):
                    return False
                raise
        return bool(found.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") == "Enabled")

    def publish_locked(self, path: str, content: bytes, retention: Retention) -> None:
        """Write a file as `publish` does, and lock it."""
        lock = {"ObjectLockMode": retention.mode, "ObjectLockRetainUntilDate": retention.until}
        with self._asking(path):
            self._files.pipe_file(self._at(path), content, **lock)

    def hold(self, path: str, version: str | None = None) -> Hold | None:
        """What keeps a file, or one version of it, from being removed; None if it is not there."""
        which = {"VersionId": version} if version else {}
        with self._asking(path):
            try:
                found = self._ask("head_object", path, **which)
            except FileNotFoundError:
                return None
        mode, until = found.get("ObjectLockMode"), found.get("ObjectLockRetainUntilDate")
        retention = Retention(mode, until) if mode and until else None
        return Hold(int(found["ContentLength"]), retention, found.get("ObjectLockLegalHoldStatus") == "ON")

    def prolong(self, path: str, retention: Retention, *, held: Hold) -> None:
        """Lock a file at least until then: no lock is shortened, and none of mode COMPLIANCE is weakened."""
        now = held.retention
        if now is not None and now.until >= retention.until:
            return
        mode = "COMPLIANCE" if now is not None and now.mode == "COMPLIANCE" else retention.mode
        with self._asking(path):
            self._ask("put_object_retention", path, Retention={"Mode": mode, "RetainUntilDate": retention.until})

    def histories(self, below: str) -> list[History]:
        """Every object whose path begins so, hidden ones among them, by path."""
        found: dict[str, History] = {}
        bucket, _, base = self._at(below).partition("/")
        start = len(self._at("").partition("/")[2])
        after: dict[str, str] = {}
        while True:
            with self._asking(below):
                page = self._files.call_s3("list_object_versions", Bucket=bucket, Prefix=base, **after)
            for one in page.get("Versions", ()):
                self._of(found, one["Key"][start:]).versions.append(
                    Version(one["VersionId"], int(one["Size"]), one["ETag"])
                )
            for one in page.get("DeleteMarkers", ()):
                history = self._of(found, one["Key"][start:])
                history.markers.append(one["VersionId"])
                history.is_hidden |= bool(one["IsLatest"])
            if not page.get("IsTruncated"):
                return [found[path] for path in sorted(found)]
            after = {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page.get("NextVersionIdMarker", "")}

    def read_version(self, path: str, version: str) -> bytes:
        """The content of one version."""
        from fsspec.asyn import sync

        bucket, _, key = self._at(path).partition("/")

        async def fetch() -> bytes:  # `cat_file` asks for the size of the newest version first, which may be hidden
            found = await self._files._call_s3("get_object", Bucket=bucket, Key=key, VersionId=version)
            async with found["Body"] as body:
                content: bytes = await body.read()
            return content

        with self._asking(path):
            return cast("bytes", sync(self._files.loop, fetch))

    def remove_version(self, path: str, version: str) -> None:
        """Remove one version or marker for good. Raises AccessDenied if it is locked."""
        with self._asking(path):
            self._ask("delete_object", path, VersionId=version)

    @staticmethod
    def _of(found: dict[str, History], path: str) -> History:
        return found.setdefault(path.lstrip("/"), History(path.lstrip("/")))

    def _ask(self, call: str, path: str | None = None, **options: Any) -> dict[str, Any]:
        bucket, _, key = self._at(path or "").partition("/")
        where = {"Bucket": bucket} if path is None else {"Bucket": bucket, "Key": key}
        found: dict[str, Any] = self._files.call_s3(call, **where, **options)
        return found


def _code(error: BaseException) -> str:
    """What S3 calls an error: s3fs raises one of the operating system's, from its own."""
    response: Any = getattr(error.__cause__, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))
