"""A sort of rows that are too many and too wide for the engine's memory.

DuckDB's external sort holds a piece of every sorted run while it merges them, so the memory it needs grows with the
rows (500 MB of rows of 1 kB die of a limit of 150 MB). Here the keys are sorted alone, which gives every row its place;
the rows are then taken a stretch of places at a time, and a stretch that is still too much is halved. The rows come out
as the one statement would have given them.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from data_workbench.records.marks import ORDINAL

if TYPE_CHECKING:
    import duckdb

_STRETCHES = 8
"""So many at first; each reads all rows."""
_AT, _PLACE = "_wb_at", "_wb_place"


def sort_by_stretches(engine: duckdb.DuckDBPyConnection, sort: Mapping[str, Any]) -> None:
    """Make a sorted table.

    Args:
        sort: `table`, the `columns` it has, the `rows` (a frame) and their `order`, as SQL; and `name`, for the tables
            in between.

    Raises:
        duckdb.OutOfMemoryException: a single row is too much, or the disk is full.
    """
    rows, places = f'"unsorted_{sort["name"]}"', f'"places_{sort["name"]}"'
    engine.execute(f"CREATE OR REPLACE TEMP TABLE {rows} AS SELECT * FROM {sort['rows']}")
    engine.execute(
        f"CREATE OR REPLACE TEMP TABLE {places} AS SELECT {ORDINAL} AS {_AT} FROM {rows} ORDER BY {sort['order']}"
    )
    engine.execute(f"CREATE OR REPLACE TEMP TABLE {sort['table']} AS SELECT {sort['columns']} FROM {rows} LIMIT 0")
    [(total,)] = engine.execute(f"SELECT count(*) FROM {places}").fetchall()
    bounds = [total * number // _STRETCHES for number in range(_STRETCHES + 1)]
    for first, end in pairwise(bounds):
        _take(engine, sort, rows, places, first, end)
    engine.execute(f"DROP TABLE {rows}")
    engine.execute(f"DROP TABLE {places}")


def _take(
    engine: duckdb.DuckDBPyConnection, sort: Mapping[str, Any], rows: str, places: str, first: int, end: int
) -> None:
    """Put the rows of a stretch of places behind those that are there."""
    import duckdb

    stretch = f"SELECT {_AT}, rowid AS {_PLACE} FROM {places} WHERE rowid >= {first} AND rowid < {end}"
    try:
        engine.execute(
            f"INSERT INTO {sort['table']} SELECT {sort['columns']} FROM {rows} JOIN ({stretch}) p ON {ORDINAL} = {_AT}"
            f" ORDER BY {_PLACE}"
        )
    except duckdb.OutOfMemoryException:
        if end - first < 2:
            raise
        middle = (first + end) // 2
        _take(engine, sort, rows, places, first, middle)
        _take(engine, sort, rows, places, middle, end)
