"""Whether a schema was told by who wrote the dataset: who reads it may name only the columns it takes.

Schemas noted before count as read until `workbench lineage rebuild`.
"""

from __future__ import annotations

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, to the key as well."""
    op.execute("ALTER TABLE lineage_schemas ADD COLUMN written boolean NOT NULL DEFAULT false")
    op.execute("ALTER TABLE lineage_schemas ALTER COLUMN written DROP DEFAULT")
    op.execute("ALTER TABLE lineage_schemas DROP CONSTRAINT lineage_schemas_pkey")
    op.execute("ALTER TABLE lineage_schemas ADD PRIMARY KEY (dataset_id, at, hash, written)")
