"""Archived rows in a DuckDB that reads the files it is given, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from data_workbench.records.fingerprints import fingerprint_number_sql
from data_workbench.records.names import literal

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_MODULUS = 1 << 64
_HALVES = "sum((f % 18446744073709551616)::HUGEINT), sum((f // 18446744073709551616)::HUGEINT)"


@contextmanager
def locked(
    *, memory: str, threads: int, spill: Path | None = None, files: Iterable[Path] = ()
) -> Iterator[DuckDBPyConnection]:
    """A connection that may read these files and spill into a folder; its configuration is locked."""
    import duckdb

    connection = duckdb.connect(config={"memory_limit": memory, "threads": threads})
    try:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET autoinstall_known_extensions = false")
        connection.execute("SET autoload_known_extensions = false")
        if spill is not None:
            connection.execute(f"SET temp_directory = {literal(str(spill))}")
        listed = ", ".join(literal(str(one)) for one in sorted({one.resolve() for one in files}))
        connection.execute(f"SET allowed_paths = [{listed}]")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        yield connection
    finally:
        connection.close()


class ContentSum:
    """Rows, and the sum of their fingerprints, as `<rows>:<hex>`: the same in any order and any cut.

    The fingerprint's text is fixed (`records.fingerprints`), so it can be kept for years.
    """

    def __init__(self) -> None:
        import duckdb

        self._connection = duckdb.connect(config={"threads": 1})
        self._connection.execute("SET TimeZone = 'UTC'")
        self.rows = self._low = self._high = 0

    def add(self, rows: pa.Table) -> str:
        """Count more rows; the content of these alone."""
        if not rows.num_rows:
            return _shown(0, 0, 0)
        plain = rows.rename_columns([f"c{index}" for index in range(rows.num_columns)])
        number = fingerprint_number_sql(plain.schema)
        self._connection.register("part", plain)
        try:
            [(low, high)] = self._connection.execute(
                f"SELECT {_HALVES} FROM (SELECT {number} AS f FROM part)"
            ).fetchall()
        finally:
            self._connection.unregister("part")
        self.rows, self._low, self._high = self.rows + rows.num_rows, self._low + low, self._high + high
        return _shown(rows.num_rows, low, high)

    @property
    def text(self) -> str:
        """Of all rows so far."""
        return _shown(self.rows, self._low, self._high)

    def close(self) -> None:
        """Give DuckDB's memory back."""
        self._connection.close()


def content_of(tables: Iterable[pa.Table]) -> str:
    """The content of all rows of these tables."""
    total = ContentSum()
    try:
        for one in tables:
            total.add(one)
        return total.text
    finally:
        total.close()


def _shown(rows: int, low: int, high: int) -> str:
    return f"{rows}:{low % _MODULUS:016x}{high % _MODULUS:016x}"


FILE, NUMBER = "_wb_file", "file_row_number"
"""Columns that tell of a row where it stands; DuckDB leaves no choice of the second's name."""


def parquet(files: Sequence[Path | str]) -> str:
    """SQL that reads parts as one relation by the names of columns, with FILE and NUMBER."""
    listed = ", ".join(literal(str(one)) for one in files)
    return f"read_parquet([{listed}], union_by_name = true, filename = {literal(FILE)}, {NUMBER} = true)"
