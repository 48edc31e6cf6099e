"""Connections and their checks, as the API tells them. Times are UTC, latencies seconds over the last day."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel

State = Literal["healthy", "degraded", "broken"]


class ConnectionOut(BaseModel):
    """A connection as it stands."""

    name: str
    state: State
    cause: str
    since: datetime
    checked: datetime
    last_success: datetime | None
    version: str | None
    latency_p50: float | None
    latency_p95: float | None
    vitals: list[dict[str, Any]]


class ConnectionsOut(BaseModel):
    """All of them."""

    connections: list[ConnectionOut]
    total_entries: int


class CheckOut(BaseModel):
    """One past check."""

    checked: datetime
    state: State
    cause: str
    latencies: list[float]


class HistoryOut(BaseModel):
    """The checks of one connection."""

    connection: str
    checks: list[CheckOut]
    total_entries: int
