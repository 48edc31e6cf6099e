"""Shares of a table by ranges of pages, in one exported snapshot: together they hold each row of one moment once.

Shares by ranges of keys, which need no snapshot, stand in `key_ranges.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg import sql

from data_workbench.connectors.base import Partition, ReadRequest
from data_workbench.connectors.postgres import key_ranges, late_commits
from data_workbench.connectors.postgres.catalogue import Table
from data_workbench.connectors.postgres.ownership import pages_of
from data_workbench.errors import StateError

_BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
LEAST_PAGES = 64
"""A share smaller than half a megabyte is not worth a connection."""


def is_split(table: Table, request: ReadRequest) -> bool:
    """Whether a read can be split: only a table has pages, and changes are found by an index, not page by page."""
    is_first = request.cursor is None or (request.cursor.state or {}).get("watermark") is None
    whole = is_first and request.keys is None and request.limit is None
    return whole and table.kind in ("table", "partitioned_table")


def export_snapshot(holder: psycopg.Connection) -> str:
    """A name by which other transactions join the holder's moment, for as long as its transaction is open."""
    holder.execute(_BEGIN)
    return snapshot_of(holder)


def snapshot_of(connection: psycopg.Connection) -> str:
    """The name of the moment that an open transaction sees."""
    row = connection.execute("SELECT pg_catalog.pg_export_snapshot()").fetchone()
    assert row is not None
    return str(row[0])


def shares(
    holder: psycopg.Connection, table: Table, count: int, snapshot: str, position: dict[str, Any] | None = None
) -> list[Partition]:
    """At most `count` ranges of about equal size; the last has no end, whatever was added meanwhile.

    Args:
        position: of the cursor after all of them.
    """
    pages = pages_of(holder, table.relation)
    number = max(1, min(count, pages // LEAST_PAGES))
    bounds = [pages * share // number for share in range(number)]
    ends: list[int | None] = [*bounds[1:], None]
    common = {"snapshot": snapshot, "position": position}
    return [
        Partition(f"pages {first}-{'' if end is None else end - 1}", {**common, "first": first, "end": end})
        for first, end in zip(bounds, ends, strict=True)
    ]


def join_snapshot(connection: psycopg.Connection, snapshot: str) -> None:
    """See the moment of another transaction, from the first statement of a new one on.

    Raises:
        StateError: that transaction is over.
    """
    if connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE:
        connection.execute(_BEGIN)
    try:
        connection.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(snapshot)))
    except (psycopg.errors.InvalidParameterValue, psycopg.errors.UndefinedObject) as error:
        raise StateError(
            f"the moment {snapshot!r} that partitions share is gone",
            hint="read partitions while the source that made them is open, and make them anew after it",
        ) from error


def condition(bounds: Mapping[str, Any]) -> sql.Composable:
    """The WHERE of a share, whatever it is a share by."""
    if "key" in bounds:
        return key_ranges.condition(bounds)
    if "since" in bounds:
        return late_commits.written_since(int(bounds["since"]))
    return _of_pages(bounds) if "first" in bounds else sql.SQL("true")


def _of_pages(bounds: Mapping[str, Any]) -> sql.Composable:
    found = sql.SQL("ctid >= {}::tid").format(sql.Literal(f"({bounds['first']},0)"))
    if bounds["end"] is not None:
        found += sql.SQL(" AND ctid < {}::tid").format(sql.Literal(f"({bounds['end']},0)"))
    return found
