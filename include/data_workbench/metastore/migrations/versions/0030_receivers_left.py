"""The receivers of a delivery that have not taken it yet."""

from __future__ import annotations

from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; null is all of them."""
    op.execute('ALTER TABLE alert_deliveries ADD COLUMN "left" json')


def downgrade() -> None:
    """Drop it."""
    op.execute('ALTER TABLE alert_deliveries DROP COLUMN "left"')
