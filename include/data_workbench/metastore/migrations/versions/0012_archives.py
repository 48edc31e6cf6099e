"""Archives: what they hold, so that rows are found without opening a file.

`archive_texts` has the words of some columns in blocks of rows: GIN finds the blocks, the rows in them are looked at.
"""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the three tables."""
    op.execute(
        """CREATE TABLE archives (
            archive text PRIMARY KEY,
            shelf text NOT NULL,
            policy text NOT NULL,
            connection text NOT NULL,
            dataset text NOT NULL,
            database text NOT NULL,
            partition text NOT NULL,
            state text NOT NULL CHECK (state IN ('written', 'live', 'restored', 'replaced', 'expired')),
            rows bigint NOT NULL,
            live bigint NOT NULL,
            bytes bigint NOT NULL,
            raw_bytes bigint NOT NULL,
            manifest text NOT NULL,
            created timestamptz NOT NULL,
            retained_until timestamptz,
            legal_hold boolean NOT NULL,
            changed timestamptz NOT NULL DEFAULT now()
        )"""
    )
    op.execute("CREATE INDEX archives_by_policy ON archives (policy, created)")
    op.execute(
        """CREATE TABLE archive_parts (
            archive text REFERENCES archives (archive) ON DELETE CASCADE,
            part integer,
            sha256 text NOT NULL,
            rows bigint NOT NULL,
            bytes bigint NOT NULL,
            first_key text COLLATE "C" NOT NULL,
            last_key text COLLATE "C" NOT NULL,
            first_time text COLLATE "C" NOT NULL,
            last_time text COLLATE "C" NOT NULL,
            attributes jsonb NOT NULL,
            PRIMARY KEY (archive, part)
        )"""
    )
    op.execute("CREATE INDEX archive_parts_by_attributes ON archive_parts USING gin (attributes jsonb_path_ops)")
    op.execute(
        """CREATE TABLE archive_texts (
            archive text,
            part integer,
            first_row bigint,
            rows bigint NOT NULL,
            words tsvector NOT NULL,
            PRIMARY KEY (archive, part, first_row),
            FOREIGN KEY (archive, part) REFERENCES archive_parts (archive, part) ON DELETE CASCADE
        )"""
    )
    op.execute("CREATE INDEX archive_texts_by_words ON archive_texts USING gin (words)")
