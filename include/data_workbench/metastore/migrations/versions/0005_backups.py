"""Backup sets, and what verifying them found."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make both tables."""
    op.execute(
        """CREATE TABLE backup_sets (
            set_id text PRIMARY KEY,
            repository text NOT NULL,
            state text NOT NULL,
            label text NOT NULL,
            started timestamptz NOT NULL,
            ended timestamptz,
            facts json,
            error json
        )"""
    )
    op.execute("CREATE INDEX backup_sets_by_time ON backup_sets (repository, started)")
    op.execute(
        """CREATE TABLE backup_verifications (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            set_id text NOT NULL,
            repository text NOT NULL,
            kind text NOT NULL,
            outcome text NOT NULL,
            checked timestamptz NOT NULL DEFAULT now(),
            seconds double precision NOT NULL,
            report json NOT NULL
        )"""
    )
    op.execute("CREATE INDEX backup_verifications_by_set ON backup_verifications (set_id, checked)")
