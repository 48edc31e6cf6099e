"""The metastore's tables of lineage; see `metastore/lineage.py` for what they say."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Identity, Index, Table, Text, text
from sqlalchemy.dialects.postgresql import ARRAY

from data_workbench.metastore.tables.base import DOCUMENT, WHEN, metadata

lineage_events = Table(
    "lineage_events",
    metadata,
    Column("id", Text, primary_key=True),
    Column("sequence", BigInteger, Identity(always=True), nullable=False),
    Column("kind", Text, nullable=False),
    Column("at", WHEN, nullable=False),
    Column("state", Text),
    Column("run_id", Text),
    Column("job_id", Text),
    Column("received", WHEN, nullable=False, server_default=text("now()")),
    Column("event", DOCUMENT, nullable=False),
    Index("lineage_events_by_sequence", "sequence", unique=True),
    Index("lineage_events_by_time", "at"),
    Index("lineage_events_by_run", "run_id"),
)


def _lineage_names(name: str) -> Table:
    """Jobs and datasets alike: named by namespace and name, with the latest of each facet."""
    return Table(
        name,
        metadata,
        Column("id", Text, primary_key=True),
        Column("namespace", Text, nullable=False),
        Column("name", Text, nullable=False),
        Column("first_seen", WHEN, nullable=False),
        Column("last_seen", WHEN, nullable=False),
        Column("facets", DOCUMENT, nullable=False),
    )


lineage_jobs = _lineage_names("lineage_jobs")
lineage_datasets = _lineage_names("lineage_datasets")

lineage_versions = Table(
    "lineage_versions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("job_id", Text, nullable=False),
)

lineage_runs = Table(
    "lineage_runs",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("job_id", Text, primary_key=True),
    Column("parent_run_id", Text),
    Column("parent_job_id", Text),
    Column("state", Text),
    Column("state_at", WHEN),
    Column("first_seen", WHEN, nullable=False),
    Column("last_seen", WHEN, nullable=False),
    Column("confirmed", WHEN),
    Column("named_outputs", WHEN),
    Column("held_from", WHEN),
    Column("version_id", Text),
    Column("origin", Text),
    Column("facets", DOCUMENT, nullable=False),
    Index("lineage_runs_by_job", "job_id", "held_from", "run_id"),
    Index("lineage_runs_by_version", "version_id"),
    Index("lineage_runs_by_origin", "origin"),
)

lineage_dataset_edges = Table(
    "lineage_dataset_edges",
    metadata,
    Column("version_id", Text, ForeignKey("lineage_versions.id", ondelete="CASCADE"), primary_key=True),
    Column("dataset_id", Text, primary_key=True),
    Column("role", Text, primary_key=True),
    Column("described", Boolean, nullable=False),
    Index("lineage_dataset_edges_by_dataset", "dataset_id"),
)

lineage_column_edges = Table(
    "lineage_column_edges",
    metadata,
    Column("version_id", Text, ForeignKey("lineage_versions.id", ondelete="CASCADE"), nullable=False),
    Column("input_id", Text, nullable=False),
    Column("input_column", Text, nullable=False),
    Column("output_id", Text, nullable=False),
    Column("output_column", Text),
    Column("kinds", ARRAY(Text), nullable=False),
    Column("expressions", ARRAY(Text), nullable=False),
    Index("lineage_column_edges_by_version", "version_id"),
)

lineage_schemas = Table(
    "lineage_schemas",
    metadata,
    Column("dataset_id", Text, primary_key=True),
    Column("at", WHEN, primary_key=True),
    Column("hash", Text, primary_key=True),
    Column("written", Boolean, primary_key=True),
)

lineage_schema_fields = Table(
    "lineage_schema_fields",
    metadata,
    Column("hash", Text, primary_key=True),
    Column("fields", DOCUMENT, nullable=False),
)
