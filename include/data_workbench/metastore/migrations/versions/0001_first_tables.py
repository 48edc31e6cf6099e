"""The first tables: pipelines, runs, states, quarantine, deferred relationships, vector fingerprints."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_RUNS = """
CREATE TABLE pipelines (
    name text PRIMARY KEY,
    definition_hash text NOT NULL,
    definition text NOT NULL,
    first_seen timestamptz NOT NULL,
    last_seen timestamptz NOT NULL
);
CREATE TABLE runs (
    run_id text PRIMARY KEY,
    pipeline text NOT NULL,
    state text NOT NULL CHECK (state IN ('running', 'success', 'failed', 'abandoned')),
    orchestrator text NOT NULL CHECK (orchestrator IN ('cli', 'airflow')),
    params json NOT NULL,
    options json NOT NULL,
    definition_hash text NOT NULL,
    plan json,
    now timestamptz NOT NULL,
    started timestamptz NOT NULL,
    ended timestamptz,
    result json,
    error json,
    requested_by text,
    correlation_id text
);
CREATE INDEX runs_by_pipeline ON runs (pipeline, started);
CREATE UNIQUE INDEX runs_one_unfinished ON runs (pipeline) WHERE state = 'running';
CREATE TABLE run_stages (
    run_id text REFERENCES runs (run_id) ON DELETE CASCADE,
    stage text,
    state text NOT NULL CHECK (state IN ('running', 'success', 'failed')),
    attempt integer NOT NULL,
    counts json,
    error json,
    started timestamptz NOT NULL,
    ended timestamptz,
    PRIMARY KEY (run_id, stage)
);
"""

_STATES = """
CREATE TABLE confirmations (
    run_id text REFERENCES runs (run_id) ON DELETE CASCADE,
    destination text,
    counts json NOT NULL,
    confirmed timestamptz NOT NULL,
    PRIMARY KEY (run_id, destination)
);
CREATE TABLE destination_states (
    pipeline text,
    destination text,
    run_id text NOT NULL,
    counts json NOT NULL,
    confirmed timestamptz NOT NULL,
    PRIMARY KEY (pipeline, destination)
);
CREATE TABLE staged_states (
    run_id text REFERENCES runs (run_id) ON DELETE CASCADE,
    source text,
    scope text,
    state json NOT NULL,
    overlap bytea,
    PRIMARY KEY (run_id, source, scope)
);
CREATE TABLE source_states (
    pipeline text,
    source text,
    scope text,
    state json NOT NULL,
    overlap bytea,
    run_id text NOT NULL,
    updated timestamptz NOT NULL,
    PRIMARY KEY (pipeline, source, scope)
);
"""

_ROWS = """
CREATE TABLE quarantine (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pipeline text NOT NULL,
    run_id text NOT NULL,
    node text NOT NULL,
    source text,
    rules text[] NOT NULL,
    reason text NOT NULL,
    key text,
    "row" json NOT NULL,
    ordinal bigint NOT NULL,
    seq integer NOT NULL DEFAULT 0,
    state text NOT NULL DEFAULT 'open'
        CHECK (state IN ('open', 'replayed', 'resolved', 'discarded', 'superseded')),
    created timestamptz NOT NULL DEFAULT now(),
    changed timestamptz,
    changed_by text,
    CONSTRAINT quarantine_once UNIQUE (run_id, node, ordinal, seq)
);
CREATE INDEX quarantine_open ON quarantine (pipeline, node) WHERE state = 'open';
CREATE TABLE deferred (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pipeline text NOT NULL,
    destination text NOT NULL,
    target text NOT NULL,
    key_hash bytea NOT NULL,
    key text NOT NULL,
    "row" json NOT NULL,
    run_id text NOT NULL,
    created timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT deferred_once UNIQUE (pipeline, destination, target, key_hash)
);
CREATE TABLE vector_fingerprints (
    dataset text,
    collection text,
    key text,
    vector_hash text NOT NULL,
    text_hash text,
    model text,
    run_id text NOT NULL,
    PRIMARY KEY (dataset, collection, key)
);
"""


def upgrade() -> None:
    """Make them."""
    for statements in (_RUNS, _STATES, _ROWS):
        for statement in statements.split(";\n"):
            if statement.strip():
                op.execute(statement)
