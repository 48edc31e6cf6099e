"""Retention of lineage: events of runs long past go, and what they told of the present stays.

Kept is, of each job, the run that held at the limit and everything after: the graph of every moment since the limit is
as it was, and `rebuild` makes it again. Of earlier moments only what still held at the limit is known.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import text

from data_workbench.metastore.database import Metastore
from data_workbench.metastore.lineage import fold_lock

_PAST = """CREATE TEMPORARY TABLE past ON COMMIT DROP AS
    SELECT r.run_id, r.job_id FROM lineage_runs r
    WHERE r.last_seen < :before AND (r.run_id, r.job_id) NOT IN (
        SELECT DISTINCT ON (job_id) run_id, job_id FROM lineage_runs
        WHERE held_from < :before ORDER BY job_id, held_from DESC, run_id DESC
    )"""


def expire(store: Metastore, before: datetime) -> int:
    """Remove events of runs that were last heard of before a moment, but those that still held then; how many events.

    Events about datasets and jobs alone stay: they are few, and nothing takes their place.
    """
    with store.transaction() as connection:
        fold_lock(connection)
        connection.execute(text(_PAST), {"before": before})
        removed = connection.execute(
            text("DELETE FROM lineage_events e USING past p WHERE e.run_id = p.run_id AND e.job_id = p.job_id")
        ).rowcount
        connection.execute(
            text("DELETE FROM lineage_runs r USING past p WHERE r.run_id = p.run_id AND r.job_id = p.job_id")
        )
        connection.execute(
            text(
                "DELETE FROM lineage_versions v WHERE NOT EXISTS (SELECT FROM lineage_runs r WHERE r.version_id = v.id)"
            )
        )
    return removed
