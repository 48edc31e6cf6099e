"""What others change in watched streams, and columns in the projection of lineage.

Changes are entries of the journal, of cause `watch`. `watched_rows` is what a stream held when it was last looked at,
for streams whose store tells no changes; `watched_slots` are the replication slots that are ours.
"""

from __future__ import annotations

from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

_CAUSES = "'load', 'stream', 'replace', 'repair', 'delete', 'compare', 'watch'"
_INDIRECT = "ARRAY['INDIRECT', 'JOIN', 'GROUP_BY', 'FILTER', 'SORT', 'WINDOW', 'CONDITIONAL']"
_ENDS = """SELECT e.input_id AS dataset_id, e.input_column AS name
    FROM lineage_standing s JOIN lineage_column_edges e ON e.version_id = s.version_id
    UNION
    SELECT e.output_id, e.output_column
    FROM lineage_standing s JOIN lineage_column_edges e ON e.version_id = s.version_id
    WHERE e.output_column IS NOT NULL"""


def upgrade() -> None:
    """Make tables and views."""
    op.execute("ALTER TABLE journal DROP CONSTRAINT journal_cause_check")
    op.execute(f"ALTER TABLE journal ADD CONSTRAINT journal_cause_check CHECK (cause IN ({_CAUSES}))")
    op.execute(
        """CREATE TABLE watches (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            connection text NOT NULL,
            stream text NOT NULL,
            dataset text NOT NULL,
            how text NOT NULL CHECK (how IN ('wal', 'cursor', 'compare')),
            key text[] NOT NULL,
            namespace text NOT NULL,
            name text NOT NULL,
            position json,
            checked timestamptz,
            seen bigint NOT NULL DEFAULT 0,
            CONSTRAINT watches_once UNIQUE (connection, stream)
        )"""
    )
    op.execute(
        """CREATE TABLE watched_rows (
            watch_id bigint NOT NULL REFERENCES watches (id) ON DELETE CASCADE,
            key text NOT NULL,
            hash bigint NOT NULL,
            row json,
            PRIMARY KEY (watch_id, key)
        )"""
    )
    op.execute(
        """CREATE TABLE watched_slots (
            connection text PRIMARY KEY,
            slot text NOT NULL,
            position text,
            checked timestamptz
        )"""
    )
    op.execute(
        f"""CREATE VIEW lineage_graph_columns AS
        SELECT md5(dataset_id || E'\\n' || name) AS id, dataset_id, name FROM ({_ENDS}) AS ends"""
    )
    op.execute(
        f"""CREATE VIEW lineage_graph_column_ways AS
        SELECT md5(from_id || to_id) AS id, from_id, to_id, bool_or(direct) AS direct FROM (
            SELECT md5(e.input_id || E'\\n' || e.input_column) AS from_id,
                   md5(e.output_id || E'\\n' || e.output_column) AS to_id,
                   NOT (cardinality(e.kinds) > 0 AND e.kinds <@ {_INDIRECT}) AS direct
            FROM lineage_standing s JOIN lineage_column_edges e ON e.version_id = s.version_id
            WHERE e.output_column IS NOT NULL
        ) AS ways GROUP BY from_id, to_id"""
    )
