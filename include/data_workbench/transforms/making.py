"""Run a statement of a plan; where a value in it cannot be computed, the statements that set its row or group aside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from data_workbench.transforms.blaming import blame
from data_workbench.transforms.drafts import APART
from data_workbench.transforms.sparing import sort_by_stretches

if TYPE_CHECKING:
    import duckdb

    from data_workbench.transforms.plan import Action


def make(engine: duckdb.DuckDBPyConnection, action: Action) -> None:
    """Run the statement of an action.

    Raises:
        TransformError: part of it cannot be computed in a way that sets no row or group aside.
    """
    import duckdb

    try:
        engine.execute(action.sql)
    except duckdb.OutOfMemoryException:
        if "sort" not in action.arguments:
            raise
        sort_by_stretches(engine, action.arguments["sort"])
    except (duckdb.DataError, duckdb.InvalidInputException) as error:
        _make_otherwise(engine, action, error)


def _make_otherwise(engine: duckdb.DuckDBPyConnection, action: Action, error: Exception) -> None:
    """Run the statements in place of one that failed; if these fail, too, set groups aside, or tell what it is of."""
    import duckdb

    try:
        if not action.otherwise:
            raise error
        for sql in action.otherwise:
            engine.execute(sql)
    except (duckdb.DataError, duckdb.InvalidInputException) as failure:
        if "query" not in action.arguments:
            raise
        if not _set_apart(engine, action):
            told = {name: value for name, value in action.arguments.items() if name != APART}
            raise blame(engine, failure, **told) from failure


def _set_apart(engine: duckdb.DuckDBPyConnection, action: Action) -> bool:
    """Run the statement that sets groups aside, if there is one and memory holds the values of each group."""
    import duckdb

    if APART not in action.arguments:
        return False
    try:
        engine.execute(action.arguments[APART])
    except (duckdb.DataError, duckdb.InvalidInputException, duckdb.OutOfMemoryException):
        return False
    return True
