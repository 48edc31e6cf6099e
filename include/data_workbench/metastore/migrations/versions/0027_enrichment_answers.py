"""What the outside answered to enriching steps, until it is too old."""

from __future__ import annotations

from alembic import op

revision = "0027"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.execute(
        """CREATE TABLE enrichment_answers (
            question text PRIMARY KEY,
            answer text NOT NULL,
            asked timestamptz NOT NULL,
            until timestamptz NOT NULL
        )"""
    )
    op.execute("CREATE INDEX enrichment_answers_by_end ON enrichment_answers (until)")
