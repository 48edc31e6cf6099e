"""Backfills and their partitions."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, Table, Text, text

from data_workbench.metastore.tables.base import DOCUMENT, WHEN, metadata

backfills = Table(
    "backfills",
    metadata,
    Column("id", Text, primary_key=True),
    Column("pipeline", Text, nullable=False),
    Column("request", DOCUMENT, nullable=False),
    Column("request_hash", Text, nullable=False),
    Column("definition_hash", Text, nullable=False),
    Column("parallel", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("requested_by", Text),
    Column("correlation_id", Text),
    Column("created", WHEN, nullable=False),
    Column("ended", WHEN),
    Index("backfills_by_pipeline", "pipeline", "created"),
    Index("backfills_one_unfinished", "pipeline", unique=True, postgresql_where=text("state = 'running'")),
)

backfill_partitions = Table(
    "backfill_partitions",
    metadata,
    Column("backfill_id", Text, ForeignKey("backfills.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("key", Text, nullable=False),
    Column("params", DOCUMENT, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("run_id", Text),
    Column("error", DOCUMENT),
    Column("started", WHEN),
    Column("ended", WHEN),
)
