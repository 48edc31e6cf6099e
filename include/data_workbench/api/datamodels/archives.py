"""Archives, as the API tells them."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel


class ArchiveOut(BaseModel):
    """One archive; `live` rows are only here, its rows take `ratio` times as much in memory."""

    archive: str
    policy: str
    dataset: str
    partition: str
    state: str
    rows: int
    live: int
    bytes: int
    ratio: float | None
    created: datetime
    retained_until: datetime | None
    legal_hold: bool


class PartitionOut(BaseModel):
    """What of a span of time is archived: `live` rows are only there, the others came back or had stayed."""

    partition: str
    archives: int
    rows: int
    live: int
    bytes: int
    held: int


class PolicyOut(BaseModel):
    """What a policy has archived, over all archives still there; `along_with`: the policy that took its rows along."""

    policy: str
    dataset: str
    archives: int
    rows: int
    live: int
    bytes: int
    raw_bytes: int
    ratio: float | None
    held: int
    oldest: str
    newest: str
    along_with: str | None
    partitions: list[PartitionOut]
    last: datetime
    next_expiry: datetime | None


class ScrubOut(BaseModel):
    """The last check of every archive, or of one policy's."""

    at: datetime
    state: str
    archives: int | None
    problems: dict[str, list[str]]


class TroubleOut(BaseModel):
    """What is wrong with archiving as `watch_archives` saw it last, since when."""

    cause: str
    severity: str
    since: datetime


class ArchivesOut(BaseModel):
    """All policies that archived something, and the archives that are there, newest first."""

    troubles: list[TroubleOut]
    policies: list[PolicyOut]
    archives: list[ArchiveOut]
    scrub: ScrubOut | None
    total_entries: int
