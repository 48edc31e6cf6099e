"""Streams that others write and the workbench watches."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Identity, Table, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import ARRAY, JSON

from data_workbench.metastore.tables.base import DOCUMENT, WHEN, metadata

watches = Table(
    "watches",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("connection", Text, nullable=False),
    Column("stream", Text, nullable=False),
    Column("dataset", Text, nullable=False),
    Column("how", Text, nullable=False),
    Column("key", ARRAY(Text), nullable=False),
    Column("namespace", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("position", DOCUMENT),
    Column("checked", WHEN),
    Column("seen", BigInteger, nullable=False, server_default="0"),
    UniqueConstraint("connection", "stream", name="watches_once"),
)

watched_rows = Table(
    "watched_rows",
    metadata,
    Column("watch_id", BigInteger, ForeignKey("watches.id", ondelete="CASCADE"), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("hash", BigInteger, nullable=False),
    Column("row", JSON),
)

watched_slots = Table(
    "watched_slots",
    metadata,
    Column("connection", Text, primary_key=True),
    Column("slot", Text, nullable=False),
    Column("position", Text),
    Column("checked", WHEN),
)
