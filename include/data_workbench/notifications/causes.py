"""What is wrong with something that is watched: one incident for one cause, told when it begins and when it is over.

Whoever watches looks, judges, and gives what it found to `tell`; causes it could not look at stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from data_workbench.metastore import incidents
from data_workbench.metastore.alerts import Alert, Severity
from data_workbench.metastore.incidents import Incident, Step

if TYPE_CHECKING:
    from data_workbench.metastore import Metastore


@dataclass(frozen=True)
class Trouble:
    """One thing that is wrong, in words, with what to do."""

    cause: str
    severity: Severity
    title: str
    hint: str


@dataclass(frozen=True)
class Watched:
    """What is watched: `word` begins topics (`backup.missed`) and incidents (`backup:missed`)."""

    word: str
    plural: str
    address: str
    escalation: timedelta

    @property
    def prefix(self) -> str:
        """Before the cause, in the name of an incident."""
        return f"{self.word}:"


def tell(
    store: Metastore,
    watched: Watched,
    found: Iterable[Trouble],
    causes: Iterable[str],
    routes: Callable[[Alert], Sequence[str]],
) -> None:
    """Open or close the incident of each cause that was looked at.

    Args:
        found: what is wrong, one for a cause at most.
    """
    by_cause = {one.cause: one for one in found}
    for cause in causes:
        incidents.move(store, watched.prefix + cause, _decision(by_cause.get(cause), watched), routes)


def _decision(trouble: Trouble | None, watched: Watched) -> incidents.Decide:
    def decide(before: Incident | None, now: datetime) -> Step | None:
        if trouble is None:
            return None if before is None else Step({"recovered": now}, _recovered(before, watched, now))
        if before is None:
            values: Mapping[str, Any] = {
                "dataset": watched.address, "owner": None, "severity": trouble.severity, "checks": [trouble.cause],
                "told": now,
            }  # fmt: skip
            return Step(dict(values), _alert(f"{watched.word}.{trouble.cause}", trouble, watched))
        values = {"severity": trouble.severity}
        if before.snoozed_until is not None and now < before.snoozed_until:
            return Step(dict(values))
        is_due = before.acknowledged_by is None and before.escalated is None
        if is_due and now - before.opened >= watched.escalation:
            return Step({**values, "escalated": now}, _alert(f"{watched.word}.escalated", trouble, watched))
        return Step(dict(values))

    return decide


def _alert(topic: str, trouble: Trouble, watched: Watched) -> Alert:
    still = "still, and nobody has acknowledged it: " if topic.endswith(".escalated") else ""
    detail = {"cause": trouble.cause, "dataset": watched.address, "owner": None, "next": trouble.hint}
    subject = watched.prefix + trouble.cause
    return Alert(topic=topic, subject=subject, severity=trouble.severity, title=still + trouble.title, detail=detail)


def _recovered(before: Incident, watched: Watched, now: datetime) -> Alert:
    lasted = f"{(now - before.opened).total_seconds() / 3600:.1f} h"
    cause = before.contract.removeprefix(watched.prefix)
    detail = {"cause": cause, "dataset": before.dataset, "owner": None, "lasted": lasted}
    title = f"{watched.plural}: {cause.replace('_', ' ')} no more, after {lasted}"
    return Alert(f"{watched.word}.recovered", before.contract, "info", title, detail)
