"""Backups, as the API tells them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel


class TroubleOut(BaseModel):
    """One thing that is wrong; `since` and `acknowledged_by` are its incident's, once there is one."""

    cause: str
    severity: str
    title: str
    hint: str
    since: datetime | None = None
    acknowledged_by: str | None = None


class LockOut(BaseModel):
    """Object lock of a set: `held` until a moment, `ended`, or `lifted` by somebody before its time."""

    state: str
    until: datetime
    mode: str | None = None


class BackupSetOut(BaseModel):
    """A set in short: finished, running or failed; `left_out`: stores that are set up and not in it, and why.

    `lock` is None for a set that nothing keeps from being removed, and never did.
    """

    set: str
    state: str
    at: datetime
    purpose: str | None = None
    label: str | None = None
    seconds: float | None = None
    bytes: int | None = None
    stored: int | None = None
    new_bytes: int | None = None
    fence_ms: float | None = None
    counts: dict[str, int] = {}
    moved: list[str] = []
    left_out: dict[str, str] = {}
    verified: dict[str, Any] | None = None
    lock: LockOut | None = None
    error: dict[str, Any] | None = None


class LocksOut(BaseModel):
    """Sets that cannot be removed now, and until when the newest of them and the first to be free cannot."""

    sets: int
    newest_until: datetime
    first_until: datetime
    mode: str


class NextRunOut(BaseModel):
    """When Airflow runs a DAG next; None where it is paused or unknown."""

    dag: str
    is_known: bool
    is_paused: bool
    next: datetime | None = None


class BackupsOut(BaseModel):
    """The repository as it was seen last; `observed` is None before anybody looked."""

    observed: datetime | None
    address: str | None
    unreachable: str | None
    recoverable_to: dict[str, datetime]
    recoverable_whole: datetime | None
    last_verified: datetime | None
    free: int | None
    stored: int | None
    locked: LocksOut | None
    log: dict[str, Any] | None
    troubles: list[TroubleOut]
    next_runs: list[NextRunOut]
    sets: list[BackupSetOut]
    total_entries: int


class BackupSetDetailOut(BaseModel):
    """One set with the report of its last verification."""

    set: BackupSetOut
    stores: dict[str, Any]
    report: dict[str, Any] | None
