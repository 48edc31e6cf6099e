"""The content of an artifact as one number, whatever the order of rows and the cut into parts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from data_workbench.artifacts.manifest import Manifest
from data_workbench.records.marks import ORDINAL

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_MODULUS = 2**128


def content_checksum(
    content: Manifest | pa.Table | Iterable[pa.RecordBatch | pa.Table], *, columns: Sequence[str] | None = None
) -> str:
    """`<rows>:<hex>`: equal for equal bags of rows (each row's hash, summed, so duplicates count).

    It is stable for one version of DuckDB; compare what was computed side by side, do not keep it for years.

    Args:
        content: an artifact, a table, or batches of one schema.
        columns: those that count; all but the reading order (`records.marks.ORDINAL`) if not given.
    """
    import duckdb

    rows, total = 0, 0
    with duckdb.connect(":memory:", config={"threads": 1}) as connection:
        for table in _tables(content):
            names = [name for name in (columns or table.schema.names) if columns or name != ORDINAL]
            if table.num_rows:
                rows += table.num_rows
                total += _sum_of_hashes(connection, _hashable(table.select(names)))
    return f"{rows}:{total % _MODULUS:032x}"


def _tables(content: Manifest | pa.Table | Iterable[pa.RecordBatch | pa.Table]) -> Iterable[pa.Table]:
    if isinstance(content, Manifest):
        content = content.iter_batches()
    elif isinstance(content, pa.Table):
        content = [content]
    for one in content:
        yield one if isinstance(one, pa.Table) else pa.Table.from_batches([one])


def _sum_of_hashes(connection: DuckDBPyConnection, table: pa.Table) -> int:
    # Names are given here: a user's column may be called anything.
    plain = table.rename_columns([f"c{index}" for index in range(table.num_columns)])
    connection.register("part", plain)
    try:
        arguments = ", ".join(plain.schema.names)
        # fetchall: after fetchone DuckDB holds the result open and refuses to unregister.
        [(total,)] = connection.execute(f"SELECT sum(hash({arguments})::HUGEINT) FROM part").fetchall()
    finally:
        connection.unregister("part")
    return int(total)


def _hashable(table: pa.Table) -> pa.Table:
    """Types DuckDB does not take, as text."""
    for index, item in enumerate(table.schema):
        if pa.types.is_decimal256(item.type) or pa.types.is_float16(item.type):
            table = table.set_column(index, item.name, table.column(index).cast(pa.string()))
    return table
