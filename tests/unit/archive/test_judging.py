"""What is told of archiving, and what is not told beside it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from data_workbench.archive.judging import CAUSES, Limits, Observation, ObservedPolicy, judge

NOW = datetime(2026, 1, 10, tzinfo=UTC)
LIMITS = Limits(run=timedelta(hours=26), verified=timedelta(days=8), free=1_000)
WELL = Observation(
    address="/archives",
    at=NOW,
    policies=(ObservedPolicy("olds", NOW - timedelta(hours=20), None),),
    oldest=NOW - timedelta(days=300),
    verified=NOW - timedelta(days=7),
    free=1_000,
)


def told(**changed: Any) -> list[str]:
    return [one.cause for one in judge(replace(WELL, **changed), LIMITS)]


def test_nothing_is_told_of_what_is_well() -> None:
    assert told() == []
    assert told(policies=(), oldest=None, verified=None, free=None) == []


@pytest.mark.parametrize(
    ("changed", "cause"),
    [
        ({"unreachable": "no route to host"}, "unreachable"),
        ({"policies": (ObservedPolicy("olds", NOW, "AccessDenied"),)}, "failed"),
        ({"policies": (ObservedPolicy("olds", NOW - timedelta(hours=27), None),)}, "overdue"),
        ({"policies": (ObservedPolicy("olds", None, None),)}, "overdue"),
        ({"damaged": ("a1",)}, "damaged"),
        ({"verified": NOW - timedelta(days=9)}, "unverified"),
        ({"verified": None}, "unverified"),
        ({"free": 999}, "space"),
    ],
)
def test_each_cause_is_told_alone_with_what_to_do(changed: dict[str, Any], cause: str) -> None:
    [trouble] = judge(replace(WELL, **changed), LIMITS)
    assert trouble.cause == cause
    assert trouble.cause in CAUSES
    assert "archive" in trouble.hint.lower()


def test_archives_that_were_just_begun_need_not_be_verified_yet() -> None:
    assert told(verified=None, oldest=NOW - timedelta(days=1)) == []


def test_what_follows_from_another_cause_is_not_told_beside_it() -> None:
    late = ObservedPolicy("olds", NOW - timedelta(days=9), "StoreUnavailable")
    assert told(policies=(late,)) == ["failed"]
    assert told(policies=(late,), damaged=("a1",), free=0, unreachable="gone") == ["unreachable"]
    assert told(policies=(late,), damaged=("a1",), free=0) == ["damaged", "space", "failed"]


def test_names_are_told_up_to_five() -> None:
    many = tuple(ObservedPolicy(f"p{number}", None, None) for number in range(7))
    [trouble] = judge(replace(WELL, policies=many), LIMITS)
    assert trouble.title.endswith("p0, p1, p2, p3, p4 and 2 more")
