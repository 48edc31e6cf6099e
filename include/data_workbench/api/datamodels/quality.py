"""Datasets and their checks, as the API tells them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field


class QualityCheckOut(BaseModel):
    """The latest result of one check; `sample` without what is classified."""

    dataset: str
    contract: str
    pipeline: str
    destination: str
    name: str
    outcome: Literal["passed", "warned", "failed", "not_evaluated"]
    level: str
    failing: int | None
    rows: int | None
    reason: str | None
    sample: list[dict[str, Any]]
    finder: str | None
    owner: str | None
    run_id: str | None
    checked: datetime


class DatasetOut(BaseModel):
    """A dataset: its score from 0 to 100, the parts it is made of (0 to 1), and how its checks stand."""

    dataset: str
    score: float | None
    dimensions: dict[str, float]
    checks: dict[str, int]
    checked: datetime
    owners: list[str]


class IncidentOut(BaseModel):
    """A contract that does not hold."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    contract: str
    dataset: str
    owner: str | None
    severity: str
    checks: list[str]
    opened: datetime
    acknowledged_by: str | None
    snoozed_until: datetime | None
    told: datetime | None
    escalated: datetime | None
    recovered: datetime | None


class AnomalyOut(BaseModel):
    """An unusual value, and the rows that drive it: `sample` without what is classified."""

    model_config = ConfigDict(from_attributes=True)

    dataset: str
    column: str
    name: str
    measured: datetime
    value: float
    low: float
    high: float
    spreads: float
    is_new: bool
    expected_by: str | None
    driver: str | None
    finder: str | None
    sample: list[dict[str, Any]]


class AcknowledgeIn(BaseModel):
    """Somebody is at it."""

    model_config = ConfigDict(extra="forbid")

    reason: str | None = Field(None, max_length=1000)


class SnoozeIn(AcknowledgeIn):
    """Nobody wants to hear of it for so many hours."""

    hours: float = Field(24.0, ge=0, le=24 * 90)


class ExpectIn(AcknowledgeIn):
    """An unusual value was no fault."""

    dataset: str
    column: str = ""
    name: str
    measured: AwareDatetime


class QualityOut(BaseModel):
    """All datasets that have a check or a profile."""

    datasets: list[DatasetOut]
    total_entries: int
