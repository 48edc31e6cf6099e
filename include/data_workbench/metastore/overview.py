"""Runs and quarantine at a glance: what pages and monitoring ask, each in one statement however many there are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, text

from data_workbench.metastore.database import Metastore
from data_workbench.metastore.row_counts import QUARANTINED, READ, WRITTEN
from data_workbench.metastore.runs import Orchestrator, RunState

_SUMMARY: Final = f"""
SELECT run_id, pipeline, state, orchestrator, started, ended, {READ} AS read, {WRITTEN} AS written,
    {QUARANTINED} AS quarantined, error->>'message' AS trouble
FROM (SELECT run_id, pipeline, state, orchestrator, started, ended, result, error,
             row_number() OVER (PARTITION BY pipeline ORDER BY started DESC, run_id) AS place FROM runs
      WHERE (CAST(:pipeline AS text) IS NULL OR pipeline = :pipeline)
        AND (CAST(:run_id AS text) IS NULL OR run_id = :run_id)) latest
WHERE place <= :count ORDER BY pipeline, started DESC, run_id
"""


@dataclass(frozen=True)
class RunSummary:
    """A run in one line. Counts are rows over all sources, destinations and steps; None where nothing was counted."""

    run_id: str
    pipeline: str
    state: RunState
    orchestrator: Orchestrator
    started: datetime
    ended: datetime | None
    read: int | None
    written: int | None
    quarantined: int | None
    trouble: str | None

    @property
    def seconds(self) -> float | None:
        """How long it took; None while it runs."""
        return (self.ended - self.started).total_seconds() if self.ended else None


@dataclass(frozen=True)
class Waiting:
    """Open quarantined rows of one rule.

    Args:
        newest: the id of the newest of them.
    """

    pipeline: str
    node: str
    rule: str
    rows: int
    newest: int


def latest_runs(store: Metastore, *, count: int, pipeline: str | None = None) -> list[RunSummary]:
    """The latest `count` runs of each pipeline, or of one, the newest of a pipeline first."""
    with store.transaction() as connection:
        found = connection.execute(text(_SUMMARY), {"count": count, "pipeline": pipeline, "run_id": None})
        return [_summary(row) for row in found]


def summary_of(store: Metastore, run_id: str) -> RunSummary | None:
    """One run in one line."""
    with store.transaction() as connection:
        found = connection.execute(text(_SUMMARY), {"count": 1, "pipeline": None, "run_id": run_id})
        row = found.one_or_none()
        return None if row is None else _summary(row)


def open_rows(store: Metastore) -> dict[str, int]:
    """Open quarantined rows of each pipeline that has some."""
    statement = text("SELECT pipeline, count(*) AS rows FROM quarantine WHERE state = 'open' GROUP BY pipeline")
    with store.transaction() as connection:
        return {row.pipeline: int(row.rows) for row in connection.execute(statement)}


def open_by_rule(store: Metastore, pipeline: str, *, limit: int = 100) -> list[Waiting]:
    """Open quarantined rows of a pipeline by step and rule, the most frequent first; a row may break several."""
    statement = text(
        "SELECT pipeline, node, rule, count(*) AS rows, max(id) AS newest"
        " FROM quarantine, unnest(rules) AS rule WHERE state = 'open' AND pipeline = :pipeline"
        " GROUP BY pipeline, node, rule ORDER BY rows DESC, node, rule LIMIT :limit"
    )
    with store.transaction() as connection:
        found = connection.execute(statement, {"pipeline": pipeline, "limit": limit})
        return [Waiting(**row._mapping) for row in found]


def _summary(row: Row[Any]) -> RunSummary:
    values = dict(row._mapping)
    for name in ("read", "written", "quarantined"):
        values[name] = None if values[name] is None else int(values[name])  # a sum of bigints comes as a Decimal
    return RunSummary(**values)
