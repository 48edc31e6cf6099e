"""Unique values against the destination: which rows hold a value that stands there under another key."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from data_workbench.records.marks import ORDINAL
from data_workbench.records.names import quoted
from data_workbench.transforms.plan import ALIVE, STATUS, Action
from data_workbench.transforms.text import listing

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

FindUnique = Callable[[str, tuple[str, ...], "pa.Table"], "pa.Table"]
"""Node, unique columns and values to rows (key columns and unique columns) that hold them in the destination."""

_CHUNK = 65_536


def mark_taken(engine: duckdb.DuckDBPyConnection, action: Action, find_unique: FindUnique) -> None:
    """Ask about all values, a chunk at a time, and add the ordinals of rows whose value is taken.

    A row in the destination whose key comes along in this run with a value of its own does not count: it is about to
    change, and within the run uniqueness was decided already.
    """
    import pyarrow as pa

    arguments = action.arguments
    columns, key = tuple(arguments["columns"]), tuple(arguments["key"])
    clashes = []
    for batch in engine.sql(action.sql).to_arrow_table().to_batches(_CHUNK):
        asked = pa.Table.from_batches([batch])
        found = find_unique(arguments["node"], columns, asked.select(list(columns)))
        if found.num_rows:
            clashes.append(_of_other_keys(engine, asked, found, columns, key))
    if not clashes:
        return
    engine.register("taken_rows", pa.concat_tables(clashes))
    keys = listing(key)
    others = ", ".join(quoted(f"_wb_there_{name}") for name in key)
    engine.execute(
        f"INSERT INTO {arguments['table']} SELECT DISTINCT {ORDINAL}, TRUE FROM taken_rows WHERE ({others}) NOT IN "
        f"(SELECT ({keys}) FROM {arguments['frame']} WHERE {STATUS} = {ALIVE})"
    )
    engine.unregister("taken_rows")


def _of_other_keys(
    engine: duckdb.DuckDBPyConnection,
    asked: pa.Table,
    found: pa.Table,
    columns: tuple[str, ...],
    key: tuple[str, ...],
) -> pa.Table:
    """Rows asked about, with the other key that holds their value."""
    engine.register("asked_rows", asked)
    engine.register("found_rows", found)
    same = " AND ".join(f"a.{quoted(name)} = f.{quoted(name)}" for name in columns)
    other = " OR ".join(f"a.{quoted(name)} IS DISTINCT FROM f.{quoted(name)}" for name in key)
    there = ", ".join(f"f.{quoted(name)} AS {quoted(f'_wb_there_{name}')}" for name in key)
    try:
        return engine.sql(
            f"SELECT a.{ORDINAL}, {there} FROM asked_rows a JOIN found_rows f ON {same} WHERE {other}"
        ).to_arrow_table()
    finally:
        engine.unregister("asked_rows")
        engine.unregister("found_rows")
