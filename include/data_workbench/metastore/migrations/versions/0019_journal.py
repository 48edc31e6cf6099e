"""The journal: what the workbench wrote into stores, a row for each part of a load.

`content` holds the keys as Arrow, so that a part of 65,536 rows is one row here.
"""

from __future__ import annotations

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table; compressed content is not compressed again."""
    op.execute(
        """CREATE TABLE journal (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            connection text NOT NULL,
            store text NOT NULL,
            kind text NOT NULL,
            dataset text NOT NULL,
            pipeline text NOT NULL,
            definition_hash text NOT NULL,
            run_id text NOT NULL,
            destination text NOT NULL,
            target_index integer NOT NULL,
            cause text NOT NULL CHECK (cause IN ('load', 'stream', 'replace', 'repair', 'delete', 'compare')),
            part integer NOT NULL,
            rows bigint,
            content bytea,
            begun timestamptz NOT NULL DEFAULT clock_timestamp(),
            written timestamptz,
            UNIQUE (run_id, destination, target_index, cause, part)
        )"""
    )
    op.execute("ALTER TABLE journal ALTER COLUMN content SET STORAGE EXTERNAL")
    op.execute("CREATE INDEX journal_by_dataset ON journal (connection, dataset, id)")
    op.execute("CREATE INDEX journal_by_begun ON journal (begun)")
