"""Backups and archives."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR

from data_workbench.metastore.tables.base import DOCUMENT, WHEN, metadata

backup_sets = Table(
    "backup_sets",
    metadata,
    Column("set_id", Text, primary_key=True),
    Column("repository", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("started", WHEN, nullable=False),
    Column("ended", WHEN),
    Column("facts", DOCUMENT),
    Column("error", DOCUMENT),
    Index("backup_sets_by_time", "repository", "started"),
)

backup_verifications = Table(
    "backup_verifications",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("set_id", Text, nullable=False),
    Column("repository", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("checked", WHEN, nullable=False, server_default=text("now()")),
    Column("seconds", Double, nullable=False),
    Column("report", DOCUMENT, nullable=False),
    Index("backup_verifications_by_set", "set_id", "checked"),
)

backup_states = Table(
    "backup_states",
    metadata,
    Column("address", Text, primary_key=True),
    Column("observed", WHEN, nullable=False),
    Column("state", DOCUMENT, nullable=False),
)

archives = Table(
    "archives",
    metadata,
    Column("archive", Text, primary_key=True),
    Column("shelf", Text, nullable=False),
    Column("policy", Text, nullable=False),
    Column("connection", Text, nullable=False),
    Column("dataset", Text, nullable=False),
    Column("database", Text, nullable=False),
    Column("partition", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("live", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("raw_bytes", BigInteger, nullable=False),
    Column("manifest", Text, nullable=False),
    Column("created", WHEN, nullable=False),
    Column("retained_until", WHEN),
    Column("legal_hold", Boolean, nullable=False),
    Column("changed", WHEN, nullable=False, server_default=text("now()")),
    Index("archives_by_policy", "policy", "created"),
)

_BYTEWISE = Text(collation="C")
"""As ranges of keys are compared, whatever the database's own order."""

archive_parts = Table(
    "archive_parts",
    metadata,
    Column("archive", Text, ForeignKey("archives.archive", ondelete="CASCADE"), primary_key=True),
    Column("part", Integer, primary_key=True, autoincrement=False),
    Column("sha256", Text, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("first_key", _BYTEWISE, nullable=False),
    Column("last_key", _BYTEWISE, nullable=False),
    Column("first_time", _BYTEWISE, nullable=False),
    Column("last_time", _BYTEWISE, nullable=False),
    Column("attributes", JSONB, nullable=False),
    Index("archive_parts_by_attributes", "attributes", postgresql_using="gin"),
)

archive_texts = Table(
    "archive_texts",
    metadata,
    Column("archive", Text, primary_key=True),
    Column("part", Integer, primary_key=True, autoincrement=False),
    Column("first_row", BigInteger, primary_key=True, autoincrement=False),
    Column("rows", BigInteger, nullable=False),
    Column("words", TSVECTOR, nullable=False),
    ForeignKeyConstraint(["archive", "part"], ["archive_parts.archive", "archive_parts.part"], ondelete="CASCADE"),
    Index("archive_texts_by_words", "words", postgresql_using="gin"),
)
