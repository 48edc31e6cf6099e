"""Quarantined records as the API tells them, and what it takes. Values of classified columns are masked."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from data_workbench.metastore.quarantine import QuarantineState

Reason = Annotated[str | None, Field(max_length=1_000)]
Ids = Annotated[list[Annotated[int, Field(ge=1, lt=2**63)]], Field(min_length=1, max_length=10_000)]


class RecordOut(BaseModel):
    """A row that was set aside."""

    id: int
    pipeline: str
    run_id: str
    node: str
    source: str | None
    rules: list[str]
    reason: str
    key: dict[str, Any] | None
    row: dict[str, Any]
    ordinal: int
    """Its place in the order the source handed rows over."""
    state: QuarantineState
    created: datetime
    changed: datetime | None
    changed_by: str | None
    edits: list[dict[str, Any]] | None
    hidden: list[str]
    """Columns whose values are not told."""


class RecordsOut(BaseModel):
    """A page of them, by id; `total_entries` counts all that were asked for."""

    records: list[RecordOut]
    total_entries: int
    next_after: int | None
    """Give it as `after` for the next page; null on the last."""


class RecordDetailsOut(BaseModel):
    """A record and the rules as they were when it broke them."""

    record: RecordOut
    definition_hash: str | None
    """The version of the pipeline, and so of its rules."""
    promises: dict[str, Any]
    """What the contract asked of the columns its rules look at."""
    origin: int | None
    """Its place in the order the source handed rows over; null for one that a destination refused."""
    can_replay: bool
    """Whether the row can be read again by a key of its source; one made of several rows cannot."""


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: Reason = None
    """Why, for the audit trail."""


class EditIn(_Body):
    """Corrected values by column; null empties it."""

    set: Annotated[dict[str, Any], Field(min_length=1, max_length=500)]


class DiscardIn(_Body):
    """Records that nobody will mend."""

    records: Ids


class ReplayIn(_Body):
    """Records to send through their pipeline again, or all open ones of it."""

    pipeline: Annotated[str, Field(min_length=1, max_length=200)]
    records: Ids | Literal["all"]


class DiscardedOut(BaseModel):
    """How many were open, and are closed now."""

    discarded: int


class ReplayOut(BaseModel):
    """The DAG run that was asked for; it waits while its DAG is paused."""

    dag_id: str
    dag_run_id: str
    is_paused: bool
