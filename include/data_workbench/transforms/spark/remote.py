"""What is asked of DuckDB on the executors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Remote:
    """An expression that DuckDB computes on the executors.

    Args:
        sql: over columns c0, c1, ….
        kinds: their DuckDB types.
        result: DuckDB type of what comes out.
        is_fold: an aggregate; it is given a list of structs of the columns.
    """

    sql: str
    kinds: tuple[str, ...]
    result: str
    is_fold: bool = False


Define = Callable[[Remote], str]
"""Makes a function of Spark's and gives its name."""
