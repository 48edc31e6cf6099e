"""Records one by one: set aside, waiting, written."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Identity, Index, Integer, LargeBinary, Table, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY

from data_workbench.metastore.tables.base import DOCUMENT, WHEN, metadata

quarantine = Table(
    "quarantine",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("pipeline", Text, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("node", Text, nullable=False),
    Column("source", Text),
    Column("rules", ARRAY(Text), nullable=False),
    Column("reason", Text, nullable=False),
    Column("key", Text),
    Column("row", DOCUMENT, nullable=False),
    Column("ordinal", BigInteger, nullable=False),
    Column("seq", Integer, nullable=False, server_default="0"),
    Column("state", Text, nullable=False, server_default="open"),
    Column("created", WHEN, nullable=False, server_default=text("now()")),
    Column("changed", WHEN),
    Column("changed_by", Text),
    Column("edits", DOCUMENT),
    UniqueConstraint("run_id", "node", "ordinal", "seq", name="quarantine_once"),
    Index("quarantine_open", "pipeline", "node", postgresql_where=text("state = 'open'")),
)

deferred = Table(
    "deferred",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("pipeline", Text, nullable=False),
    Column("destination", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("key_hash", LargeBinary, nullable=False),
    Column("key", Text, nullable=False),
    Column("row", DOCUMENT, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("created", WHEN, nullable=False, server_default=text("now()")),
    UniqueConstraint("pipeline", "destination", "target", "key_hash", name="deferred_once"),
)

vector_fingerprints = Table(
    "vector_fingerprints",
    metadata,
    Column("dataset", Text, primary_key=True),
    Column("collection", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("vector_hash", Text, nullable=False),
    Column("text_hash", Text),
    Column("model", Text),
    Column("run_id", Text, nullable=False),
)

journal = Table(
    "journal",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("connection", Text, nullable=False),
    Column("store", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("dataset", Text, nullable=False),
    Column("pipeline", Text, nullable=False),
    Column("definition_hash", Text, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("destination", Text, nullable=False),
    Column("target_index", Integer, nullable=False),
    Column("cause", Text, nullable=False),
    Column("part", Integer, nullable=False),
    Column("rows", BigInteger),
    Column("content", LargeBinary),
    Column("begun", WHEN, nullable=False, server_default=text("clock_timestamp()")),
    Column("written", WHEN),
    UniqueConstraint("run_id", "destination", "target_index", "cause", "part"),
    Index("journal_by_dataset", "connection", "dataset", "id"),
    Index("journal_by_begun", "begun"),
)
