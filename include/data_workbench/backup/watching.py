"""Keeping what was observed of a repository, and telling what changed: one incident for one cause, until it is over."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from data_workbench.backup.judging import CAUSES, Limits, Observation, Trouble, judge
from data_workbench.metastore import backups, incidents
from data_workbench.metastore.alerts import Alert
from data_workbench.metastore.incidents import Incident, Step

if TYPE_CHECKING:
    from data_workbench.metastore import Metastore
    from data_workbench.settings import Settings

PREFIX: Final = "backup:"
"""Before the cause, in the name of an incident."""


def limits_of(settings: Settings) -> Limits:
    """From when on somebody is told, as the settings say."""
    return Limits(
        newest=timedelta(hours=settings.backup_max_hours),
        verified=timedelta(days=settings.backup_verify_days),
        log=timedelta(minutes=settings.log_max_minutes),
        free=settings.min_free_disk,
    )


def watch(
    store: Metastore,
    seen: Observation,
    settings: Settings,
    *,
    routes: Callable[[Alert], Sequence[str]],
    broken_connections: Collection[str] = (),
) -> list[Trouble]:
    """Keep an observation, and open or close the incident of each cause; what is wrong.

    Args:
        broken_connections: stores that are known to be away. A set that failed for that is told by their own alerts;
            a set that is still missing once it is late is told here.
    """
    found = judge(seen, limits_of(settings))
    if broken_connections and _is_away(seen):
        found = [one for one in found if one.cause != "failed"]
    backups.keep_state(store, seen.address, {**seen.model_dump(mode="json"), "troubles": [vars(one) for one in found]})
    by_cause = {one.cause: one for one in found}
    unknown = seen.unreachable is not None
    escalation = timedelta(hours=settings.escalation_hours)
    for cause in CAUSES:
        if unknown and cause != "unreachable":
            continue  # whether it is over, nobody knows
        step = _decision(by_cause.get(cause), seen.address, escalation)
        incidents.move(store, PREFIX + cause, step, routes)
    return found


def _is_away(seen: Observation) -> bool:
    failed = next((one for one in seen.attempts if one["state"] == "failed"), None)
    return failed is not None and (failed["error"] or {}).get("kind") == "StoreUnavailable"


def _decision(trouble: Trouble | None, address: str, escalation: timedelta) -> incidents.Decide:
    def decide(before: Incident | None, now: datetime) -> Step | None:
        if trouble is None:
            return None if before is None else Step({"recovered": now}, _recovered(before, now))
        if before is None:
            values: Mapping[str, Any] = {
                "dataset": address, "owner": None, "severity": trouble.severity, "checks": [trouble.cause], "told": now,
            }  # fmt: skip
            return Step(dict(values), _alert(f"backup.{trouble.cause}", trouble, address))
        values = {"severity": trouble.severity}
        if before.snoozed_until is not None and now < before.snoozed_until:
            return Step(dict(values))
        is_due = before.acknowledged_by is None and before.escalated is None
        if is_due and now - before.opened >= escalation:
            return Step({**values, "escalated": now}, _alert("backup.escalated", trouble, address))
        return Step(dict(values))

    return decide


def _alert(topic: str, trouble: Trouble, address: str) -> Alert:
    still = "still, and nobody has acknowledged it: " if topic == "backup.escalated" else ""
    detail = {"cause": trouble.cause, "dataset": address, "owner": None, "next": trouble.hint}
    subject = PREFIX + trouble.cause
    return Alert(topic=topic, subject=subject, severity=trouble.severity, title=still + trouble.title, detail=detail)


def _recovered(before: Incident, now: datetime) -> Alert:
    lasted = f"{(now - before.opened).total_seconds() / 3600:.1f} h"
    cause = before.contract.removeprefix(PREFIX)
    detail = {"cause": cause, "dataset": before.dataset, "owner": None, "lasted": lasted}
    title = f"backups: {cause.replace('_', ' ')} no more, after {lasted}"
    return Alert("backup.recovered", before.contract, "info", title, detail)
