"""What people were told."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Identity, Index, Integer, Table, Text, text

from data_workbench.metastore.tables.base import DOCUMENT, WHEN, metadata

alerts = Table(
    "alerts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("topic", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("detail", DOCUMENT, nullable=False),
    Column("created", WHEN, nullable=False),
    Index("alerts_by_time", "created"),
)

alert_deliveries = Table(
    "alert_deliveries",
    metadata,
    Column("alert_id", Text, ForeignKey("alerts.id", ondelete="CASCADE"), primary_key=True),
    Column("route", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_try", WHEN, nullable=False),
    Column("delivered", WHEN),
    Column("error", Text),
    Column("left", DOCUMENT),
    Index("alert_deliveries_pending", "next_try", postgresql_where=text("state = 'pending'")),
)

incidents = Table(
    "incidents",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("contract", Text, nullable=False),
    Column("dataset", Text, nullable=False),
    Column("owner", Text),
    Column("severity", Text, nullable=False),
    Column("checks", DOCUMENT, nullable=False),
    Column("opened", WHEN, nullable=False),
    Column("recovered", WHEN),
    Column("acknowledged_by", Text),
    Column("snoozed_until", WHEN),
    Column("told", WHEN),
    Column("escalated", WHEN),
    Index("incidents_one_open", "contract", unique=True, postgresql_where=text("recovered IS NULL")),
)
