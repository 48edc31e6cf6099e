"""Who may do what, and who did."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Table, Text, text
from sqlalchemy.dialects.postgresql import ARRAY

from data_workbench.metastore.tables.base import WHEN, metadata

audit_entries = Table(
    "audit_entries",
    metadata,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("at", WHEN, nullable=False),
    Column("actor", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("object", Text, nullable=False),
    Column("reason", Text),
    Column("run_id", Text),
    Column("correlation_id", Text),
    # Text, not `json`: the hash is of these very characters.
    Column("details", Text, nullable=False),
    Column("previous", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Index("audit_entries_by_time", "at"),
    Index("audit_entries_by_object", "object", "sequence"),
    Index("audit_entries_by_actor", "actor", "sequence"),
    Index("audit_entries_by_run", "run_id", "sequence", postgresql_where=text("run_id IS NOT NULL")),
)

audit_airflow_log = Table(
    "audit_airflow_log",
    metadata,
    Column("log_id", BigInteger, primary_key=True, autoincrement=False),
    Column("at", WHEN, primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Index("audit_airflow_log_by_time", "at"),
)

service_tokens = Table(
    "service_tokens",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("hash", Text, nullable=False),
    Column("created", WHEN, nullable=False, server_default=text("now()")),
    Column("created_by", Text, nullable=False),
    Column("expires", WHEN),
    Column("last_used", WHEN),
    Column("revoked", WHEN),
    Column("revoked_by", Text),
)
