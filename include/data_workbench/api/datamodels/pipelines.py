"""Pipelines and their runs, as the API tells them. Times are UTC; what was not counted is null."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel

State = Literal["running", "waiting", "stuck", "success", "failed", "abandoned"]


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


class ProgressOut(BaseModel):
    """How far a running stage has come, a few seconds ago."""

    phase: str
    rows: int
    expected: int | None
    bytes: int


class StageOut(BaseModel):
    """One stage of a run, its latest attempt; bytes, seconds and rows, `lag` in seconds."""

    stage: str
    state: str
    attempt: int
    retries: int
    started: datetime
    ended: datetime | None
    seconds: float | None
    rows_in: int | None
    rows_out: int | None
    bytes_in: int | None
    bytes_out: int | None
    filtered: int | None
    quarantined: int | None
    rows_per_second: float | None
    peak_memory: int | None
    lag: float | None
    progress: ProgressOut | None
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
