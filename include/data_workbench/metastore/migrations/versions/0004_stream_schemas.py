"""The schemas streams have had."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.execute(
        """CREATE TABLE stream_schemas (
            connection text,
            stream text,
            version integer,
            seen timestamptz NOT NULL,
            schema text NOT NULL,
            columns json NOT NULL,
            changes json NOT NULL,
            PRIMARY KEY (connection, stream, version)
        )"""
    )
