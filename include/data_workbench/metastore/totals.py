"""What pipelines did in all: counters that only grow, whatever becomes of the runs they count."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, select, text

from data_workbench.metastore.database import Metastore
from data_workbench.metastore.row_counts import QUARANTINED, READ, WRITTEN
from data_workbench.metastore.tables.runs import pipeline_totals

# The rows of a run as pages count them, and 0 for what was not counted.
_ADD: Final = f"""
INSERT INTO pipeline_totals (pipeline, state, runs, seconds, read, written, quarantined, retries, latest)
SELECT pipeline, state, 1, extract(epoch FROM ended - started),
    coalesce({READ}, 0), coalesce({WRITTEN}, 0), coalesce({QUARANTINED}, 0),
    (SELECT coalesce(sum(attempt - 1), 0) FROM run_stages
     WHERE run_id = :run_id AND stage !~ '^load[.].*[.][0-9]+$'),
    ended
FROM runs WHERE run_id = :run_id
ON CONFLICT (pipeline, state) DO UPDATE SET
    runs = pipeline_totals.runs + 1, seconds = pipeline_totals.seconds + excluded.seconds,
    read = pipeline_totals.read + excluded.read, written = pipeline_totals.written + excluded.written,
    quarantined = pipeline_totals.quarantined + excluded.quarantined,
    retries = pipeline_totals.retries + excluded.retries, latest = excluded.latest
"""


@dataclass(frozen=True)
class Totals:
    """All runs of one pipeline that ended in one state; rows as pages count them."""

    pipeline: str
    state: str
    runs: int
    seconds: float
    read: int
    written: int
    quarantined: int
    retries: int
    latest: datetime


def add(connection: Connection, run_id: str) -> None:
    """Count a run that has ended, in the transaction that ends it."""
    connection.execute(text(_ADD), {"run_id": run_id})


def totals(store: Metastore) -> list[Totals]:
    """By pipeline and state."""
    statement = select(pipeline_totals).order_by(pipeline_totals.c.pipeline, pipeline_totals.c.state)
    with store.transaction() as connection:
        return [Totals(**row._mapping) for row in connection.execute(statement)]
