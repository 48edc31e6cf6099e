"""Backups for the page, the API and the metrics: what the metastore keeps of the last look at the repository.

An API server reaches neither the repository nor the stores; `watch_backups` looks for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from data_workbench.api.datamodels.backups import (
    BackupSetDetailOut,
    BackupSetOut,
    BackupsOut,
    LockOut,
    LocksOut,
    NextRunOut,
    TroubleOut,
)
from data_workbench.api.services.metastore import metastore
from data_workbench.backup.judging import Observation, ObservedSet
from data_workbench.backup.watching import PREFIX
from data_workbench.errors import StateError
from data_workbench.metastore import backups, incidents

if TYPE_CHECKING:
    from data_workbench.metastore.backups import Attempt, State
    from data_workbench.metastore.incidents import Incident

DAGS: Final = ("backup_stores", "verify_backups", "ship_log", "watch_backups")
_MOST: Final = 200


def overview() -> BackupsOut:
    """All that is known of the backups, sets newest first."""
    with metastore() as store:
        state = backups.latest_state(store)
        attempts = backups.attempts(store, limit=_MOST)
        opened = [one for one in incidents.latest(store, limit=1000) if one.contract.startswith(PREFIX)]
    seen = observation(state)
    sets = _sets(seen, attempts)
    return BackupsOut(
        observed=state.observed if state else None,
        address=seen.address if seen else None,
        unreachable=seen.unreachable if seen else None,
        recoverable_to=seen.recoverable() if seen else {},
        recoverable_whole=seen.recoverable_whole if seen else None,
        last_verified=last_verified(seen.sets if seen else ()),
        free=seen.free if seen else None,
        stored=seen.stored if seen else None,
        locked=locks_of(seen) if seen else None,
        log=seen.log.model_dump(mode="json") if seen and seen.log else None,
        troubles=_troubles(state, opened),
        next_runs=next_runs(),
        sets=sets,
        total_entries=len(sets),
    )


def details(set_id: str) -> BackupSetDetailOut:
    """One set. Raises StateError if nobody knows it."""
    with metastore() as store:
        state = backups.latest_state(store)
        attempts = [one for one in backups.attempts(store, limit=1000) if one.set_id == set_id]
        drilled = backups.verification(store, set_id, is_drill=True) or backups.verification(store, set_id)
    found = [one for one in _sets(observation(state), attempts) if one.set == set_id]
    if not found:
        raise StateError(f"no backup set {set_id[:80]!r} is known", hint="the page Backups lists them")
    facts = (attempts[0].facts or {}) if attempts else {}
    return BackupSetDetailOut(set=found[0], stores=facts.get("stores", {}), report=drilled.report if drilled else None)


def observation(state: State | None) -> Observation | None:
    """What was seen when somebody looked last."""
    return None if state is None else Observation.model_validate(state.state)


def last_verified(sets: Iterable[ObservedSet]) -> datetime | None:
    """When a set was last restored and found as it was."""
    found = [one.verified for one in sets if one.verified and one.verified["kind"] == "drill"]
    return max((datetime.fromisoformat(one["checked"]) for one in found if one["outcome"] == "passed"), default=None)


def locks_of(seen: Observation) -> LocksOut | None:
    """The sets nobody can remove before their time, as the store said when somebody looked; None if there is none."""
    now = datetime.now(UTC)
    held = [one.lock for one in seen.sets if one.lock is not None and one.lock_state(now) == "held"]
    if not held:
        return None
    first = min(one.until for one in held)
    return LocksOut(sets=len(held), newest_until=held[0].until, first_until=first, mode=held[0].mode)


def _lock_of(one: ObservedSet) -> LockOut | None:
    if one.locked_until is None:
        return None
    told = one.lock
    until = told.until if told is not None else one.locked_until
    return LockOut(state=one.lock_state(datetime.now(UTC)), until=until, mode=told.mode if told is not None else None)


def next_runs() -> list[NextRunOut]:
    """When Airflow runs the DAGs of backups next, as its scheduler has noted."""
    from airflow.models import DagModel
    from airflow.utils.session import create_session

    found = []
    with create_session() as session:
        for name in DAGS:
            known = session.get(DagModel, name)
            is_paused = bool(known.is_paused) if known is not None else False
            moment = known.next_dagrun_create_after if known is not None and not is_paused else None
            found.append(NextRunOut(dag=name, is_known=known is not None, is_paused=is_paused, next=moment))
    return found


def _sets(seen: Observation | None, attempts: Iterable[Attempt]) -> list[BackupSetOut]:
    """Finished sets of the repository, and tries that did not finish or were not seen yet, newest first."""
    labels = {one.set_id: one.label for one in attempts}
    found = {one.set: _finished(one, labels.get(one.set)) for one in (seen.sets if seen else ())}
    known = seen.repository if seen else None
    for one in attempts:
        is_gone = one.state == "finished" and seen is not None and one.started < seen.at and known is not None
        if one.set_id not in found and not is_gone:
            found[one.set_id] = _tried(one)
    return [found[name] for name in sorted(found, reverse=True)]


def _finished(one: ObservedSet, label: str | None) -> BackupSetOut:
    known = one.model_dump(exclude={"locked_until", "lock"})
    return BackupSetOut(**known, state="finished", label=label, lock=_lock_of(one))


def _tried(one: Attempt) -> BackupSetOut:
    facts: dict[str, Any] = one.facts or {}
    took = (one.ended - one.started).total_seconds() if one.ended else None
    return BackupSetOut(
        set=one.set_id,
        state=one.state,
        at=datetime.fromisoformat(facts["recovery_point"]) if facts else one.started,
        label=one.label,
        seconds=took,
        error=one.error,
        **{name: facts.get(name) for name in ("purpose", "bytes", "stored", "new_bytes", "fence_ms")},
    )


def _troubles(state: State | None, opened: Iterable[Incident]) -> list[TroubleOut]:
    by_cause = {one.contract.removeprefix(PREFIX): one for one in opened}
    found = []
    for one in state.state.get("troubles", ()) if state else ():
        incident = by_cause.get(one["cause"])
        since, seen_by = (incident.opened, incident.acknowledged_by) if incident else (None, None)
        found.append(TroubleOut(**one, since=since, acknowledged_by=seen_by))
    return found
