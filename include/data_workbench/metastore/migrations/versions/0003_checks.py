"""What stood in the stores, held against the contracts: one row for each check and time it was made."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# Kept beyond its run: the history of a check is longer than that of runs. Without a run it was made by hand.
_CHECKS = """
CREATE TABLE checks (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pipeline text NOT NULL,
    run_id text,
    dataset text NOT NULL,
    name text NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('passed', 'warned', 'failed', 'not_evaluated')),
    failing bigint,
    sample json NOT NULL,
    rows bigint,
    reason text,
    contract text NOT NULL,
    destination text NOT NULL,
    level text NOT NULL CHECK (level IN ('fail', 'warn')),
    checked timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX checks_by_dataset ON checks (dataset, name, checked);
CREATE INDEX checks_by_run ON checks (run_id);
"""


def upgrade() -> None:
    """Create the table."""
    op.execute(_CHECKS)


def downgrade() -> None:
    """Drop it."""
    op.execute("DROP TABLE checks")
