"""What a trouble means for an incident: told once, again only where it got worse, and to nobody while it is snoozed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from data_workbench.metastore.incidents import Incident, Trouble
from data_workbench.quality.incidents import Surroundings, decide

NOW = datetime(2026, 11, 27, 7, tzinfo=UTC)
WARNING = Trouble("parts", "pg:parts", "team", "warning", ["a"])
CRITICAL = replace(WARNING, severity="critical", checks=["a", "b"])
OPEN = Incident(1, "parts", "pg:parts", "team", "warning", ["a"], NOW - timedelta(hours=1), told=NOW)


def told(before: Incident | None, trouble: Trouble | None) -> tuple[str, str] | None:
    step = decide(before, NOW, trouble, Surroundings(), is_clear=trouble is None)
    return (step.alert.topic, step.alert.severity) if step and step.alert else None


def test_a_warning_that_becomes_critical_is_told_again_and_what_stays_or_eases_is_not() -> None:
    assert told(None, WARNING) == ("quality.broken", "warning")
    assert told(OPEN, replace(WARNING, checks=["a", "c", "d"])) is None
    assert told(OPEN, CRITICAL) == ("quality.broken", "critical")
    assert told(replace(OPEN, acknowledged_by="ada"), CRITICAL) == ("quality.broken", "critical")
    assert told(replace(OPEN, severity="critical"), CRITICAL) is None
    assert told(replace(OPEN, severity="critical"), WARNING) is None


def test_what_is_snoozed_is_told_when_it_wakes_if_it_got_worse_meanwhile() -> None:
    snoozed = replace(OPEN, snoozed_until=NOW + timedelta(hours=1))
    assert told(snoozed, CRITICAL) is None
    step = decide(snoozed, NOW, CRITICAL, Surroundings(), is_clear=False)
    assert step is not None
    awake = replace(snoozed, **{**step.values, "snoozed_until": NOW - timedelta(minutes=1)})
    assert told(awake, CRITICAL) == ("quality.broken", "critical")
