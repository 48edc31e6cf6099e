"""Which part of a query cannot be computed, told when its rows are not known one by one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from data_workbench.errors import TransformError
from data_workbench.records.names import quoted
from data_workbench.transforms.drafts import first_line

if TYPE_CHECKING:
    import duckdb

HINT = "compute it in a step before, which sets the row aside, or cast to a type that holds the result"


def blame(
    engine: duckdb.DuckDBPyConnection, error: Exception, *, step: str, query: str, columns: Mapping[str, str], rest: str
) -> TransformError:
    """The error of a query, with the column that it comes from if it is one of them alone.

    Each column is asked for on its own: the engine computes of a query what is asked for, so what fails then is that
    column. The query is run again for it, until the column is found.

    Args:
        error: what the engine said of the whole.
        columns: the query's columns, with their expressions as they are written.
        rest: what else of the query may fail.
    """
    if _failure(engine, f"SELECT count(*) FROM ({query})") is None:
        for name, told in columns.items():
            found = _failure(engine, f"SELECT last({quoted(name)}) FROM ({query})")
            if found is not None:
                return TransformError(f"{step}: {told} cannot be computed: {first_line(found)}", hint=HINT)
    return TransformError(f"{step}: {rest} cannot be computed: {first_line(error)}", hint=HINT)


def _failure(engine: duckdb.DuckDBPyConnection, sql: str) -> Exception | None:
    import duckdb

    try:
        engine.execute(sql).fetchall()
    except (duckdb.DataError, duckdb.InvalidInputException) as error:
        return error
    return None
