"""What monitoring needs: signs of life and measures of stages, totals of pipelines, and tokens for machines that ask.

`beat` is the last sign of life of a stage, `moved` the last time something in it moved on.
"""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns and tables; earlier runs are counted, their rows are not."""
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
    op.execute(
        """CREATE TABLE pipeline_totals (
            pipeline text,
            state text,
            runs bigint NOT NULL,
            seconds double precision NOT NULL,
            read bigint NOT NULL,
            written bigint NOT NULL,
            quarantined bigint NOT NULL,
            retries bigint NOT NULL,
            latest timestamptz NOT NULL,
            PRIMARY KEY (pipeline, state)
        )"""
    )
    op.execute(
        """INSERT INTO pipeline_totals
        SELECT pipeline, state, count(*), sum(extract(epoch FROM ended - started)), 0, 0, 0, 0, max(ended)
        FROM runs WHERE state <> 'running' AND ended IS NOT NULL GROUP BY pipeline, state"""
    )
