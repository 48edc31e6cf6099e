"""What a store's answers mean: healthy, degraded or broken, and why. Pure decisions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from data_workbench.metastore.alerts import Alert, Severity

if TYPE_CHECKING:
    from data_workbench.connectors.base import Health, Vital
    from data_workbench.metastore.connection_checks import ConnectionState, State

_RANK = {"healthy": 0, "degraded": 1, "broken": 2}
_SEVERITIES: dict[str, Severity] = {"healthy": "info", "degraded": "warning", "broken": "critical"}


@dataclass(frozen=True)
class Verdict:
    """A state and its cause, in words an operator can act on."""

    state: State
    cause: str


def judge(answers: Sequence[Health], latencies: Sequence[float], vitals: Sequence[Vital], slow: float) -> Verdict:
    """The state that a set of probes shows.

    Args:
        answers: one per probe, in order.
        latencies: seconds of those that were good.
        vitals: what the store says of itself.
        slow: seconds; a median above it is degraded.
    """
    failed = [one for one in answers if not one.ok]
    if len(failed) == len(answers):
        return Verdict("broken", failed[-1].detail if failed else "was not asked")
    causes = [one.trouble for one in vitals if one.trouble]
    if failed:
        causes.insert(0, f"{len(failed)} of {len(answers)} probes failed: {failed[-1].detail}")
    if median(latencies) > slow:
        causes.append(f"answers in {median(latencies):.1f} s, wanted {slow:g} s at most")
    if causes:
        return Verdict("degraded", "; ".join(causes))
    return Verdict("healthy", next(one.detail for one in answers if one.ok))


def news(before: ConnectionState | None, connection: str, verdict: Verdict) -> Alert | None:
    """The alert of a change of state: one when it changes, one when it recovers, none while it stays."""
    previous = before.state if before else "healthy"
    if previous == verdict.state:
        return None
    if verdict.state == "healthy":
        topic, title = "connection.recovered", f"connection {connection} is healthy again"
    else:
        topic, title = f"connection.{verdict.state}", f"connection {connection} is {verdict.state}: {verdict.cause}"
        if _RANK[previous] > _RANK[verdict.state]:
            title = f"connection {connection} answers again, but is {verdict.state}: {verdict.cause}"
    return Alert(
        topic=topic,
        subject=f"connection:{connection}",
        severity=_SEVERITIES[verdict.state],
        title=title,
        detail={
            "connection": connection,
            "state": verdict.state,
            "previous_state": previous,
            "cause": verdict.cause,
            "previous_since": before.since.isoformat() if before else None,
        },
    )
