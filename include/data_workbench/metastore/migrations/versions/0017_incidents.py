"""Incidents: a contract that does not hold, from the first broken check to the last mended one."""

from __future__ import annotations

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.execute(
        """CREATE TABLE incidents (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            contract text NOT NULL,
            dataset text NOT NULL,
            owner text,
            severity text NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
            checks json NOT NULL,
            opened timestamptz NOT NULL,
            recovered timestamptz,
            acknowledged_by text,
            snoozed_until timestamptz,
            told timestamptz,
            escalated timestamptz
        )"""
    )
    op.execute("CREATE UNIQUE INDEX incidents_one_open ON incidents (contract) WHERE recovered IS NULL")


def downgrade() -> None:
    """Drop it."""
    op.execute("DROP TABLE incidents")
