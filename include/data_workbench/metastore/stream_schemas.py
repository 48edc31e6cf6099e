"""The schemas a stream has had: a version each time it came with another one, and what was different."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, select, text

from data_workbench.metastore.database import Metastore
from data_workbench.metastore.tables.stores import stream_schemas

Differ = Callable[[str], list[str]]
"""Differences in words from an earlier schema, given in its stored form."""


@dataclass(frozen=True)
class SchemaVersion:
    """One version: `columns` JSON, `changes` in words against the version before (none for the first)."""

    connection: str
    stream: str
    version: int
    seen: datetime
    columns: list[dict[str, Any]]
    changes: list[str]


def note(
    store: Metastore, connection_id: str, stream: str, *, schema: str, columns: Sequence[dict[str, Any]], differ: Differ
) -> int:
    """Keep a schema if it differs from the latest version; the version it has.

    Args:
        schema: its exact form, by which two are the same.
        columns: as people read it.
        differ: says what is different from the version before.
    """
    s = stream_schemas.c
    mine = (s.connection == connection_id, s.stream == stream)
    with store.transaction() as connection:
        # Two runs that see a change at once make one version.
        connection.execute(
            text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 21))"),
            {"name": json.dumps([connection_id, stream])},
        )
        latest = connection.execute(
            select(s.version, s.schema).where(*mine).order_by(s.version.desc()).limit(1)
        ).one_or_none()
        if latest is not None and latest.schema == schema:
            return int(latest.version)
        changes = differ(latest.schema) if latest is not None else []
        if latest is not None and not changes:
            # What differs has no words (a comment, say): it is no version of its own.
            return int(latest.version)
        values: dict[str, Any] = {"connection": connection_id, "stream": stream, "schema": schema}
        version = latest.version + 1 if latest is not None else 1
        values |= {"columns": list(columns), "version": version, "changes": changes, "seen": func.clock_timestamp()}
        connection.execute(insert(stream_schemas).values(**values))
    return int(version)


def history(store: Metastore, connection_id: str, stream: str) -> list[SchemaVersion]:
    """All versions, latest first."""
    s = stream_schemas.c
    wanted = [s[name] for name in SchemaVersion.__dataclass_fields__]
    statement = select(*wanted).where(s.connection == connection_id, s.stream == stream).order_by(s.version.desc())
    with store.transaction() as connection:
        return [SchemaVersion(**row._mapping) for row in connection.execute(statement)]
