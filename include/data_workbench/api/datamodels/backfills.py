"""Backfills, as they are asked for and told. Times are UTC; `seconds` of what is not over is null."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Key = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.~:+-]{1,120}$")]
"""What Airflow takes as the id of a run."""


class BackfillIn(BaseModel):
    """What is asked for; the same `idempotency_key` again is answered with the backfill it gave."""

    model_config = ConfigDict(extra="forbid", strict=True)

    pipeline: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
    from_: str | None = Field(None, alias="from", max_length=60)
    to: str | None = Field(None, max_length=60)
    only: list[str] | None = Field(None, max_length=10_000)
    params: dict[str, Any] = Field(default_factory=dict)
    parallel: int = Field(1, ge=1, le=16)
    retry_failed: bool = False
    idempotency_key: Key | None = None
    requested_by: str | None = Field(None, max_length=200)
    correlation_id: str | None = Field(None, max_length=200)

    def conf(self) -> dict[str, Any]:
        """What the DAG run is given."""
        own = self.model_dump(by_alias=True, exclude_none=True, exclude={"pipeline", "params", "idempotency_key"})
        return {**self.params, **own}


class BackfillBegun(BaseModel):
    """A backfill that Airflow will work at."""

    backfill: str
    dag_id: str
    dag_run_id: str
    paused: bool
    """Nothing happens until the DAG is unpaused."""


class PartitionOut(BaseModel):
    """One partition."""

    key: str
    state: Literal["pending", "running", "success", "failed"]
    run_id: str | None
    attempts: int
    seconds: float | None
    error: dict[str, Any] | None


class BackfillOut(BaseModel):
    """A backfill as it stands; `queued` until Airflow begins it, without partitions then."""

    backfill: str
    pipeline: str
    state: Literal["queued", "running", "success", "failed", "abandoned"]
    request: dict[str, Any]
    parallel: int
    counts: dict[str, int]
    partitions: list[PartitionOut]
