"""Retention of runs: which have ended long enough ago, and which of those somebody still needs."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import select, text

from data_workbench.metastore.database import Metastore
from data_workbench.metastore.tables.runs import runs


def finished_before(store: Metastore, moment: datetime) -> dict[tuple[str, str], datetime]:
    """When each run that ended before `moment` ended, by (pipeline, run id): what retention may remove."""
    statement = select(runs.c.pipeline, runs.c.run_id, runs.c.ended).where(
        runs.c.state != "running", runs.c.ended < moment
    )
    with store.transaction() as connection:
        return {(row.pipeline, row.run_id): row.ended for row in connection.execute(statement)}


_EXPIRED: Final = text("""
DELETE FROM runs WHERE state <> 'running' AND ended < :moment
  AND run_id NOT IN (SELECT DISTINCT ON (pipeline) run_id FROM runs ORDER BY pipeline, started DESC, run_id DESC)
  AND run_id NOT IN (SELECT DISTINCT ON (pipeline) run_id FROM runs WHERE state = 'success'
                     ORDER BY pipeline, started DESC, run_id DESC)
  AND run_id NOT IN (SELECT run_id FROM (SELECT DISTINCT ON (pipeline, scope) run_id, state FROM runs
                                         ORDER BY pipeline, scope, started DESC, run_id DESC) AS latest
                     WHERE state = 'failed')
  AND NOT EXISTS (SELECT FROM quarantine WHERE quarantine.run_id = runs.run_id AND quarantine.state = 'open')
""")


def expire(store: Metastore, moment: datetime) -> int:
    """Remove runs that ended before `moment` and that nobody needs any more; the number removed.

    Of each pipeline the last run stays, and the last that succeeded: drift and effects are judged by its plan. So does
    a failed run that is the last of its scope, since it may be gone on with, and a run with an open quarantine.
    """
    with store.transaction() as connection:
        return connection.execute(_EXPIRED, {"moment": moment}).rowcount
