"""Metrics of datasets over time, and of what kind a check is."""

from __future__ import annotations

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.execute("ALTER TABLE checks ADD COLUMN kind text")
    op.execute(
        """CREATE TABLE quality_metrics (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            dataset text NOT NULL,
            "column" text NOT NULL,
            name text NOT NULL,
            measured timestamptz NOT NULL DEFAULT now(),
            value double precision NOT NULL,
            good double precision,
            total double precision
        )"""
    )
    op.execute("CREATE INDEX quality_metrics_by_dataset ON quality_metrics (dataset, measured)")
    op.execute("CREATE INDEX quality_metrics_by_name ON quality_metrics (name, measured)")


def downgrade() -> None:
    """Drop it."""
    op.execute("DROP TABLE quality_metrics")
    op.execute("ALTER TABLE checks DROP COLUMN kind")
