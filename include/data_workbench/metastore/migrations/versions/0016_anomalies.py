"""Unusual values of metrics, and which of them somebody called expected."""

from __future__ import annotations

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.execute(
        """CREATE TABLE anomalies (
            dataset text,
            "column" text,
            name text,
            measured timestamptz,
            value double precision NOT NULL,
            low double precision NOT NULL,
            high double precision NOT NULL,
            spreads double precision NOT NULL,
            is_new boolean NOT NULL,
            expected_by text,
            PRIMARY KEY (dataset, "column", name, measured)
        )"""
    )


def downgrade() -> None:
    """Drop it."""
    op.execute("DROP TABLE anomalies")
