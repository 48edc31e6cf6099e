"""What somebody removed or wrote over in a locked repository, brought back from the versions that the lock kept.

A file that is never written again is as it should be in its oldest version, or, a chunk or a segment of the log, in
any whose hash is the one that is known of it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

from data_workbench.artifacts.buckets import BucketPlace, History
from data_workbench.backup.locking import bucket_of
from data_workbench.backup.vault import Vault
from data_workbench.errors import UsageError

_ONCE = re.compile(r"repository\.json|sets/[^/]+/manifest\.json")
_CHUNK = re.compile(r"chunks/[0-9a-f]{2}/([0-9a-f]{64})\.age")
_LOG = re.compile(r"wal/\d+/(?:[0-9A-F]{24}|[0-9A-F]{8}\.history)\.([0-9a-f]{32})\.age")


@dataclass
class Undeleted:
    """Paths that were removed and are there again, that were written over and are what they were, and that are lost."""

    brought_back: list[str] = field(default_factory=list)
    put_right: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)


def undelete(vault: Vault) -> Undeleted:
    """Bring back what is still locked. What was removed after its time, as `prune` does, stays removed.

    Raises:
        UsageError: the repository is in no bucket.
    """
    bucket = bucket_of(vault.place)
    if bucket is None:
        raise UsageError(f"{vault.address} is in no bucket, and keeps no versions", hint="workbench backup verify")
    done = Undeleted()
    # First what tells of the rest: sets are known by their manifests, chunks by theirs.
    for below in ("repository.json", "sets/"):
        for one in _seen(bucket, below, _ONCE, done):
            _put_right(bucket, one, _is_oldest(bucket, one), done)
    known = _known(vault)
    for one in _seen(bucket, "chunks/", _CHUNK, done):
        hashes = known.get(_hash_in(_CHUNK, one.path), set())
        if hashes:
            _put_right(bucket, one, partial(_has_hash, hashes), done)
    for one in _seen(bucket, "wal/", _LOG, done):
        _put_right(bucket, one, partial(_has_hash, {_hash_in(_LOG, one.path)}), done)
    return done


def _seen(bucket: BucketPlace, below: str, form: re.Pattern[str], done: Undeleted) -> Iterator[History]:
    """Files of a form that readers find, those among them that only now they do."""
    now = datetime.now(UTC)
    for one in bucket.histories(below):
        if not form.fullmatch(one.path):
            continue
        if one.is_hidden:
            holds = (bucket.hold(one.path, version.id) for version in one.versions)
            if not any(hold is not None and hold.is_held(now) for hold in holds):
                continue
            for marker in one.markers:
                bucket.remove_version(one.path, marker)
            done.brought_back.append(one.path)
        yield one


def _put_right(bucket: BucketPlace, one: History, is_right: Callable[[bytes], bool], done: Undeleted) -> None:
    """Write the right version again, as locked as it is, where a wrong one lies over it."""
    if len({version.tag for version in one.versions}) == 1:
        return
    for number, version in enumerate(one.versions):
        content = bucket.read_version(one.path, version.id)
        if not is_right(content):
            continue
        hold = bucket.hold(one.path, version.id)
        if number and hold is not None and hold.retention is not None and hold.retention.until > datetime.now(UTC):
            bucket.publish_locked(one.path, content, hold.retention)
            done.put_right.append(one.path)
        return
    done.lost.append(one.path)


def _is_oldest(bucket: BucketPlace, one: History) -> Callable[[bytes], bool]:
    first = bucket.read_version(one.path, one.versions[-1].id) if len(one.versions) > 1 else b""
    return lambda content: content == first


def _known(vault: Vault) -> dict[str, set[str]]:
    """Hashes of chunks as they were written, by name, as the sets tell that can be read."""
    found: dict[str, set[str]] = {}
    for manifest in vault.manifests(broken=lambda *_: None):
        for name, facts in manifest.chunks.items():
            found.setdefault(name, set()).add(facts.sha256)
    return found


def _hash_in(form: re.Pattern[str], path: str) -> str:
    matched = form.fullmatch(path)
    assert matched is not None
    return matched[1]


def _has_hash(hashes: set[str], content: bytes) -> bool:
    """Whether it is one of these, whole or as much of it as stands in a name of the log."""
    found = hashlib.sha256(content).hexdigest()
    return any(found.startswith(one) for one in hashes)
