"""What the metastore's tables share."""

from __future__ import annotations

from sqlalchemy import JSON, Column, DateTime, ForeignKey, MetaData, Text

metadata = MetaData()

# `json`, not `jsonb`: it keeps what jsonb refuses (an escaped NUL) and the order of keys.
DOCUMENT = JSON(none_as_null=True)
WHEN = DateTime(timezone=True)


def run_id(*, primary_key: bool = False) -> Column[str]:
    """A column that goes with its run."""
    return Column("run_id", Text, ForeignKey("runs.run_id", ondelete="CASCADE"), primary_key=primary_key)
