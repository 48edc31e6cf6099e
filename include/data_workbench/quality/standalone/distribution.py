"""How the values of a column are spread, held against another column or against given shares.

Numbers and moments are compared by the greatest distance between their cumulative shares (Kolmogorov and Smirnov's),
all others by the share of rows that would have to take another value (total variation). Both are exact, and lie from 0
to 1.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from data_workbench.quality.standalone.comparing import NUMBERS
from data_workbench.records.names import quoted

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from data_workbench.quality.standalone.kinds import DistributionCheck

_SHOWN = 100


def is_ordered(kind: str) -> bool:
    """Whether values of a DuckDB type have a distance: of numbers and moments a cumulative share means something."""
    return kind.startswith(("DECIMAL", "TIMESTAMP", "DATE", "TIME")) or kind in NUMBERS


def values_of(table: str, column: str, numbers: Collection[str]) -> str:
    """The values of a column, as a relation; numbers that travel as text (numeric of any length) are numbers."""
    sql = f"CAST({quoted(column)} AS DOUBLE)" if column in numbers else quoted(column)
    return f"(SELECT {sql} AS value FROM {table} WHERE {quoted(column)} IS NOT NULL)"


def measured(
    connection: DuckDBPyConnection, wanted: DistributionCheck, column: str, other: str | None
) -> tuple[float, list[dict[str, Any]]]:
    """The distance, and the values that make it: of each its share here and there, the greatest difference first.

    No values are spread in no way, which is not another one.

    Args:
        column: the values, as `values_of` says it.
        other: those they are held against; None where shares are given.
    """
    here = column
    [[counted]] = connection.execute(f"SELECT count(*) FROM {here}").fetchall()
    if not counted:
        return 0.0, []
    if other is None:
        return _against_shares(connection, here, wanted)
    kinds = [str(connection.sql(f"SELECT value FROM {one} LIMIT 0").types[0]) for one in (here, other)]
    if all(map(is_ordered, kinds)) and (kinds[0] in NUMBERS) == (kinds[1] in NUMBERS):
        return _ordered(connection, here, other)
    return _shares(connection, _counted(here), _counted(other))


def _against_shares(
    connection: DuckDBPyConnection, here: str, wanted: DistributionCheck
) -> tuple[float, list[dict[str, Any]]]:
    given = wanted.shares or {}
    connection.execute("CREATE OR REPLACE TEMP TABLE wanted_shares (value VARCHAR, share DOUBLE)").fetchall()
    connection.executemany("INSERT INTO wanted_shares VALUES (?, ?)", [list(one) for one in given.items()])
    rest = 1 - sum(given.values())
    counted = _counted(here)
    # What is in no share is one group: of it only its size is known.
    grouped = (
        f"(SELECT CASE WHEN value IN (SELECT value FROM wanted_shares) THEN value ELSE NULL END AS value, "
        f"sum(share) AS share FROM {counted} GROUP BY 1)"
    )
    wanted_ = f"(FROM wanted_shares UNION ALL SELECT NULL, {rest!r})"
    return _shares(connection, grouped, wanted_)


def _counted(relation: str) -> str:
    total = f"(SELECT count(*) FROM {relation})"
    return f"(SELECT CAST(value AS VARCHAR) AS value, count(*) / {total} AS share FROM {relation} GROUP BY 1)"


def _shares(connection: DuckDBPyConnection, here: str, there: str) -> tuple[float, list[dict[str, Any]]]:
    both = (
        f"SELECT coalesce(h.value, o.value) AS value, coalesce(h.share, 0) AS here, coalesce(o.share, 0) AS there "
        f"FROM {here} h FULL JOIN {there} o ON h.value IS NOT DISTINCT FROM o.value"
    )
    [[distance]] = connection.execute(f"SELECT sum(abs(here - there)) / 2 FROM ({both})").fetchall()
    moved = f"FROM ({both}) WHERE here <> there ORDER BY abs(here - there) DESC, value LIMIT {_SHOWN}"
    worst = connection.execute(f"SELECT value, here, there {moved}").fetchall()
    return float(distance or 0.0), [_told("any other" if value is None else value, *pair) for value, *pair in worst]


def _ordered(connection: DuckDBPyConnection, here: str, other: str) -> tuple[float, list[dict[str, Any]]]:
    weights = " UNION ALL ".join(
        f"SELECT value, {mine} / (count(*) OVER ()) AS here, {theirs} / (count(*) OVER ()) AS there FROM {one}"
        for one, mine, theirs in ((here, "1.0", "0.0"), (other, "0.0", "1.0"))
    )
    cumulative = (
        f"SELECT DISTINCT value, sum(here) OVER up AS here, sum(there) OVER up AS there FROM ({weights}) "
        "WINDOW up AS (ORDER BY value RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)"
    )
    worst = connection.execute(
        f"SELECT CAST(value AS VARCHAR), here, there FROM ({cumulative}) ORDER BY abs(here - there) DESC, value LIMIT 1"
    ).fetchall()
    if not worst:
        return 0.0, []
    [[value, below, beside]] = worst
    return abs(below - beside), [_told(f"up to {value}", below, beside)]


def _told(value: str, here: float, there: float) -> dict[str, Any]:
    return {"value": value, "share here": round(float(here), 4), "share wanted": round(float(there), 4)}
