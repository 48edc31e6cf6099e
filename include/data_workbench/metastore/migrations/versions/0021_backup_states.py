"""How a repository of backups was when it was looked at last: where it can go back to, its room, its sets in short."""

from __future__ import annotations

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.execute(
        """CREATE TABLE backup_states (
            address text PRIMARY KEY,
            observed timestamptz NOT NULL,
            state json NOT NULL
        )"""
    )


def downgrade() -> None:
    """Drop it."""
    op.execute("DROP TABLE backup_states")
