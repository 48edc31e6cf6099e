"""Profiles of datasets, each as it was taken."""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.execute(
        """CREATE TABLE profiles (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            dataset text NOT NULL,
            taken timestamptz NOT NULL,
            rows bigint NOT NULL,
            profile json NOT NULL
        )"""
    )
    op.execute("CREATE INDEX profiles_by_dataset ON profiles (dataset, taken)")


def downgrade() -> None:
    """Drop it."""
    op.execute("DROP TABLE profiles")
