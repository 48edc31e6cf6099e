"""Connections' states and checks, alerts and their deliveries, stages that wait."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_HEALTH = """
CREATE TABLE connection_states (
    connection text PRIMARY KEY,
    state text NOT NULL CHECK (state IN ('healthy', 'degraded', 'broken')),
    cause text NOT NULL,
    since timestamptz NOT NULL,
    checked timestamptz NOT NULL,
    last_success timestamptz,
    version text,
    vitals json NOT NULL
);
CREATE TABLE connection_checks (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    connection text NOT NULL,
    checked timestamptz NOT NULL,
    state text NOT NULL CHECK (state IN ('healthy', 'degraded', 'broken')),
    cause text NOT NULL,
    latencies double precision[] NOT NULL
);
CREATE INDEX connection_checks_by_time ON connection_checks (connection, checked);
"""

_ALERTS = """
CREATE TABLE alerts (
    id text PRIMARY KEY,
    topic text NOT NULL,
    subject text NOT NULL,
    severity text NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
    title text NOT NULL,
    detail json NOT NULL,
    created timestamptz NOT NULL
);
CREATE INDEX alerts_by_time ON alerts (created);
CREATE TABLE alert_deliveries (
    alert_id text REFERENCES alerts (id) ON DELETE CASCADE,
    route text,
    state text NOT NULL CHECK (state IN ('pending', 'delivered', 'failed')),
    attempts integer NOT NULL,
    next_try timestamptz NOT NULL,
    delivered timestamptz,
    error text,
    PRIMARY KEY (alert_id, route)
);
CREATE INDEX alert_deliveries_pending ON alert_deliveries (next_try) WHERE state = 'pending';
"""

_WAITING = """
ALTER TABLE run_stages DROP CONSTRAINT run_stages_state_check;
ALTER TABLE run_stages ADD CONSTRAINT run_stages_state_check
    CHECK (state IN ('running', 'waiting', 'success', 'failed'));
"""


def upgrade() -> None:
    """Make them."""
    for statements in (_HEALTH, _ALERTS, _WAITING):
        for statement in statements.split(";\n"):
            if statement.strip():
                op.execute(statement)
