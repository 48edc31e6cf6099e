"""What is wrong with archiving, as it was observed: pure decisions, one trouble for one cause."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from data_workbench.notifications.causes import Trouble

Cause = Literal["unreachable", "failed", "overdue", "damaged", "unverified", "space"]
CAUSES: Final[tuple[Cause, ...]] = ("unreachable", "failed", "overdue", "damaged", "unverified", "space")
_SHOWN: Final = 5


@dataclass(frozen=True)
class ObservedPolicy:
    """When a policy was last carried out, and the kind of error its last run ended with, if it failed."""

    policy: str
    succeeded: datetime | None
    failed: str | None


@dataclass(frozen=True)
class Observation:
    """A shelf and its policies at a moment; `unreachable` says why nothing can be told of the shelf.

    Args:
        oldest: when the first archive that is still there was made; None without any.
        verified: when archives were last verified.
        damaged: archives that were not as they were written then.
        free: bytes left where the shelf is; None where the place does not tell.
    """

    address: str
    at: datetime
    policies: tuple[ObservedPolicy, ...]
    unreachable: str | None = None
    oldest: datetime | None = None
    verified: datetime | None = None
    damaged: tuple[str, ...] = ()
    free: int | None = None


@dataclass(frozen=True)
class Limits:
    """From when on somebody is told."""

    run: timedelta
    verified: timedelta
    free: int


def judge(seen: Observation, limits: Limits) -> list[Trouble]:
    """All that is wrong, gravest first; while the shelf cannot be reached, only that."""
    if seen.unreachable is not None:
        title = f"the archives in {seen.address} cannot be reached: {seen.unreachable}"
        hint = "look at the place WORKBENCH_ARCHIVES names; rows stay in their tables until it answers"
        return [Trouble("unreachable", "critical", title, hint)]
    found = [
        _damaged(seen), _failed(seen), _overdue(seen, limits), _unverified(seen, limits), _space(seen, limits)
    ]  # fmt: skip
    return sorted((one for one in found if one is not None), key=lambda one: one.severity != "critical")


def _failed(seen: Observation) -> Trouble | None:
    bad = [f"{one.policy} ({one.failed})" for one in seen.policies if one.failed is not None]
    if not bad:
        return None
    title = f"archiving failed the last time: {_listed(bad)}"
    return Trouble(
        "failed", "warning", title, "the log of the DAG archive_expired says why; workbench archive run POLICY"
    )


def _overdue(seen: Observation, limits: Limits) -> Trouble | None:
    """A policy whose last run failed is told by that."""
    late = [
        one.policy
        for one in seen.policies
        if one.failed is None and (one.succeeded is None or seen.at - one.succeeded > limits.run)
    ]
    if not late:
        return None
    hours = limits.run.total_seconds() / 3600
    title = f"not archived for more than {hours:g} h: {_listed(late)}"
    return Trouble("overdue", "warning", title, "is the DAG archive_expired paused? Or: workbench archive run")


def _damaged(seen: Observation) -> Trouble | None:
    if not seen.damaged:
        return None
    title = f"not as they were written: {_listed([name or 'the shelf' for name in seen.damaged])}"
    return Trouble("damaged", "critical", title, "workbench archive verify tells what; bring it back from a copy")


def _unverified(seen: Observation, limits: Limits) -> Trouble | None:
    since = seen.verified or seen.oldest
    if since is None or seen.oldest is None or seen.at - since <= limits.verified:
        return None
    days = limits.verified.total_seconds() / 86_400
    title = f"no archive was verified for more than {days:g} days"
    return Trouble("unverified", "warning", title, "is the DAG verify_archives paused? Or: workbench archive verify")


def _space(seen: Observation, limits: Limits) -> Trouble | None:
    if seen.free is None or seen.free >= limits.free:
        return None
    title = f"{seen.address} has {seen.free / 1024**2:,.0f} MB left: the next run will not begin"
    return Trouble("space", "critical", title, "make room: workbench archive expire; or lower WORKBENCH_MIN_FREE_DISK")


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
