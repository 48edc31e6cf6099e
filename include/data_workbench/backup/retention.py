"""Which sets are kept: grandfather, father, son. Pure decisions first, then their carrying out.

Whatever the policy says, the newest finished set stays, and the newest that was verified: a set that nobody has
verified is no reason to let go of one that somebody has.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta

from data_workbench.backup.keys import Keyring
from data_workbench.backup.locking import VersionRemoval, bucket_of
from data_workbench.backup.manifest import Manifest
from data_workbench.backup.pgbackrest_export import is_referred, reference
from data_workbench.backup.vault import Vault
from data_workbench.backup.wal import WalArchive
from data_workbench.errors import UsageError, WorkbenchError
from data_workbench.events import emit

_PERIODS: Mapping[str, str] = {"daily": "%Y-%m-%d", "weekly": "%G-W%V", "monthly": "%Y-%m", "yearly": "%Y"}


@dataclass(frozen=True)
class Policy:
    """How many are kept: the newest, and the newest of so many days, weeks, months and years that have one.

    `replaced` counts days: how long what a restore replaced is kept, and sets of some stores only.
    """

    last: int = 3
    daily: int = 7
    weekly: int = 4
    monthly: int = 12
    yearly: int = 0
    replaced: int = 14


def parse_policy(text: str) -> Policy:
    """`last=3,daily=7`; what is not named is not kept by that rule, an empty text is the default.

    Raises:
        UsageError: a rule is unknown, no number, or all of them together would keep nothing.
    """
    if not text.strip():
        return Policy()
    known = [item.name for item in fields(Policy)]
    values = dict.fromkeys(known, 0) | {"replaced": Policy.replaced}
    for part in text.split(","):
        found = re.fullmatch(r"\s*([a-z]+)\s*=\s*(\d{1,6})\s*", part)
        if found is None or found[1] not in known:
            raise UsageError(
                f"WORKBENCH_BACKUP_RETENTION: {part.strip()!r} is no rule",
                hint=f"write such as last=3,daily=7,weekly=4; rules are {', '.join(known)}",
            )
        values[found[1]] = int(found[2])
    if not any(values[name] for name in known if name != "replaced"):
        raise UsageError("WORKBENCH_BACKUP_RETENTION would keep no set", hint="give at least last=1")
    return Policy(**values)


@dataclass(frozen=True)
class Decision:
    """What happens to one set, and by which rules it stays."""

    set_id: str
    reasons: tuple[str, ...]

    @property
    def is_kept(self) -> bool:
        """Whether any rule keeps it."""
        return bool(self.reasons)


def decide(
    sets: Sequence[Manifest], policy: Policy, *, now: datetime, is_verified: Callable[[str], bool]
) -> list[Decision]:
    """What to do with each finished set, newest first.

    A set from the future, after a clock was set back, is kept: its age says nothing.
    """
    ordered = sorted(sets, key=lambda one: one.set, reverse=True)
    whole = [one for one in ordered if one.purpose == "backup"]
    backups = whole or [one for one in ordered if one.purpose == "partial"]
    reasons: dict[str, list[str]] = {one.set: [] for one in ordered}
    for one in ordered:
        if one.created > now:
            reasons[one.set].append("from the future")
        if one.locked_until is not None and one.locked_until > now:
            reasons[one.set].append(f"locked until {one.locked_until.astimezone(UTC):%Y-%m-%d %H:%M} UTC")
        if one.created <= now and one.purpose != "backup" and now - one.created < timedelta(days=policy.replaced):
            reasons[one.set].append(one.purpose)
    if backups:
        reasons[backups[0].set].append("newest")
    verified = next((one for one in backups if is_verified(one.set)), None)
    if verified is not None:
        reasons[verified.set].append("newest verified")
    for one in backups[: policy.last]:
        reasons[one.set].append("last")
    for rule, form in _PERIODS.items():
        _keep_periods(backups, getattr(policy, rule), rule, form, reasons)
    return [Decision(one.set, tuple(reasons[one.set])) for one in ordered]


def _keep_periods(backups: Sequence[Manifest], count: int, rule: str, form: str, reasons: dict[str, list[str]]) -> None:
    """Keep the newest set of each of the `count` newest periods that have one."""
    seen: set[str] = set()
    for one in backups:
        period = one.created.astimezone(UTC).strftime(form)
        if period in seen:
            continue
        if len(seen) == count:
            return
        seen.add(period)
        reasons[one.set].append(rule)


@dataclass
class Pruned:
    """What thinning out did, or would do."""

    kept: dict[str, tuple[str, ...]] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)
    chunks: int = 0
    bytes: int = 0
    segments: int = 0
    locked: dict[str, str | None] = field(default_factory=dict)
    """Files that nobody needs and that are still locked, and until when; None: by a legal hold."""
    elsewhere: dict[str, str] = field(default_factory=dict)
    """By removed set, the backup of pgBackRest's it referred to, which pgBackRest keeps as long as it is told to."""


def prune(vault: Vault, policy: Policy, *, now: datetime, dry_run: bool = False) -> Pruned:
    """Remove sets past their time, what unfinished ones left, and chunks nobody needs. Hold the lock of backups.

    While a set cannot be read nobody knows its chunks, so none are removed then.
    """
    done = Pruned()
    manifests = vault.manifests(broken=lambda name, error: _note(done, name, error))
    for one in decide(manifests, policy, now=now, is_verified=lambda name: _is_verified(vault, name)):
        if one.is_kept:
            done.kept[one.set_id] = one.reasons
        else:
            done.removed.append(one.set_id)
    done.elsewhere = {
        one.set: "{1} of stanza {0}".format(*reference(store))
        for one in manifests
        for store in one.stores.values()
        if one.set in done.removed and is_referred(store)
    }
    done.unfinished = sorted({*vault.set_ids()} - {one.set for one in manifests} - done.broken.keys())
    if dry_run:
        return done
    removal = _removal(vault, manifests)
    for name in [*done.removed, *done.unfinished]:
        if (removal or vault).remove_set(name):
            emit("backup.removed", set=name)
        else:
            _keep_locked(done, name)
    if not done.broken:
        kept = [one for one in manifests if one.set in done.kept]
        needed = {chunk for one in kept for chunk in one.chunks}
        done.chunks, done.bytes = (removal or vault).remove_unneeded(needed)
        done.segments = _prune_log(vault, kept, removal)
    if removal is not None:
        done.locked = {
            path: until.astimezone(UTC).isoformat() if until else None for path, until in removal.held.items()
        }
    return done


def _removal(vault: Vault, manifests: Sequence[Manifest]) -> VersionRemoval | None:
    """What removes files with their versions, where sets are or were locked."""
    bucket = bucket_of(vault.place)
    is_locked = vault.lock is not None or any(one.locked_until for one in manifests)
    return VersionRemoval(bucket) if bucket is not None and is_locked else None


def _keep_locked(done: Pruned, name: str) -> None:
    """A set whose files are locked for longer than its manifest tells: somebody prolonged it."""
    for names in (done.removed, done.unfinished):
        if name in names:
            names.remove(name)
    done.elsewhere.pop(name, None)
    done.kept[name] = ("locked in the store",)


def _prune_log(vault: Vault, kept: Sequence[Manifest], removal: VersionRemoval | None) -> int:
    """Remove the log from before the oldest base backup that is kept, server by server; none where none is kept."""
    oldest: dict[str, str] = {}
    stores = [store for one in kept for store in one.stores.values()]
    for cluster in (one for one in stores if one.kind == "cluster" and not is_referred(one)):
        system, segment = str(cluster.details["system_identifier"]), str(cluster.details["start_segment"])
        # Without the timeline, which comes first in a segment's name.
        oldest[system] = min(oldest.get(system, segment), segment, key=lambda name: name[8:])
    archives = ((WalArchive(vault, Keyring(()), system), first) for system, first in oldest.items())
    return sum(archive.remove_before(first, removal=removal) for archive, first in archives)


def _note(done: Pruned, name: str, error: WorkbenchError) -> None:
    done.broken[name] = error.message


def _is_verified(vault: Vault, set_id: str) -> bool:
    found = vault.verification(set_id)
    return found is not None and found.get("outcome") == "passed"
