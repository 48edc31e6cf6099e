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
        differs: what differs between its last two profiles, in words.
        escalate_after: an incident that nobody acknowledged is told once more after this long.
        find: statements that give the rows behind what is unusual.
    """

    downstream: Sequence[str] = ()
    replay: Sequence[str] = ()
    unusual: Sequence[str] = ()
    differs: Sequence[str] = ()
    escalate_after: timedelta = timedelta(hours=24)
    broken_connections: Collection[str] = field(default_factory=frozenset)
    find: Sequence[str] = ()


def tell(
    store: Metastore,
    results: Sequence[Mapping[str, Any]],
    around: Surroundings,
    routes: Callable[[Alert], Sequence[str]],
) -> Alert | None:
    """Open, keep, escalate or close the incident of one contract; the alert that was stored, if any."""
    if not results:
        return None
    trouble = trouble_of(results, around.broken_connections)
    return tell_trouble(
        store, results[0]["contract"], trouble, around, routes, is_clear=trouble is None and is_known(results)
    )


def tell_trouble(
    store: Metastore,
    subject: str,
    trouble: Trouble | None,
    around: Surroundings,
    routes: Callable[[Alert], Sequence[str]],
    *,
    is_clear: bool,
) -> Alert | None:
    """Open, keep, escalate or close the incident of a subject; the alert that was stored, if any.

    Args:
        subject: a contract, or `pipeline NAME`, or `unusual DATASET`.
        is_clear: everything was looked at, and nothing is wrong: only then an incident is over.
    """
    return incidents.move(
        store, subject, lambda before, now: decide(before, now, trouble, around, is_clear=is_clear), routes
    )


def is_known(results: Sequence[Mapping[str, Any]]) -> bool:
    """Whether all was looked at that can be, and something was."""
    return any(one["outcome"] != "not_evaluated" for one in results) and all(
        one["outcome"] != "not_evaluated" or _is_small(one) for one in results
    )


def decide(
    before: Incident | None, now: datetime, trouble: Trouble | None, around: Surroundings, *, is_clear: bool
) -> Step | None:
    """What a trouble, or that there is none, means for an incident."""
    if trouble is None:
        if before is None or not is_clear:
            return None
        return Step({"recovered": now}, _recovery(before, now) if before.told is not None else None)
    if before is None:
        alert = _alert(TOLD_AS.get(_kind(trouble.contract), "quality.broken"), trouble, around, trouble.severity)
        values = {**vars(trouble), "told": now}
        values.pop("contract")
        return Step(values, alert)
    values = {"checks": trouble.checks, "severity": trouble.severity}
    is_worse = (before.severity, trouble.severity) == ("warning", "critical")
    if before.snoozed_until is not None and now < before.snoozed_until:
        # Its severity stays the one that was told, so that it is told when it wakes.
        return Step({"checks": trouble.checks} if is_worse else values)
    if is_worse:
        topic = TOLD_AS.get(_kind(trouble.contract), "quality.broken")
        return Step(values, _alert(topic, trouble, around, trouble.severity))
    is_due = before.acknowledged_by is None and before.escalated is None
    if is_due and now - before.opened >= around.escalate_after:
        return Step(values | {"escalated": now}, _alert("quality.escalated", trouble, around, "critical"))
    return Step(values)


def trouble_of(results: Sequence[Mapping[str, Any]], broken_connections: Collection[str]) -> Trouble | None:
    """What is broken of a contract; None if nothing is, or nothing that its store's own alert does not tell."""
    first = results[0]
    broken = broken_of(results, broken_connections)
    if not broken:
        return None
    worst: Severity = "critical" if any(one["level"] == "fail" for one in broken) else "warning"
    return Trouble(first["contract"], first["dataset"], first["owner"], worst, [one["name"] for one in broken])


def broken_of(results: Sequence[Mapping[str, Any]], broken_connections: Collection[str]) -> list[Mapping[str, Any]]:
    """The results that are a trouble: what a store that is known to be away leaves open is its connection's."""
    return [
        one
        for one in results
        if one["outcome"] in ("failed", "warned")
        or (
            one["outcome"] == "not_evaluated"
            and not _is_small(one)
            and one["dataset"].partition(":")[0] not in broken_connections
        )
    ]


def _is_small(one: Mapping[str, Any]) -> bool:
    """What nobody can evaluate, by its nature, is no trouble."""
    return one["outcome"] == "not_evaluated" and one["reason"] is None


UNUSUAL: Final = "unusual"
PIPELINE: Final = "pipeline"
TOLD_AS: Final = {UNUSUAL: "quality.unusual"}


def _kind(subject: str) -> str:
    """What an incident is about, by its subject's first word; the name of a contract has one only."""
    word, _, rest = subject.partition(" ")
    return word if rest else "contract"


def _words(trouble: Trouble) -> tuple[str, str]:
    """What is in trouble, and what of it."""
    count = len(trouble.checks)
    named = ", ".join(trouble.checks[:_NAMED]) + (", …" if count > _NAMED else "")
    kind = _kind(trouble.contract)
    if kind == UNUSUAL:
        return f"dataset {trouble.dataset}", f"{count} metric{'s' * (count != 1)} ({named})"
    subject = trouble.contract if kind == PIPELINE else f"contract {trouble.contract}"
    return f"{subject} of {trouble.dataset}", f"{count} check{'s' * (count != 1)} ({named})"


def _alert(topic: str, trouble: Trouble, around: Surroundings, severity: Severity) -> Alert:
    what, of_it = _words(trouble)
    state = "is unusual" if _kind(trouble.contract) == UNUSUAL else "does not hold"
    word = "is still so, and nobody has acknowledged it" if topic.endswith("escalated") else state
    title = f"{what} {word}: {of_it}"
    detail = {
        "contract": trouble.contract,
        "dataset": trouble.dataset,
        "owner": trouble.owner,
        "checks": trouble.checks[:100],
        "downstream": list(around.downstream),
        "replay": list(around.replay),
        "unusual": list(around.unusual),
        "differs": list(around.differs),
        "find": list(around.find),
    }
    return Alert(topic=topic, subject=_subject(trouble.contract), severity=severity, title=title, detail=detail)


def _subject(contract: str) -> str:
    return contract.replace(" ", ":", 1) if _kind(contract) != "contract" else f"contract:{contract}"


def _recovery(before: Incident, now: datetime) -> Alert:
    lasted = f"{(now - before.opened).total_seconds() / 3600:.1f} h"
    detail = {"contract": before.contract, "dataset": before.dataset, "owner": before.owner, "lasted": lasted}
    what, _ = _words(Trouble(before.contract, before.dataset, before.owner, before.severity, before.checks))
    state = "is as usual again" if _kind(before.contract) == UNUSUAL else "holds again"
    return Alert("quality.recovered", _subject(before.contract), "info", f"{what} {state}, after {lasted}", detail)
