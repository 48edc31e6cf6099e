"""Pipelines and their runs, as the API tells them. Times are UTC; what was not counted is null."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel

State = Literal["running", "waiting", "success", "failed", "abandoned"]


class RunOut(BaseModel):
    """A run in one line."""

    run_id: str
    pipeline: str
    state: State
    orchestrator: str
    started: datetime
    ended: datetime | None
    seconds: float | None
    read: int | None
    written: int | None
    quarantined: int | None
    trouble: str | None


class PipelineOut(BaseModel):
    """A pipeline by its latest run."""

    pipeline: str
    latest: RunOut
    quarantine: int
    """Rows that wait there, of all runs."""


class PipelinesOut(BaseModel):
    """All that ever ran."""

    pipelines: list[PipelineOut]
    total_entries: int


class StageOut(BaseModel):
    """One stage of a run, its latest attempt."""

    stage: str
    state: str
    attempt: int
    started: datetime
    ended: datetime | None
    seconds: float | None
    trouble: str | None
    hint: str | None


class RunDetailsOut(BaseModel):
    """A run with its stages and the document `workbench run --json` ends with (null while it runs)."""

    run: RunOut
    requested_by: str | None
    correlation_id: str | None
    params: dict[str, Any]
    stages: list[StageOut]
    document: dict[str, Any] | None
