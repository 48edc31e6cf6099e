"""What is wrong with backups, from what was seen: one trouble for one cause, none for what is as usual."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from data_workbench.backup.judging import Limits, Observation, ObservedLock, ObservedLog, ObservedSet, judge

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
DAY = timedelta(days=1)
LOCK = ObservedLock(mode="governance", until=NOW + DAY)
LIMITS = Limits(newest=timedelta(hours=26), verified=timedelta(days=8), log=timedelta(minutes=15), free=2 * 1024**3)
DRILLED = {"kind": "drill", "outcome": "passed", "checked": (NOW - timedelta(days=3)).isoformat()}


def made(days: float, **more: Any) -> ObservedSet:
    """A set that was made so many days ago."""
    at = NOW - timedelta(days=days)
    known = {
        "set": f"{at:%Y%m%dT%H%M%SZ}-000000", "at": at, "purpose": "backup", "seconds": 100, "bytes": 10**9,
        "stored": 10**8, "new_bytes": 10**7, "fence_ms": 3, "counts": {"pg": 1000, "graph": 500},
    }  # fmt: skip
    return ObservedSet(**{**known, **more})


def seen(*sets: ObservedSet, **more: Any) -> Observation:
    usual = [made(day, verified=DRILLED if day == 3 else None) for day in range(1, 9)]
    return Observation(address="/backups", at=NOW, repository="id", sets=sets or tuple(usual), **more)


def tried(days: float, state: str, **error: str) -> dict[str, Any]:
    at = NOW - timedelta(days=days)
    told = {"set": f"{at:%Y%m%dT%H%M%SZ}-ffffff", "state": state, "started": at.isoformat()}
    return {**told, "error": error or None}


def last(**more: Any) -> Observation:
    """As usual, but for the newest set."""
    usual = seen().sets
    return seen(usual[0].model_copy(update=more), *usual[1:])


CASES: dict[str, tuple[Observation, list[str]]] = {
    "all is well": (seen(free=10**12), []),
    "nothing was ever made": (Observation(address="/backups", at=NOW), ["missed"]),
    "the newest is two days old": (seen(*seen().sets[1:]), ["missed"]),
    "only a set of one store is new": (seen(made(0.1, purpose="partial"), *seen().sets[1:]), ["missed"]),
    "one is being made": (seen(*seen().sets[1:], attempts=(tried(0.1, "running"),)), []),
    "one is being made since yesterday": (seen(*seen().sets[1:], attempts=(tried(1.5, "running"),)), ["missed"]),
    "the last failed, and none is new": (seen(*seen().sets[1:], attempts=(tried(0.2, "failed"),)), ["failed"]),
    "the last failed while the newest is young": (seen(attempts=(tried(0.2, "failed"),)), ["failed"]),
    "one failed before the newest was made": (seen(attempts=(tried(1.4, "failed"),)), []),
    "the repository is away": (seen(unreachable="no such host", attempts=(tried(0.2, "failed"),)), ["unreachable"]),
    "a set is damaged": (last(verified={**DRILLED, "outcome": "failed"}), ["damaged"]),
    "a manifest cannot be read": (seen(unreadable={"20261101T000000Z-000000": "damaged"}), ["damaged"]),
    "never restored": (seen(*(made(day) for day in range(1, 12))), ["unverified"]),
    "never restored, for want of time": (seen(made(1), made(2)), []),
    "a store is gone": (last(counts={"pg": 1000}), ["shrinking"]),
    "half of the graph is gone": (last(counts={"pg": 1000, "graph": 249}), ["shrinking"]),
    "a tenth of the graph is gone": (last(counts={"pg": 1000, "graph": 450}), []),
    "it took long": (last(seconds=301.0), ["slow"]),
    "it took a little longer": (last(seconds=250.0), []),
    "the log is an hour behind": (
        seen(log=ObservedLog(connection="pg", begin=NOW, end=NOW - timedelta(hours=1))), ["log_behind"],
    ),
    "no log was ever taken": (seen(log=ObservedLog(connection="pg")), ["log_behind"]),
    "the log is taken": (seen(log=ObservedLog(connection="pg", begin=NOW, end=NOW - timedelta(minutes=1))), []),
    "the newest set is locked": (last(locked_until=NOW + DAY, lock=LOCK), []),
    "a lock has ended": (last(locked_until=NOW - DAY), []),
    "a lock was lifted": (last(locked_until=NOW + DAY), ["unlocked"]),
    "a lock was shortened": (
        last(locked_until=NOW + DAY, lock=ObservedLock(mode="GOVERNANCE", until=NOW)), ["unlocked"],
    ),
    "the disk is full": (seen(free=10**9), ["space"]),
    "the disk will be full": (seen(free=2 * 1024**3 + 2 * 10**7), ["space"]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_each_cause_is_told_once_and_nothing_beside_it(name: str) -> None:
    observation, causes = CASES[name]
    found = judge(observation, LIMITS)
    assert [one.cause for one in found] == causes
    for one in found:
        assert one.title
        assert one.hint


def test_the_last_drill_says_what_its_servers_lacked() -> None:
    lacking = {"kind": "drill", "outcome": "not_verified", "checked": NOW.isoformat(), "reason": "needs: postgis 3.4"}
    [found] = judge(seen(made(1, verified=lacking), made(12)), LIMITS)
    assert (found.cause, found.severity) == ("unverified", "warning")
    assert "not verified, needs: postgis 3.4" in found.title


def logged(*followers: str, begin: float | None = 8) -> ObservedLog:
    """A log of `pg` from so many days ago until a minute ago."""
    start = None if begin is None else NOW - timedelta(days=begin)
    return ObservedLog(
        connection="pg", stores=("pg",), followers=followers, begin=start, end=NOW - timedelta(minutes=1)
    )


def test_a_log_moves_the_clock_of_its_databases_and_of_what_pipelines_bring_forward() -> None:
    log = logged("graph")
    told = last(counts={"pg": 1000, "graph": 500, "definitions": 9}).model_copy(update={"log": log})
    assert told.recoverable() == {"pg": log.end, "graph": log.end, "definitions": told.sets[0].at}
    assert told.recoverable_whole == log.end, "definitions bound nothing"
    without_base = told.model_copy(update={"log": logged("graph", begin=None)})
    assert without_base.recoverable()["pg"] == without_base.recoverable_whole == told.sets[0].at


def test_what_has_no_log_bounds_the_whole_by_the_newest_set_that_has_it() -> None:
    told = last(counts={"pg": 1000, "graph": 500, "files": 7}).model_copy(update={"log": logged("graph")})
    assert told.recoverable_whole == told.sets[0].at
    later = made(0.1, purpose="partial", counts={"files": 7})
    replaced = made(0.05, purpose="replaced", counts={"files": 7})
    more = told.model_copy(update={"sets": (replaced, later, *told.sets)})
    assert more.recoverable_whole == later.at
    assert more.model_copy(update={"log": None}).recoverable_whole == told.sets[0].at


def test_a_log_is_no_reason_not_to_miss_a_set() -> None:
    late = seen(*seen().sets[1:]).model_copy(update={"log": logged("graph")})
    assert [one.cause for one in judge(late, LIMITS)] == ["missed"]
