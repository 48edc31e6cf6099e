"""What somebody corrected in quarantined rows."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; rows that were kept before have no edits."""
    op.execute("ALTER TABLE quarantine ADD COLUMN edits json")
