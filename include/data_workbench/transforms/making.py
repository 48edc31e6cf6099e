"""Run a statement of a plan; where a value in it cannot be computed, the statements that set its row or group aside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from data_workbench.transforms.blaming import blame
from data_workbench.transforms.drafts import APART
from data_workbench.transforms.sparing import sort_by_stretches

if TYPE_CHECKING:
    import duckdb

    from data_workbench.transforms.plan import Action

_MEMORY_HINT = (
    "memory does not hold the values of its groups or windows, so none can be set aside: cast what is folded to "
    "double, which is hardly ever out of range, make groups or windows smaller, or raise WORKBENCH_DUCKDB_MEMORY"
)


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
        if (trouble := _apart_trouble(engine, action, failure)) is not None:
            told = {name: value for name, value in action.arguments.items() if name != APART}
            blamed = blame(engine, failure, **told)
            if isinstance(trouble, duckdb.OutOfMemoryException):
                blamed.hint = _MEMORY_HINT
            raise blamed from failure


def _apart_trouble(engine: duckdb.DuckDBPyConnection, action: Action, failure: Exception) -> Exception | None:
    """Run the statement that sets groups aside; what came in its way, which is the failure itself if there is none."""
    import duckdb

    if APART not in action.arguments:
        return failure
    try:
        engine.execute(action.arguments[APART])
    except (duckdb.DataError, duckdb.InvalidInputException, duckdb.OutOfMemoryException) as error:
        return error
    return None
