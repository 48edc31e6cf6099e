"""Lineage: OpenLineage events as they came, and the graph that is derived from them.

Everything but `lineage_events` is a function of the set of events, whatever the order they came in:
`workbench lineage rebuild` makes it again. Ids are hashes of names or contents, so that they are the same then.
"""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_NAMES = """CREATE TABLE {} (
    id text PRIMARY KEY,
    namespace text NOT NULL,
    name text NOT NULL,
    first_seen timestamptz NOT NULL,
    last_seen timestamptz NOT NULL,
    facets json NOT NULL
)"""


def upgrade() -> None:
    """Make the tables, and the view that tells which version of a job held from when to when."""
    op.execute(
        """CREATE TABLE lineage_events (
            id text PRIMARY KEY,
            sequence bigint GENERATED ALWAYS AS IDENTITY,
            kind text NOT NULL CHECK (kind IN ('run', 'job', 'dataset')),
            at timestamptz NOT NULL,
            state text,
            run_id text,
            job_id text,
            received timestamptz NOT NULL DEFAULT now(),
            event json NOT NULL
        )"""
    )
    op.execute("CREATE UNIQUE INDEX lineage_events_by_sequence ON lineage_events (sequence)")
    op.execute("CREATE INDEX lineage_events_by_time ON lineage_events (at)")
    op.execute("CREATE INDEX lineage_events_by_run ON lineage_events (run_id)")
    op.execute(_NAMES.format("lineage_jobs"))
    op.execute(_NAMES.format("lineage_datasets"))
    op.execute("CREATE TABLE lineage_versions (id text PRIMARY KEY, job_id text NOT NULL)")
    op.execute(
        """CREATE TABLE lineage_runs (
            run_id text,
            job_id text,
            parent_run_id text,
            parent_job_id text,
            state text,
            state_at timestamptz,
            first_seen timestamptz NOT NULL,
            last_seen timestamptz NOT NULL,
            confirmed timestamptz,
            named_outputs timestamptz,
            held_from timestamptz,
            version_id text,
            origin text,
            facets json NOT NULL,
            PRIMARY KEY (run_id, job_id)
        )"""
    )
    op.execute("CREATE INDEX lineage_runs_by_job ON lineage_runs (job_id, held_from, run_id)")
    op.execute("CREATE INDEX lineage_runs_by_version ON lineage_runs (version_id)")
    op.execute("CREATE INDEX lineage_runs_by_origin ON lineage_runs (origin)")
    op.execute(
        """CREATE TABLE lineage_dataset_edges (
            version_id text REFERENCES lineage_versions (id) ON DELETE CASCADE,
            dataset_id text,
            role text CHECK (role IN ('input', 'output')),
            described boolean NOT NULL,
            PRIMARY KEY (version_id, dataset_id, role)
        )"""
    )
    op.execute("CREATE INDEX lineage_dataset_edges_by_dataset ON lineage_dataset_edges (dataset_id)")
    op.execute(
        """CREATE TABLE lineage_column_edges (
            version_id text NOT NULL REFERENCES lineage_versions (id) ON DELETE CASCADE,
            input_id text NOT NULL,
            input_column text NOT NULL,
            output_id text NOT NULL,
            output_column text,
            kinds text[] NOT NULL,
            expressions text[] NOT NULL
        )"""
    )
    op.execute("CREATE INDEX lineage_column_edges_by_version ON lineage_column_edges (version_id)")
    op.execute(
        """CREATE TABLE lineage_schemas (
            dataset_id text,
            at timestamptz,
            hash text,
            PRIMARY KEY (dataset_id, at, hash)
        )"""
    )
    op.execute("CREATE TABLE lineage_schema_fields (hash text PRIMARY KEY, fields json NOT NULL)")
    op.execute(
        """CREATE VIEW lineage_spans AS
        SELECT job_id, version_id, held_from AS valid_from,
               lead(held_from) OVER (PARTITION BY job_id ORDER BY held_from, run_id) AS valid_to
        FROM (
            SELECT job_id, version_id, held_from, run_id,
                   lag(version_id) OVER (PARTITION BY job_id ORDER BY held_from, run_id) AS before
            FROM lineage_runs WHERE held_from IS NOT NULL
        ) AS counted
        WHERE version_id IS DISTINCT FROM before"""
    )
