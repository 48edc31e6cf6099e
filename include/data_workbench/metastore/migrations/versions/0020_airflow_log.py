"""Which entries of Airflow's event log stand in the audit trail, so that none is taken over twice.

Marks older than a day before the newest are dropped: what is that old is not read again.
"""

from __future__ import annotations

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table of marks, and the indexes that the page "Audit" filters by."""
    op.execute(
        """CREATE TABLE audit_airflow_log (
            log_id bigint NOT NULL,
            at timestamptz NOT NULL,
            sequence bigint NOT NULL,
            PRIMARY KEY (log_id, at)
        )"""
    )
    op.execute("CREATE INDEX audit_airflow_log_by_time ON audit_airflow_log (at)")
    op.execute("CREATE INDEX audit_entries_by_actor ON audit_entries (actor, sequence)")
    op.execute("CREATE INDEX audit_entries_by_run ON audit_entries (run_id, sequence) WHERE run_id IS NOT NULL")
