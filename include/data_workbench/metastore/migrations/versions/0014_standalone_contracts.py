"""Checks of contracts that belong to no pipeline: who answers for them, and how the rest is found."""

from __future__ import annotations

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    op.execute("ALTER TABLE checks ADD COLUMN owner text, ADD COLUMN finder text")
    op.execute("CREATE INDEX checks_by_contract ON checks (contract, checked)")


def downgrade() -> None:
    """Drop them."""
    op.execute("DROP INDEX checks_by_contract")
    op.execute("ALTER TABLE checks DROP COLUMN owner, DROP COLUMN finder")
