"""Shares of a table by ranges of a unique key, which any process may read at any time.

No snapshot is kept open between the split and the last range: a transaction cannot be handed from one machine to
another, and would die with its process. Rows therefore move while ranges are read. What makes one moment of them is
told at the end: a row version whose `xmin` was finished when the table was split, and that still stands, was seen by
the range of its key, whenever that was read. All others were written since, and are asked for by `xmin`
(`late_commits.py`). A row that was deleted, or whose key was changed, is found by counting: there are fewer rows than
keys. See docs/decisions/0026-ranges.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from psycopg import sql

from data_workbench.connectors.base import Partition, Split
from data_workbench.connectors.postgres import late_commits
from data_workbench.connectors.postgres.catalogue import Table
from data_workbench.connectors.postgres.late_commits import Moment
from data_workbench.connectors.postgres.names import quoted
from data_workbench.connectors.postgres.ownership import pages_of
from data_workbench.errors import StateError, Unsupported

LEAST_PAGES = 128
"""A range smaller than a megabyte is not worth a task."""
_SAMPLED_PAGES = 64
"""Looked into for each range: thousands of rows say where a range of so many ends, within a few per cent."""

_INHERITED = "SELECT EXISTS (SELECT FROM pg_catalog.pg_inherits WHERE inhparent = %s::regclass)"


def split(
    holder: psycopg.Connection,
    beside: psycopg.Connection,
    table: Table,
    key: Sequence[str],
    count: int,
    conditions: Sequence[sql.Composable],
) -> Split | None:
    """At most `count` ranges of about equal numbers of the rows for which the conditions hold; None for one.

    Raises:
        Unsupported: a key of the table is not unique in the tables that inherit from it.
    """
    holder.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    moment = late_commits.take_moment(holder, beside)
    _refuse_inherited(holder, table)
    pages = pages_of(holder, table.relation)
    number = min(count, pages // LEAST_PAGES)
    if number < 2:
        return None
    share = min(100.0, 100.0 * _SAMPLED_PAGES * number / pages)
    found = [list(row) for row in holder.execute(_bounds(table, key, number, share, conditions)).fetchall()]
    if not found:
        return None
    told = {"xmin": moment.xmin, "xmax": moment.xmax, "unsettled": moment.unsettled}
    return Split(tuple(_ranges(table, key, found)), told)


def _refuse_inherited(holder: psycopg.Connection, table: Table) -> None:
    if table.kind == "partitioned_table":
        return
    row = holder.execute(_INHERITED, (table.relation.sql,)).fetchone()
    if row and row[0]:
        raise Unsupported(
            f"{table.relation.stream} has tables that inherit from it, in which its key may come again",
            hint="leave `ranges` out, or read in `parallel`",
        )


def _bounds(
    table: Table, key: Sequence[str], number: int, share: float, conditions: Sequence[sql.Composable]
) -> sql.Composed:
    """Where each range but the first begins, as text; found in a sample of the table's pages, in the key's order."""
    named = [sql.SQL("{} AS {}").format(sql.SQL(quoted(name)), sql.SQL(f"k{at}")) for at, name in enumerate(key)]
    keys = sql.SQL(", ").join(sql.SQL(f"k{at}") for at in range(len(key)))
    texts = sql.SQL(", ").join(sql.SQL(f"k{at}::text") for at in range(len(key)))
    where = sql.SQL(" AND ").join([sql.SQL("true"), *conditions])
    return sql.SQL(
        """WITH sampled AS (
               SELECT {named} FROM {table} TABLESAMPLE SYSTEM ({share}) REPEATABLE (0) WHERE {where}
           ), placed AS (
               SELECT {keys}, row_number() OVER (ORDER BY {keys}) AS place, count(*) OVER () AS rows FROM sampled
           ), wanted AS (
               SELECT DISTINCT 1 + rows * share / {number} AS place
               FROM (SELECT max(rows) AS rows FROM placed) AS counted, generate_series(1, {last}) AS share
           )
           SELECT {texts} FROM placed JOIN wanted USING (place) WHERE place > 1 ORDER BY place"""
    ).format(
        named=sql.SQL(", ").join(named),
        table=sql.SQL(table.relation.sql),
        share=sql.Literal(share),
        where=where,
        keys=keys,
        texts=texts,
        number=sql.Literal(number),
        last=sql.Literal(number - 1),
    )


def _ranges(table: Table, key: Sequence[str], begins: Sequence[list[str]]) -> list[Partition]:
    natives = []
    for name in key:
        column = table.column(name)
        assert column is not None
        natives.append(column.native)
    starts: list[list[str] | None] = [None, *begins]
    ends: list[list[str] | None] = [*begins, None]
    common = {"key": list(key), "types": natives}
    return [
        Partition(f"keys {at + 1} of {len(starts)}", {**common, "begin": begin, "end": end})
        for at, (begin, end) in enumerate(zip(starts, ends, strict=True))
    ]


def condition(bounds: Mapping[str, Any]) -> sql.Composable:
    """The WHERE of a range: its beginning is in it, its end in the next."""
    key = sql.SQL(", ").join(sql.SQL(quoted(name)) for name in bounds["key"])
    parts = [
        sql.SQL("({}) {} ({})").format(key, sql.SQL(sign), _values(bounds[end], bounds["types"]))
        for sign, end in ((">=", "begin"), ("<", "end"))
        if bounds[end] is not None
    ]
    return sql.SQL(" AND ").join(parts) if parts else sql.SQL("true")


def _values(texts: Sequence[str], types: Sequence[str]) -> sql.Composable:
    values = [
        sql.SQL("{}::{}").format(sql.Literal(text), sql.SQL(kind)) for text, kind in zip(texts, types, strict=True)
    ]
    return sql.SQL(", ").join(values)


def is_quiet(then: Mapping[str, Any], moment: Moment) -> bool:
    """Whether no transaction of the server can have written since the split."""
    return not then["unsettled"] and then["xmax"] == moment.xmax


def since(table: Table, then: Mapping[str, Any], moment: Moment) -> int:
    """The oldest transaction that may have written something the split did not see.

    Raises:
        StateError: it is half a circle of transactions ago.
    """
    if late_commits.is_beyond(moment, then["xmin"]):
        raise StateError(
            f"{table.relation.stream} was split into ranges {moment.xmax - then['xmin']} transactions ago",
            hint="what was written since cannot be told any more: start a new run",
        )
    return int(then["xmin"])


def count(
    holder: psycopg.Connection, table: Table, conditions: Sequence[sql.Composable], since: int
) -> tuple[int, int]:
    """Rows for which the conditions hold, and how many of them were written since; in one pass."""
    query = sql.SQL("SELECT count(*), count(*) FILTER (WHERE {}) FROM {} WHERE {}").format(
        late_commits.written_since(since),
        sql.SQL(table.relation.sql),
        sql.SQL(" AND ").join([sql.SQL("true"), *conditions]),
    )
    row = holder.execute(query).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])
