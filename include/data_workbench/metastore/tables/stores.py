"""How connections do, and what their streams look like."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, Identity, Index, Integer, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY

from data_workbench.metastore.tables.base import DOCUMENT, WHEN, metadata

connection_states = Table(
    "connection_states",
    metadata,
    Column("connection", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("since", WHEN, nullable=False),
    Column("checked", WHEN, nullable=False),
    Column("last_success", WHEN),
    Column("version", Text),
    Column("vitals", DOCUMENT, nullable=False),
)

connection_checks = Table(
    "connection_checks",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("connection", Text, nullable=False),
    Column("checked", WHEN, nullable=False),
    Column("state", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("latencies", ARRAY(Double), nullable=False),
    Index("connection_checks_by_time", "connection", "checked"),
)

stream_schemas = Table(
    "stream_schemas",
    metadata,
    Column("connection", Text, primary_key=True),
    Column("stream", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("seen", WHEN, nullable=False),
    Column("schema", Text, nullable=False),
    Column("columns", DOCUMENT, nullable=False),
    Column("changes", DOCUMENT, nullable=False),
)

enrichment_answers = Table(
    "enrichment_answers",
    metadata,
    Column("question", Text, primary_key=True),
    Column("answer", Text, nullable=False),
    Column("asked", WHEN, nullable=False),
    Column("until", WHEN, nullable=False),
    Index("enrichment_answers_by_end", "until"),
)
