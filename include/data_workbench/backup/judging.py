"""What is wrong with a repository of backups, as it was observed: pure decisions, one trouble for one cause.

A cause that follows from another is not told beside it: while nothing can be read of a repository, nothing else is
known of it; a set that failed is why none was made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from data_workbench.backup.manifest import DEFINITIONS
from data_workbench.notifications.causes import Trouble

Cause = Literal[
    "unreachable", "failed", "missed", "damaged", "unlocked", "unverified", "shrinking", "slow", "log_behind", "space"
]  # fmt: skip
CAUSES: Final[tuple[Cause, ...]] = (
    "unreachable", "failed", "missed", "damaged", "unlocked", "unverified", "shrinking", "slow", "log_behind", "space"
)  # fmt: skip
LockState = Literal["none", "held", "ended", "lifted"]
"""Of a set: it never had a lock, cannot be removed, can be since its lock is over, or though it is not."""
_ROUNDED: Final = timedelta(minutes=1)
"""A store may cut a lock's end to whole seconds."""
_COMPARED: Final = 7
"""Sets that the newest one is held against."""
_LEAST: Final = 3
"""Of these before anybody says what is usual."""
_LONGEST: Final = timedelta(hours=12)
"""After this a set that is being made is no reason not to miss one."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class ObservedLock(_Model):
    """What the store itself says of a set's lock."""

    mode: str
    until: datetime


class ObservedSet(_Model):
    """A finished set in short; `counts` are rows, nodes, points or files by store, `verified` its last verification.

    `left_out` are stores that are set up and not in it, each with the reason. `locked_until` is the lock it was made
    with, `lock` what the store says of it: asked as long as it should be there.
    """

    set: str
    at: datetime
    purpose: str
    seconds: float
    bytes: int
    stored: int
    new_bytes: int
    fence_ms: float
    counts: dict[str, int]
    moved: tuple[str, ...] = ()
    left_out: dict[str, str] = Field(default_factory=dict)
    verified: dict[str, Any] | None = None
    locked_until: datetime | None = None
    lock: ObservedLock | None = None

    def lock_state(self, now: datetime) -> LockState:
        """Whether anybody could remove it at this moment."""
        if self.locked_until is None:
            return "none"
        if self.lock is not None and self.lock.until >= self.locked_until - _ROUNDED:
            return "held" if self.lock.until > now else "ended"
        return "ended" if self.locked_until <= now else "lifted"


class ObservedLog(_Model):
    """PostgreSQL's log as it was taken over: `begin` is None without a base backup, `end` without any log.

    `stores` are the databases in it; `followers` graph and vectors, which pipelines bring forward to any moment of it.
    """

    connection: str
    stores: tuple[str, ...] = ()
    followers: tuple[str, ...] = ()
    begin: datetime | None = None
    end: datetime | None = None


class Observation(_Model):
    """A repository at a moment; `sets` are the newest, newest first. `unreachable` says why nothing can be told.

    `expired` are sets that refer to a backup of pgBackRest's which is gone, in words.
    `free` is None where the place does not tell. `attempts` are the last tries of this installation, newest first.
    """

    address: str
    at: datetime
    repository: str | None = None
    unreachable: str | None = None
    free: int | None = None
    stored: int = 0
    sets: tuple[ObservedSet, ...] = ()
    unreadable: dict[str, str] = Field(default_factory=dict)
    expired: dict[str, str] = Field(default_factory=dict)
    log: ObservedLog | None = None
    attempts: tuple[dict[str, Any], ...] = ()

    @property
    def whole(self) -> tuple[ObservedSet, ...]:
        """Sets of all stores, newest first."""
        return tuple(one for one in self.sets if one.purpose == "backup")

    def recoverable(self) -> dict[str, datetime]:
        """By store, the latest moment it can be brought back to."""
        found: dict[str, datetime] = {}
        for one in self.sets:
            if one.purpose != "replaced":
                for name in one.counts:
                    found.setdefault(name, one.at)
        log = self.log
        if log is not None and log.begin is not None and log.end is not None:
            found |= {name: max(found[name], log.end) for name in (*log.stores, *log.followers) if name in found}
        return found

    @property
    def recoverable_whole(self) -> datetime | None:
        """The latest moment all stores can be brought back to together.

        The log goes on from the newest set to any moment, unless a store has none: that one is as of a set, and the
        newest set that has all such stores is the moment. Definitions bound nothing, which no row refers to.
        """
        if not self.whole:
            return None
        newest, log = self.whole[0], self.log
        if log is None or log.begin is None or log.end is None:
            return newest.at
        bound = newest.counts.keys() - {*log.stores, *log.followers, DEFINITIONS}
        if not bound:
            return max(newest.at, log.end)
        have = [one for one in self.sets if one.purpose != "replaced" and bound <= one.counts.keys()]
        return max(newest.at, *(one.at for one in have if log.begin <= one.at <= log.end))


@dataclass(frozen=True)
class Limits:
    """From when on somebody is told."""

    newest: timedelta
    verified: timedelta
    log: timedelta
    free: int


def judge(seen: Observation, limits: Limits) -> list[Trouble]:
    """All that is wrong, gravest first."""
    if seen.unreachable is not None:
        hint = "look at the place WORKBENCH_BACKUPS names; earlier sets lie there as they were"
        title = f"the backups in {seen.address} cannot be reached: {seen.unreachable}"
        return [Trouble("unreachable", "critical", title, hint)]
    found = [
        _failed(seen) or _missed(seen, limits),
        _damaged(seen) or _unverified(seen, limits),
        _unlocked(seen),
        _shrinking(seen.whole),
        _slow(seen.whole),
        _log_behind(seen, limits),
        _space(seen, limits),
    ]
    return sorted((one for one in found if one is not None), key=lambda one: one.severity != "critical")


def _failed(seen: Observation) -> Trouble | None:
    """The newest try failed, and none has finished since."""
    ended = [one for one in seen.attempts if one["state"] != "running"]
    if not ended or ended[0]["state"] != "failed":
        return None
    if seen.sets and seen.sets[0].at > datetime.fromisoformat(str(ended[0]["started"])):
        return None  # another installation has made one since
    error = ended[0]["error"] or {}
    title = f"the backup {ended[0]['set']} failed: {error.get('message', 'nobody knows why')}"
    return Trouble("failed", "critical", title, error.get("hint") or "workbench backup create, once it is mended")


def _missed(seen: Observation, limits: Limits) -> Trouble | None:
    running = [one for one in seen.attempts[:1] if one["state"] == "running"]
    if running and seen.at - datetime.fromisoformat(str(running[0]["started"])) < _LONGEST:
        return None
    newest = seen.whole[0].at if seen.whole else None
    if newest is not None and seen.at - newest <= limits.newest:
        return None
    hint = "is the DAG backup_stores paused? Or: workbench backup create"
    title = "no backup of all stores was ever made"
    if newest is not None:
        title = f"the newest backup is {_words(seen.at - newest)} old, wanted {_words(limits.newest)} at most"
    return Trouble("missed", "critical", title, hint)


def _damaged(seen: Observation) -> Trouble | None:
    bad = [one.set for one in seen.sets if one.verified and one.verified["outcome"] == "failed"]
    names = sorted({*bad, *seen.unreadable, *seen.expired}, reverse=True)
    if not names:
        return None
    more = f" and {len(names) - 1} others" if len(names) > 1 else ""
    if names[0] in seen.expired:
        title = f"the backup {names[0]}{more} is damaged: {seen.expired[names[0]]}"
        return Trouble(
            "damaged", "critical", title, "its dumps are whole; pgBackRest must keep as long as sets are kept"
        )
    title = f"the backup {names[0]}{more} did not come through its verification, or cannot be read"
    return Trouble("damaged", "critical", title, "workbench backup verify SET names what is damaged; make a new set")


def _unlocked(seen: Observation) -> Trouble | None:
    """Sets were locked for longer than the store has them locked: somebody who may do that took the lock off."""
    lifted = [one for one in seen.sets if one.lock_state(seen.at) == "lifted"]
    if not lifted:
        return None
    first = lifted[0]
    more = f" and {len(lifted) - 1} others" if len(lifted) > 1 else ""
    has = f"has it until {first.lock.until:%Y-%m-%d %H:%M}" if first.lock else "has no lock of it"
    title = f"the backup {first.set}{more} was locked until {first.locked_until:%Y-%m-%d %H:%M}, and the store {has}"
    hint = (
        "who holds s3:BypassGovernanceRetention? Or may the keys here not read locks (s3:GetObjectRetention)? "
        "A new set is locked again, and all that it shares with this one"
    )
    return Trouble("unlocked", "critical", title, hint)


def _unverified(seen: Observation, limits: Limits) -> Trouble | None:
    if not seen.whole:
        return None
    drilled = [
        datetime.fromisoformat(one.verified["checked"])
        for one in seen.whole
        if one.verified and one.verified["kind"] == "drill" and one.verified["outcome"] == "passed"
    ]
    since = max(drilled, default=seen.whole[-1].at)
    if seen.at - since <= limits.verified:
        return None
    title = "no backup was ever restored to try it"
    if drilled:
        title = f"the last backup that was restored to try it was {_words(seen.at - since)} ago"
    hint = "is the DAG verify_backups paused? Or: workbench backup verify --drill"
    last = next((one.verified for one in seen.whole if one.verified and one.verified["kind"] == "drill"), None)
    if last is not None and last["outcome"] == "not_verified":
        title += f"; the last drill: not verified, {last.get('reason') or 'a store could not be tried'}"
    return Trouble("unverified", "warning", title, hint)


def _shrinking(whole: Sequence[ObservedSet]) -> Trouble | None:
    """The newest set lacks a store, or holds less than half of what is usual; a set that grows again ends it."""
    if len(whole) < 2:
        return None
    newest, before = whole[0], whole[1 : 1 + _COMPARED]
    lost = sorted(before[0].counts.keys() - newest.counts.keys())
    if lost:
        title = f"the newest backup has no {lost[0]} any more, which the one before had"
        return Trouble("shrinking", "warning", title, "workbench backup show tells why it was left out")
    if len(before) < _LEAST:
        return None
    for name, count in newest.counts.items():
        usual = median(one.counts.get(name, 0) for one in before)
        if count < usual / 2:
            title = f"the newest backup holds {count:,} of {name}, usual are {usual:,.0f}"
            return Trouble("shrinking", "warning", title, "was something deleted? Earlier sets hold it: backup list")
    return None


def _slow(whole: Sequence[ObservedSet]) -> Trouble | None:
    before = whole[1 : 1 + _COMPARED]
    if len(before) < _LEAST:
        return None
    usual = median(one.seconds for one in before)
    if whole[0].seconds < max(3 * usual, usual + 60):
        return None
    title = f"the newest backup took {whole[0].seconds:,.0f} s, usual are {usual:,.0f} s"
    return Trouble("slow", "warning", title, "how fast are the stores (page Connections) and the repository?")


def _log_behind(seen: Observation, limits: Limits) -> Trouble | None:
    log = seen.log
    if log is None or (log.end is not None and seen.at - log.end <= limits.log):
        return None
    title = f"no log of {log.connection} was taken over yet"
    if log.end is not None:
        title = f"the log of {log.connection} lies {_words(seen.at - log.end)} behind"
    return Trouble("log_behind", "critical", title, "is the DAG ship_log paused? Or: workbench backup wal")


def _space(seen: Observation, limits: Limits) -> Trouble | None:
    if seen.free is None:
        return None
    left = f"{seen.address} has {seen.free / 1024**2:,.0f} MB left"
    hint = "make room, or keep fewer: WORKBENCH_BACKUP_RETENTION, workbench backup prune"
    if seen.free < limits.free:
        return Trouble("space", "critical", f"{left}: the next backup will not begin", hint)
    needed = max((one.new_bytes for one in seen.whole[:_COMPARED]), default=0)
    if seen.free < limits.free + 3 * needed:
        return Trouble("space", "warning", f"{left}: less than three backups need", hint)
    return None


def _words(span: timedelta) -> str:
    seconds = span.total_seconds()
    for length, unit in ((86_400 * 2, "days"), (3_600, "h")):
        if seconds >= length:
            return f"{seconds / (86_400 if unit == 'days' else 3_600):.1f} {unit}"
    return f"{seconds / 60:.0f} min"
