"""The metastore's tables, as SQLAlchemy sees them. The migrations make them; a test compares the two."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TSVECTOR

metadata = MetaData()

# `json`, not `jsonb`: it keeps what jsonb refuses (an escaped NUL) and the order of keys.
_JSON = JSON(none_as_null=True)
_WHEN = DateTime(timezone=True)

pipelines = Table(
    "pipelines",
    metadata,
    Column("name", Text, primary_key=True),
    Column("definition_hash", Text, nullable=False),
    Column("definition", Text, nullable=False),
    Column("first_seen", _WHEN, nullable=False),
    Column("last_seen", _WHEN, nullable=False),
)

runs = Table(
    "runs",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("pipeline", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("orchestrator", Text, nullable=False),
    Column("params", _JSON, nullable=False),
    Column("options", _JSON, nullable=False),
    Column("definition_hash", Text, nullable=False),
    Column("plan", _JSON),
    Column("now", _WHEN, nullable=False),
    Column("started", _WHEN, nullable=False),
    Column("ended", _WHEN),
    Column("result", _JSON),
    Column("error", _JSON),
    Column("requested_by", Text),
    Column("correlation_id", Text),
    Column("scope", Text, nullable=False, server_default=text("''")),
    Index("runs_by_pipeline", "pipeline", "started"),
    Index("runs_one_unfinished", "pipeline", "scope", unique=True, postgresql_where=text("state = 'running'")),
)


def _run_id(*, primary_key: bool = False) -> Column[str]:
    """A column that goes with its run."""
    return Column("run_id", Text, ForeignKey("runs.run_id", ondelete="CASCADE"), primary_key=primary_key)


run_stages = Table(
    "run_stages",
    metadata,
    _run_id(primary_key=True),
    Column("stage", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("counts", _JSON),
    Column("error", _JSON),
    Column("started", _WHEN, nullable=False),
    Column("ended", _WHEN),
    Column("beat", _WHEN),
    Column("moved", _WHEN),
    Column("progress", _JSON),
    Column("measures", _JSON),
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
    Column("latest", _WHEN, nullable=False),
)

confirmations = Table(
    "confirmations",
    metadata,
    _run_id(primary_key=True),
    Column("destination", Text, primary_key=True),
    Column("counts", _JSON, nullable=False),
    Column("confirmed", _WHEN, nullable=False),
)

destination_states = Table(
    "destination_states",
    metadata,
    Column("pipeline", Text, primary_key=True),
    Column("destination", Text, primary_key=True),
    Column("run_id", Text, nullable=False),
    Column("counts", _JSON, nullable=False),
    Column("confirmed", _WHEN, nullable=False),
)

staged_states = Table(
    "staged_states",
    metadata,
    _run_id(primary_key=True),
    Column("source", Text, primary_key=True),
    Column("scope", Text, primary_key=True),
    Column("state", _JSON, nullable=False),
    Column("overlap", LargeBinary),
)

source_states = Table(
    "source_states",
    metadata,
    Column("pipeline", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("scope", Text, primary_key=True),
    Column("state", _JSON, nullable=False),
    Column("overlap", LargeBinary),
    Column("run_id", Text, nullable=False),
    Column("updated", _WHEN, nullable=False),
)

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
    Column("row", _JSON, nullable=False),
    Column("ordinal", BigInteger, nullable=False),
    Column("seq", Integer, nullable=False, server_default="0"),
    Column("state", Text, nullable=False, server_default="open"),
    Column("created", _WHEN, nullable=False, server_default=text("now()")),
    Column("changed", _WHEN),
    Column("changed_by", Text),
    Column("edits", _JSON),
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
    Column("row", _JSON, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("created", _WHEN, nullable=False, server_default=text("now()")),
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

connection_states = Table(
    "connection_states",
    metadata,
    Column("connection", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("since", _WHEN, nullable=False),
    Column("checked", _WHEN, nullable=False),
    Column("last_success", _WHEN),
    Column("version", Text),
    Column("vitals", _JSON, nullable=False),
)

connection_checks = Table(
    "connection_checks",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("connection", Text, nullable=False),
    Column("checked", _WHEN, nullable=False),
    Column("state", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("latencies", ARRAY(Double), nullable=False),
    Index("connection_checks_by_time", "connection", "checked"),
)

alerts = Table(
    "alerts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("topic", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("detail", _JSON, nullable=False),
    Column("created", _WHEN, nullable=False),
    Index("alerts_by_time", "created"),
)

alert_deliveries = Table(
    "alert_deliveries",
    metadata,
    Column("alert_id", Text, ForeignKey("alerts.id", ondelete="CASCADE"), primary_key=True),
    Column("route", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_try", _WHEN, nullable=False),
    Column("delivered", _WHEN),
    Column("error", Text),
    Index("alert_deliveries_pending", "next_try", postgresql_where=text("state = 'pending'")),
)

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
    Column("sample", _JSON, nullable=False),
    Column("rows", BigInteger),
    Column("reason", Text),
    Column("contract", Text, nullable=False),
    Column("destination", Text, nullable=False),
    Column("level", Text, nullable=False),
    Column("checked", _WHEN, nullable=False, server_default=text("now()")),
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
    Column("measured", _WHEN, nullable=False, server_default=text("now()")),
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
    Column("measured", _WHEN, primary_key=True),
    Column("value", Double, nullable=False),
    Column("low", Double, nullable=False),
    Column("high", Double, nullable=False),
    Column("spreads", Double, nullable=False),
    Column("is_new", Boolean, nullable=False),
    Column("expected_by", Text),
)

incidents = Table(
    "incidents",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("contract", Text, nullable=False),
    Column("dataset", Text, nullable=False),
    Column("owner", Text),
    Column("severity", Text, nullable=False),
    Column("checks", _JSON, nullable=False),
    Column("opened", _WHEN, nullable=False),
    Column("recovered", _WHEN),
    Column("acknowledged_by", Text),
    Column("snoozed_until", _WHEN),
    Column("told", _WHEN),
    Column("escalated", _WHEN),
    Index("incidents_one_open", "contract", unique=True, postgresql_where=text("recovered IS NULL")),
)

profiles = Table(
    "profiles",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("dataset", Text, nullable=False),
    Column("taken", _WHEN, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("profile", _JSON, nullable=False),
    Index("profiles_by_dataset", "dataset", "taken"),
)

stream_schemas = Table(
    "stream_schemas",
    metadata,
    Column("connection", Text, primary_key=True),
    Column("stream", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("seen", _WHEN, nullable=False),
    Column("schema", Text, nullable=False),
    Column("columns", _JSON, nullable=False),
    Column("changes", _JSON, nullable=False),
)

backup_sets = Table(
    "backup_sets",
    metadata,
    Column("set_id", Text, primary_key=True),
    Column("repository", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("started", _WHEN, nullable=False),
    Column("ended", _WHEN),
    Column("facts", _JSON),
    Column("error", _JSON),
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
    Column("checked", _WHEN, nullable=False, server_default=text("now()")),
    Column("seconds", Double, nullable=False),
    Column("report", _JSON, nullable=False),
    Index("backup_verifications_by_set", "set_id", "checked"),
)

backup_states = Table(
    "backup_states",
    metadata,
    Column("address", Text, primary_key=True),
    Column("observed", _WHEN, nullable=False),
    Column("state", _JSON, nullable=False),
)

audit_entries = Table(
    "audit_entries",
    metadata,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("at", _WHEN, nullable=False),
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
    Column("at", _WHEN, primary_key=True),
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
    Column("created", _WHEN, nullable=False, server_default=text("now()")),
    Column("created_by", Text, nullable=False),
    Column("expires", _WHEN),
    Column("last_used", _WHEN),
    Column("revoked", _WHEN),
    Column("revoked_by", Text),
)

backfills = Table(
    "backfills",
    metadata,
    Column("id", Text, primary_key=True),
    Column("pipeline", Text, nullable=False),
    Column("request", _JSON, nullable=False),
    Column("request_hash", Text, nullable=False),
    Column("definition_hash", Text, nullable=False),
    Column("parallel", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("requested_by", Text),
    Column("correlation_id", Text),
    Column("created", _WHEN, nullable=False),
    Column("ended", _WHEN),
    Index("backfills_by_pipeline", "pipeline", "created"),
    Index("backfills_one_unfinished", "pipeline", unique=True, postgresql_where=text("state = 'running'")),
)

backfill_partitions = Table(
    "backfill_partitions",
    metadata,
    Column("backfill_id", Text, ForeignKey("backfills.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("key", Text, nullable=False),
    Column("params", _JSON, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("run_id", Text),
    Column("error", _JSON),
    Column("started", _WHEN),
    Column("ended", _WHEN),
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
    Column("created", _WHEN, nullable=False),
    Column("retained_until", _WHEN),
    Column("legal_hold", Boolean, nullable=False),
    Column("changed", _WHEN, nullable=False, server_default=text("now()")),
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
    Column("begun", _WHEN, nullable=False, server_default=text("clock_timestamp()")),
    Column("written", _WHEN),
    UniqueConstraint("run_id", "destination", "target_index", "cause", "part"),
    Index("journal_by_dataset", "connection", "dataset", "id"),
    Index("journal_by_begun", "begun"),
)
