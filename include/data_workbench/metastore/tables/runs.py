"""What pipelines are, what their runs did and where they stand."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, Index, Integer, LargeBinary, Table, Text, text

from data_workbench.metastore.tables.base import DOCUMENT, WHEN, metadata, run_id

pipelines = Table(
    "pipelines",
    metadata,
    Column("name", Text, primary_key=True),
    Column("definition_hash", Text, nullable=False),
    Column("definition", Text, nullable=False),
    Column("first_seen", WHEN, nullable=False),
    Column("last_seen", WHEN, nullable=False),
)

runs = Table(
    "runs",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("pipeline", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("orchestrator", Text, nullable=False),
    Column("params", DOCUMENT, nullable=False),
    Column("options", DOCUMENT, nullable=False),
    Column("definition_hash", Text, nullable=False),
    Column("plan", DOCUMENT),
    Column("now", WHEN, nullable=False),
    Column("started", WHEN, nullable=False),
    Column("ended", WHEN),
    Column("result", DOCUMENT),
    Column("error", DOCUMENT),
    Column("requested_by", Text),
    Column("correlation_id", Text),
    Column("scope", Text, nullable=False, server_default=text("''")),
    Index("runs_by_pipeline", "pipeline", "started"),
    Index("runs_one_unfinished", "pipeline", "scope", unique=True, postgresql_where=text("state = 'running'")),
)

run_stages = Table(
    "run_stages",
    metadata,
    run_id(primary_key=True),
    Column("stage", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("counts", DOCUMENT),
    Column("error", DOCUMENT),
    Column("started", WHEN, nullable=False),
    Column("ended", WHEN),
    Column("beat", WHEN),
    Column("moved", WHEN),
    Column("progress", DOCUMENT),
    Column("measures", DOCUMENT),
)

pipeline_totals = Table(
    "pipeline_totals",
    metadata,
    Column("pipeline", Text, primary_key=True),
    Column("state", Text, primary_key=True),
    Column("runs", BigInteger, nullable=False),
    Column("seconds", Double, nullable=False),
    Column("read", BigInteger, nullable=False),
    Column("written", BigInteger, nullable=False),
    Column("quarantined", BigInteger, nullable=False),
    Column("retries", BigInteger, nullable=False),
    Column("latest", WHEN, nullable=False),
)

confirmations = Table(
    "confirmations",
    metadata,
    run_id(primary_key=True),
    Column("destination", Text, primary_key=True),
    Column("counts", DOCUMENT, nullable=False),
    Column("confirmed", WHEN, nullable=False),
)

destination_states = Table(
    "destination_states",
    metadata,
    Column("pipeline", Text, primary_key=True),
    Column("destination", Text, primary_key=True),
    Column("run_id", Text, nullable=False),
    Column("counts", DOCUMENT, nullable=False),
    Column("confirmed", WHEN, nullable=False),
)

staged_states = Table(
    "staged_states",
    metadata,
    run_id(primary_key=True),
    Column("source", Text, primary_key=True),
    Column("scope", Text, primary_key=True),
    Column("state", DOCUMENT, nullable=False),
    Column("overlap", LargeBinary),
)

source_states = Table(
    "source_states",
    metadata,
    Column("pipeline", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("scope", Text, primary_key=True),
    Column("state", DOCUMENT, nullable=False),
    Column("overlap", LargeBinary),
    Column("run_id", Text, nullable=False),
    Column("updated", WHEN, nullable=False),
)
