"""What results mean for those who answer for a dataset: one alert when a contract breaks, one when it holds again.

A hundred broken checks of a contract are one incident. What could not be evaluated opens none where the store is known
to be broken, which the alert of its connection tells; and it closes none, since nothing was seen to hold.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from data_workbench.metastore import incidents
from data_workbench.metastore.alerts import Alert, Severity
from data_workbench.metastore.incidents import Incident, Step, Trouble

if TYPE_CHECKING:
    from collections.abc import Callable

    from data_workbench.metastore import Metastore

_NAMED: Final = 5
"""Checks that a title names."""


@dataclass(frozen=True)
class Surroundings:
    """What an alert says beside the trouble itself.

    Args:
        downstream: datasets and pipelines that take from the dataset.
        replay: commands that bring the dataset in order and look again.
        unusual: metrics of the dataset that are unusual just now, in words.
        escalate_after: an incident that nobody acknowledged is told once more after this long.
    """

    downstream: Sequence[str] = ()
    replay: Sequence[str] = ()
    unusual: Sequence[str] = ()
    escalate_after: timedelta = timedelta(hours=24)
    broken_connections: Collection[str] = field(default_factory=frozenset)


def tell(
    store: Metastore,
    results: Sequence[Mapping[str, Any]],
    around: Surroundings,
    routes: Callable[[Alert], Sequence[str]],
) -> Alert | None:
    """Open, keep, escalate or close the incident of one contract; the alert that was stored, if any."""
    if not results:
        return None
    contract = results[0]["contract"]
    return incidents.move(store, contract, lambda before, now: decide(before, now, results, around), routes)


def decide(
    before: Incident | None, now: datetime, results: Sequence[Mapping[str, Any]], around: Surroundings
) -> Step | None:
    """What the results of a contract mean for its incident."""
    trouble = trouble_of(results, around.broken_connections)
    is_known = any(one["outcome"] != "not_evaluated" for one in results)
    if trouble is None:
        if before is None or not is_known or any(one["outcome"] == "not_evaluated" for one in results):
            return None
        return Step({"recovered": now}, _recovery(before, now) if before.told is not None else None)
    if before is None:
        alert = _alert("quality.broken", trouble, around, trouble.severity)
        values = {**vars(trouble), "told": now}
        values.pop("contract")
        return Step(values, alert)
    values = {"checks": trouble.checks, "severity": trouble.severity}
    if before.snoozed_until is not None and now < before.snoozed_until:
        return Step(values)
    is_due = before.acknowledged_by is None and before.escalated is None
    if is_due and now - before.opened >= around.escalate_after:
        return Step(values | {"escalated": now}, _alert("quality.escalated", trouble, around, "critical"))
    return Step(values)


def trouble_of(results: Sequence[Mapping[str, Any]], broken_connections: Collection[str]) -> Trouble | None:
    """What is broken of a contract; None if nothing is, or nothing that its store's own alert does not tell."""
    first = results[0]
    connection = first["dataset"].partition(":")[0]
    told = {"failed", "warned"} | (set() if connection in broken_connections else {"not_evaluated"})
    broken = [one for one in results if one["outcome"] in told and not _is_small(one)]
    if not broken:
        return None
    worst: Severity = "critical" if any(one["level"] == "fail" for one in broken) else "warning"
    return Trouble(first["contract"], first["dataset"], first["owner"], worst, [one["name"] for one in broken])


def _is_small(one: Mapping[str, Any]) -> bool:
    """What nobody can evaluate, by its nature, is no trouble."""
    return one["outcome"] == "not_evaluated" and one["reason"] is None


def _alert(topic: str, trouble: Trouble, around: Surroundings, severity: Severity) -> Alert:
    named = ", ".join(trouble.checks[:_NAMED]) + (", …" if len(trouble.checks) > _NAMED else "")
    count = len(trouble.checks)
    word = "is still broken, and nobody has acknowledged it" if topic.endswith("escalated") else "does not hold"
    title = f"contract {trouble.contract} of {trouble.dataset} {word}: {count} check{'s' * (count != 1)} ({named})"
    detail = {
        "contract": trouble.contract,
        "dataset": trouble.dataset,
        "owner": trouble.owner,
        "checks": trouble.checks[:100],
        "downstream": list(around.downstream),
        "replay": list(around.replay),
        "unusual": list(around.unusual),
    }
    return Alert(topic=topic, subject=f"contract:{trouble.contract}", severity=severity, title=title, detail=detail)


def _recovery(before: Incident, now: datetime) -> Alert:
    lasted = f"{(now - before.opened).total_seconds() / 3600:.1f} h"
    detail = {"contract": before.contract, "dataset": before.dataset, "owner": before.owner, "lasted": lasted}
    title = f"contract {before.contract} of {before.dataset} holds again, after {lasted}"
    return Alert("quality.recovered", f"contract:{before.contract}", "info", title, detail)
