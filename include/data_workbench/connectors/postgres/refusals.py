"""Rows the server refuses: found by halving, told with the reason, the others loaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import psycopg
import pyarrow as pa

from data_workbench.connectors.base import Rejection
from data_workbench.records.accounting import WriteCounts

_NAMED = {
    "23502": "not_null",
    "23503": "foreign_key",
    "23505": "unique",
    "23514": "check",
    "23P01": "exclusion",
    "22001": "too_long",
    "22003": "out_of_range",
    "22021": "encoding",
    "22P02": "type",
    "22007": "type",
    "22008": "type",
    "21000": "duplicate_key",
    "P0001": "trigger",
}
# Beside data (22), constraints (23) and WITH CHECK OPTION (44): the same key twice in one statement, a trigger's
# RAISE, a value too large for its index.
_ABOUT_ROWS = ("22", "23", "44")
_ABOUT_ROWS_EXACT = ("21000", "P0001", "54000")

Attempt = Callable[[pa.Table], WriteCounts]


def is_about_rows(error: psycopg.Error) -> bool:
    """Whether another row might have gone in."""
    state = error.sqlstate or ""
    return state[:2] in _ABOUT_ROWS or state in _ABOUT_ROWS_EXACT


def rule_of(error: psycopg.Error) -> str:
    """A short name of what was broken."""
    name = _NAMED.get(error.sqlstate or "", error.sqlstate or "refused")
    about = error.diag.constraint_name or error.diag.column_name
    return f"postgres:{name}:{about}" if about else f"postgres:{name}"


def attempt_all(
    connection: psycopg.Connection, rows: pa.Table, attempt: Attempt
) -> tuple[WriteCounts, list[tuple[pa.Table, psycopg.Error]]]:
    """Run `attempt` on all rows, or on the largest pieces that the server takes; what it took, and the rows it refused.

    Refused rows are tried again while others go in: a row may reference one that came later.
    """
    counts, refused = WriteCounts(), _halved(connection, rows, attempt, taken := WriteCounts())
    counts.add(taken)
    while refused:
        again: list[tuple[pa.Table, psycopg.Error]] = []
        progress = False
        if not any(error.sqlstate == "23503" for _, error in refused):
            break
        for row, error in refused:
            more = WriteCounts()
            left = _halved(connection, row, attempt, more) if error.sqlstate == "23503" else [(row, error)]
            progress = progress or not left
            counts.add(more)
            again += left
        refused = again
        if not progress:
            break
    return counts, refused


def _halved(
    connection: psycopg.Connection, rows: pa.Table, attempt: Attempt, counts: WriteCounts
) -> list[tuple[pa.Table, psycopg.Error]]:
    if rows.num_rows == 0:
        return []
    try:
        with connection.transaction():
            counts.add(attempt(rows))
    except psycopg.Error as error:
        if not is_about_rows(error):
            raise
        if rows.num_rows == 1:
            return [(rows, error)]
    else:
        return []
    half = rows.num_rows // 2
    first = _halved(connection, rows.slice(0, half), attempt, counts)
    return first + _halved(connection, rows.slice(half), attempt, counts)


def rejections(refused: Sequence[tuple[pa.Table, psycopg.Error]], key: Sequence[str]) -> list[Rejection]:
    """For the quarantine: the key (or the row, where there is none), the rule, the server's words."""
    return [
        Rejection(key=key_of(row, key), rule=rule_of(error), reason=error.diag.message_primary or str(error))
        for row, error in refused
    ]


def key_of(row: pa.Table, key: Sequence[str]) -> dict[str, object]:
    """The key of a table of one row, as the quarantine writes it: Python has no infinite dates."""
    from data_workbench.records.values import rows_of

    found: dict[str, object] = rows_of(row.select(list(key) or row.column_names))[0]
    return found
