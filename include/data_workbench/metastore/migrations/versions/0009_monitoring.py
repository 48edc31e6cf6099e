"""What monitoring needs: signs of life and measures of stages, and tokens for machines that ask.

`beat` is the last sign of life of a stage, `moved` the last time something in it moved on.
"""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns and the table; stages of earlier runs have no measures."""
    op.execute(
        "ALTER TABLE run_stages ADD COLUMN beat timestamptz, ADD COLUMN moved timestamptz,"
        " ADD COLUMN progress json, ADD COLUMN measures json"
    )
    op.execute(
        """CREATE TABLE service_tokens (
            id text PRIMARY KEY,
            name text NOT NULL,
            scopes text[] NOT NULL,
            hash text NOT NULL,
            created timestamptz NOT NULL DEFAULT now(),
            created_by text NOT NULL,
            expires timestamptz,
            last_used timestamptz,
            revoked timestamptz,
            revoked_by text
        )"""
    )
