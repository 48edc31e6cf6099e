"""Checks, metrics, anomalies and profiles of datasets."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Double, Identity, Index, Table, Text, text

from data_workbench.metastore.tables.base import DOCUMENT, WHEN, metadata

checks = Table(
    "checks",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("pipeline", Text, nullable=False),
    Column("run_id", Text),
    Column("dataset", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("failing", BigInteger),
    Column("sample", DOCUMENT, nullable=False),
    Column("rows", BigInteger),
    Column("reason", Text),
    Column("contract", Text, nullable=False),
    Column("destination", Text, nullable=False),
    Column("level", Text, nullable=False),
    Column("checked", WHEN, nullable=False, server_default=text("now()")),
    Index("checks_by_dataset", "dataset", "name", "checked"),
    Column("owner", Text),
    Column("finder", Text),
    Column("kind", Text),
    Index("checks_by_run", "run_id"),
    Index("checks_by_contract", "contract", "checked"),
)

quality_metrics = Table(
    "quality_metrics",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("dataset", Text, nullable=False),
    Column("column", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("measured", WHEN, nullable=False, server_default=text("now()")),
    Column("value", Double, nullable=False),
    Column("good", Double),
    Column("total", Double),
    Index("quality_metrics_by_dataset", "dataset", "measured"),
    Index("quality_metrics_by_name", "name", "measured"),
)

anomalies = Table(
    "anomalies",
    metadata,
    Column("dataset", Text, primary_key=True),
    Column("column", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("measured", WHEN, primary_key=True),
    Column("value", Double, nullable=False),
    Column("low", Double, nullable=False),
    Column("high", Double, nullable=False),
    Column("spreads", Double, nullable=False),
    Column("is_new", Boolean, nullable=False),
    Column("expected_by", Text),
    Column("driver", Text),
    Column("finder", Text),
    Column("sample", DOCUMENT, nullable=False, server_default=text("'[]'")),
)

profiles = Table(
    "profiles",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("dataset", Text, nullable=False),
    Column("taken", WHEN, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("profile", DOCUMENT, nullable=False),
    Index("profiles_by_dataset", "dataset", "taken"),
)
