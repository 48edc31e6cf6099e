"""Backfills: a pipeline over its partitions, each a run of its own beside the others.

A run has a scope: the partition it works on, or '' for all a run may see. Runs of different partitions may be under way
together; one without a partition is alone, as before.
"""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Give runs a scope, and make the two tables."""
    op.execute("ALTER TABLE runs ADD COLUMN scope text NOT NULL DEFAULT ''")
    op.execute("ALTER TABLE runs DROP CONSTRAINT runs_orchestrator_check")
    op.execute(
        "ALTER TABLE runs ADD CONSTRAINT runs_orchestrator_check CHECK (orchestrator IN ('cli', 'airflow', 'backfill'))"
    )
    op.execute("DROP INDEX runs_one_unfinished")
    op.execute("CREATE UNIQUE INDEX runs_one_unfinished ON runs (pipeline, scope) WHERE state = 'running'")
    op.execute(
        """CREATE TABLE backfills (
            id text PRIMARY KEY,
            pipeline text NOT NULL,
            request json NOT NULL,
            request_hash text NOT NULL,
            definition_hash text NOT NULL,
            parallel integer NOT NULL CHECK (parallel BETWEEN 1 AND 16),
            state text NOT NULL CHECK (state IN ('running', 'success', 'failed', 'abandoned')),
            requested_by text,
            correlation_id text,
            created timestamptz NOT NULL,
            ended timestamptz
        )"""
    )
    op.execute("CREATE INDEX backfills_by_pipeline ON backfills (pipeline, created)")
    op.execute("CREATE UNIQUE INDEX backfills_one_unfinished ON backfills (pipeline) WHERE state = 'running'")
    op.execute(
        """CREATE TABLE backfill_partitions (
            backfill_id text REFERENCES backfills (id) ON DELETE CASCADE,
            position integer,
            key text NOT NULL,
            params json NOT NULL,
            state text NOT NULL CHECK (state IN ('pending', 'running', 'success', 'failed')),
            attempts integer NOT NULL,
            run_id text,
            error json,
            started timestamptz,
            ended timestamptz,
            PRIMARY KEY (backfill_id, position)
        )"""
    )
