"""The rows that drive an unusual value: which they are, some of them, and how to find all."""

from __future__ import annotations

from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    op.execute(
        "ALTER TABLE anomalies ADD COLUMN driver text, ADD COLUMN finder text, "
        "ADD COLUMN sample json NOT NULL DEFAULT '[]'"
    )


def downgrade() -> None:
    """Drop them."""
    op.execute("ALTER TABLE anomalies DROP COLUMN driver, DROP COLUMN finder, DROP COLUMN sample")
