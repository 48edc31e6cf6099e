"""Cursor positions that lose no row of a transaction that commits late.

A row's cursor value is set before its transaction commits, so a read can see 10:05 while 10:03 is still uncommitted. A
position therefore keeps, beside the watermark, the read's snapshot: `snapshot_xmin`, below which every transaction was
finished. Any row that snapshot could not see has a greater-or-equal xmin, so the next read asks for

    cursor >= watermark - lag  OR  age(xmin) <= age(snapshot_xmin)

and finds late rows wherever their cursor stands; rows seen before come again and are removed by key. The second
half costs a scan, so it is asked only when the position is `unsettled`: right after the snapshot was taken
something was under way (an open or prepared transaction, or an xid given out since). age() compares in a circle of
2^32 and survives wraparound; a position more than half the circle old is answered with a full read.

Views and foreign tables have no xmin. There the watermark of a timestamp cursor stays behind the start of the
oldest open transaction; for other cursors only the declared lag helps.

A cursor that is NULL, NaN or infinite has no position: such rows come on every run and never become the watermark; nor
does a timestamp that lies in the future.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from data_workbench.connectors.base import CursorRequest
from data_workbench.connectors.postgres.catalogue import Column, Table
from data_workbench.connectors.postgres.names import quoted
from data_workbench.errors import StateError, StreamUnknown, Unsupported

_HALF_CIRCLE = 2**31 - 100_000
_TEMPORAL = ("timestamp", "timestamptz", "date")
_NUMBERS = ("int2", "int4", "int8", "oid", "numeric", "float4", "float8")

# Backends of other roles hide xact_start from those who may not read it: not knowing counts as under way.
_UNDER_WAY = """
SELECT pg_catalog.pg_is_in_recovery()
    OR pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text <> %(xmax)s
    OR EXISTS (SELECT FROM pg_catalog.pg_prepared_xacts WHERE database = pg_catalog.current_database())
    OR EXISTS (SELECT FROM pg_catalog.pg_stat_activity a
               WHERE a.datname = pg_catalog.current_database() AND NOT a.pid = ANY(%(ours)s)
                 AND coalesce(a.backend_type, 'client backend') NOT IN ('autovacuum worker', 'walsender')
                 AND (a.xact_start IS NOT NULL OR a.state IS NULL)),
    (SELECT min(a.xact_start) FROM pg_catalog.pg_stat_activity a
     WHERE a.datname = pg_catalog.current_database() AND NOT a.pid = ANY(%(ours)s))
"""


@dataclass(frozen=True)
class Moment:
    """The snapshot a read sees, and whether anything was under way that it could not see."""

    xmin: int
    xmax: int
    unsettled: bool
    oldest_open: dt.datetime | None
    now: dt.datetime


def take_moment(reading: psycopg.Connection, beside: psycopg.Connection) -> Moment:
    """The first statement of the reading transaction; `beside` is asked right after."""
    query = """SELECT pg_catalog.pg_snapshot_xmin(s)::text, pg_catalog.pg_snapshot_xmax(s)::text, now()
               FROM pg_catalog.pg_current_snapshot() s"""
    row = reading.execute(query).fetchone()
    assert row is not None
    ours = [reading.info.backend_pid, beside.info.backend_pid]
    told = beside.execute(_UNDER_WAY, {"xmax": row[1], "ours": ours}).fetchone()
    assert told is not None
    return Moment(int(row[0]), int(row[1]), bool(told[0]) or row[0] != row[1], told[1], row[2])


def cursor_column(table: Table, name: str) -> Column:
    """The cursor's column.

    Raises:
        StreamUnknown: there is none of that name.
        Unsupported: its type has no order a watermark could follow.
    """
    column = table.column(name)
    if column is None:
        raise StreamUnknown(
            f"{table.relation.stream} has no column {name!r} for the cursor",
            hint=f"it has {', '.join(one.name for one in table.columns)}",
        )
    base = column.native.split("(")[0]
    if base not in _TEMPORAL + _NUMBERS:
        raise Unsupported(
            f"{table.relation.stream}.{name} is {column.native}: no cursor",
            hint="a cursor is a timestamp, a date or a number that grows; leave `cursor` out for a full read",
        )
    return column


def condition(table: Table, request: CursorRequest, moment: Moment) -> sql.Composable | None:
    """The WHERE of a read that goes on from `request.state`; None means everything."""
    column = cursor_column(table, request.column)
    state = request.state or {}
    if state.get("watermark") is None:
        return None
    name, native = sql.SQL(quoted(column.name)), sql.SQL(column.native.split("(")[0])
    start = sql.SQL("{}::{}").format(sql.Literal(str(state["watermark"])), native) + _minus(column, request)
    parts = [sql.SQL("{} >= {}").format(name, start)]
    if not column.not_null:
        parts.append(sql.SQL("{} IS NULL").format(name))
    if column.native.split("(")[0] in _TEMPORAL:
        parts.append(sql.SQL("{} = '-infinity'").format(name))
    if has_xmin(table) and state.get("unsettled", True) and state.get("snapshot_xmin") is not None:
        seen = _xid(state)
        if is_beyond(moment, seen):
            return None
        parts.append(written_since(seen))
    return sql.SQL("({})").format(sql.SQL(" OR ").join(parts))


def written_since(xid: int) -> sql.Composed:
    """The WHERE of rows that this transaction or a later one wrote."""
    return sql.SQL("age(xmin) <= age({}::text::xid)").format(sql.Literal(str(xid % 2**32)))


def is_beyond(moment: Moment, xid: int) -> bool:
    """Whether a transaction is so old that its age cannot be told from that of a later one."""
    return moment.xmax - xid > _HALF_CIRCLE


def _xid(state: Mapping[str, Any]) -> int:
    try:
        return int(state["snapshot_xmin"])
    except (TypeError, ValueError):
        raise StateError(
            f"a cursor position has snapshot_xmin {state['snapshot_xmin']!r}", hint="run once with --reset-state"
        ) from None


def _minus(column: Column, request: CursorRequest) -> sql.Composable:
    lag = request.lag
    if not lag:
        return sql.SQL("")
    is_temporal = column.native.split("(")[0] in _TEMPORAL
    if isinstance(lag, dt.timedelta) != is_temporal:
        wanted = "a duration such as 5m" if is_temporal else "a number"
        raise Unsupported(
            f"the cursor {column.name} is {column.native}; its lag {lag} is not {wanted}", hint="correct it"
        )
    if isinstance(lag, dt.timedelta):
        if column.native == "date":
            return sql.SQL(" - {}").format(sql.Literal(-(-lag // dt.timedelta(days=1))))
        return sql.SQL(" - {}::interval").format(sql.Literal(f"{lag.total_seconds():.6f} seconds"))
    return sql.SQL(" - {}::numeric").format(sql.Literal(str(lag)))


def has_xmin(table: Table) -> bool:
    """Whether rows carry the transaction that wrote them."""
    return table.kind not in ("view", "foreign_table")


def watermark_query(table: Table, column: Column, moment: Moment) -> sql.Composed:
    """What gives the greatest cursor value that may become the watermark, as text."""
    name, base = sql.SQL(quoted(column.name)), column.native.split("(")[0]
    limits = [sql.SQL("{} IS NOT NULL").format(name)]
    if base in _TEMPORAL:
        # Application clocks may write local time without a zone: up to 14 hours ahead of UTC is not the future.
        ahead = dt.timedelta(0) if base == "timestamptz" else dt.timedelta(hours=14)
        latest = moment.now + ahead
        if not has_xmin(table) and moment.oldest_open is not None:
            latest = min(latest, moment.oldest_open)
        limits.append(sql.SQL("{} <= {}::{}").format(name, sql.Literal(_stamp(latest)), sql.SQL(base)))
        limits.append(sql.SQL("{} > '-infinity'").format(name))
    elif base in ("numeric", "float4", "float8"):
        # NaN sorts above infinity, infinity above every number.
        limits.append(sql.SQL("{0} < 'Infinity' AND {0} > '-Infinity'").format(name))
    return sql.SQL("SELECT max({})::text FROM {} WHERE {}").format(
        name, sql.SQL(table.relation.sql), sql.SQL(" AND ").join(limits)
    )


def _stamp(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).replace(tzinfo=None).isoformat(sep=" ") + "+00"


def new_position(column: Column, moment: Moment, watermark: str | None, request: CursorRequest) -> dict[str, Any]:
    """What the next read needs."""
    state = request.state or {}
    return {
        "watermark": watermark if watermark is not None else state.get("watermark"),
        "type": column.native,
        "snapshot_xmin": str(moment.xmin),
        "unsettled": moment.unsettled,
    }
