"""Rows as a store gives them, for one statement of DuckDB: what the store raises is raised as it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from data_workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from data_workbench.connectors.base import ReadRequest, Source

ARRIVING: Final = "arriving"
"""The relation that a statement finds the rows under."""


@contextmanager
def arriving(connection: DuckDBPyConnection, source: Source, request: ReadRequest) -> Iterator[None]:
    """The block's one statement over `arriving` takes the rows as they are read.

    Raises:
        WorkbenchError: the store failed.
        duckdb.Error, ArrowException: the rows do not bear the statement.
    """
    import duckdb

    reading = source.read(request)
    trouble: list[WorkbenchError] = []

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            yield from reading
        except WorkbenchError as error:  # DuckDB would tell only its words
            trouble.append(error)
            raise

    try:
        connection.register(ARRIVING, pa.RecordBatchReader.from_batches(reading.schema, batches()))
        yield
        connection.unregister(ARRIVING)
    except (duckdb.Error, pa.ArrowException):
        if trouble:
            raise trouble[0] from None
        raise
    finally:
        reading.close()
