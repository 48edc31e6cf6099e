"""What is asked of one column, as SQL: aggregates of the whole pass, and questions to the sample kept beside it.

Exact over all rows: counts, nulls, least and greatest value, mean, deviation, lengths. `distinct` is DuckDB's
HyperLogLog, and quantiles are its t-digest, unless the sample holds every row. Top values, patterns and histograms are
the sample's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import pyarrow as pa

from data_workbench.records.names import quoted
from data_workbench.records.types import native_type
from data_workbench.records.values import jsonable

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Kind = Literal["number", "text", "moment", "boolean", "other"]

HLL_ERROR: Final = 0.12
"""Three standard deviations of DuckDB's HyperLogLog, of 3.8 % each: over 240 sets of 5,000 to 1,000,000 values."""
LEVELS: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
BINS: Final = 20
TOP: Final = 10
LONGEST: Final = 200
"""Characters of a value that are shown, and of which the sample keeps more by one."""
_SHAPED: Final = 60
"""Characters of a value that its pattern is made of."""
_LARGEST: Final = "1e150"
"""Beyond this a deviation overflows."""


@dataclass(frozen=True)
class Column:
    """A column of the scan.

    Args:
        place: among the columns that are scanned; they are named by it, since DuckDB takes names that differ in case
            only for one, and knows no empty one.
        hidden: its values are not shown (`classified`, `redacted`); None shows them.
    """

    name: str
    field: pa.Field
    kind: Kind
    hidden: str | None
    place: int

    @property
    def scanned(self) -> str:
        """What the scan calls it."""
        return f"column_{self.place}"

    @property
    def sql(self) -> str:
        """The same, for SQL."""
        return quoted(self.scanned)

    @property
    def number(self) -> str:
        """As a double, for what is computed of numbers and moments."""
        if self.kind == "moment":
            return f"epoch({self.sql})"
        return f"TRY_CAST({self.sql} AS DOUBLE)"

    @property
    def finite(self) -> str:
        """Which of its numbers can be computed with."""
        if self.kind == "moment":
            return f"isfinite({self.sql})"
        return f"abs({self.number}) < {_LARGEST}"

    @property
    def computed(self) -> str:
        """The column that the scan computes of it: its finite numbers, once for all aggregates."""
        return quoted(f"finite_{self.place}")

    @property
    def is_always_finite(self) -> bool:
        """Whether its type has no infinity."""
        kind = self.field.type
        return bool(pa.types.is_integer(kind) or pa.types.is_decimal128(kind))


def column_of(field: pa.Field, hidden: str | None, place: int) -> Column:
    """A column with the kind of questions that fit its type; categories of a data frame are what they stand for."""
    if pa.types.is_dictionary(field.type):
        field = field.with_type(field.type.value_type)
    return Column(field.name, field, _kind(field), hidden, place)


def _kind(field: pa.Field) -> Kind:
    types, kind = pa.types, field.type
    if types.is_boolean(kind):
        return "boolean"
    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
        return "number"
    if types.is_date(kind) or types.is_timestamp(kind):
        return "moment"
    if is_text(kind):
        return "number" if native_type(field) == "numeric" else "text"
    return "other"


def is_text(kind: pa.DataType) -> bool:
    """Whether a type is one of Arrow's texts."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def aggregates(column: Column) -> dict[str, str]:
    """The aggregates of the pass by the name of their fact."""
    sql, found = column.sql, {"present": f"count({column.sql})"}
    if column.hidden == "redacted":
        return found
    found["distinct"] = f"approx_count_distinct({sql})"
    if column.kind == "text":
        found |= {f"{fact}_length": f"{fact}(length({sql}))" for fact in ("min", "max", "avg")}
    elif pa.types.is_nested(column.field.type) and not pa.types.is_struct(column.field.type):
        found |= {f"{fact}_length": f"{fact}(len({sql}))" for fact in ("min", "max", "avg")}
    if column.hidden:
        return found
    if column.kind == "number":
        value = sql if column.is_always_finite else column.computed
        found |= {"min": f"min({value})", "max": f"max({value})"}
        found |= {"mean": f"avg({value})", "deviation": f"stddev_samp({value})"}
        if not column.is_always_finite:
            found["finite"] = f"count({value})"
    elif column.kind in ("text", "moment"):
        # A year beyond 9999 is no date of Python's; as text it is told all the same.
        found |= {fact: f"CAST({fact}({sql}) AS VARCHAR)" for fact in ("min", "max")}
    if column.kind in ("number", "moment"):
        levels = ", ".join(map(str, LEVELS))
        value = column.number if column.is_always_finite else column.computed
        found["quantiles"] = f"approx_quantile({value}, [{levels}])"
    return found


def computed(column: Column) -> str | None:
    """What the scan computes of a column before it is aggregated, with its name."""
    if column.hidden or column.kind not in ("number", "moment") or column.is_always_finite:
        return None
    return f"CASE WHEN {column.finite} THEN {column.number} END AS {column.computed}"


def facts(column: Column, rows: int, found: dict[str, Any]) -> dict[str, Any]:
    """The column's part of a profile, from the results of its aggregates."""
    told: dict[str, Any] = {"type": native_type(column.field) or str(column.field.type), "kind": column.kind}
    if column.hidden:
        told["hidden"] = column.hidden
    if column.hidden == "redacted":
        return told
    nulls = rows - found["present"]
    told |= {"nulls": nulls, "null_share": nulls / rows if rows else None}
    told["distinct"] = {"value": min(found["distinct"], found["present"]), "method": "hyperloglog", "error": HLL_ERROR}
    if "max_length" in found:
        told["lengths"] = {name: found[f"{fact}_length"] for name, fact in _LENGTHS}
    for fact in ("min", "max", "mean", "deviation"):
        if fact in found:
            told[fact] = _shown(found[fact])
    if "finite" in found:
        told["not_finite"] = found["present"] - found["finite"]
    if found.get("quantiles"):
        told["quantiles"] = {str(level): value for level, value in zip(LEVELS, found["quantiles"], strict=True)}
    return told


_LENGTHS: Final = (("min", "min"), ("mean", "avg"), ("max", "max"))


def _shown(value: Any) -> Any:
    value = jsonable(value)
    return value[:LONGEST] + "…" if isinstance(value, str) and len(value) > LONGEST else value


# ------------------------------------------------------------------------------------------------------- of the sample


def add_sampled(
    column: Column, told: dict[str, Any], connection: DuckDBPyConnection, relation: str, *, is_whole: bool
) -> None:
    """Add to a column's facts what the sample says.

    Args:
        relation: the sample's relation.
        is_whole: the sample holds every row, so that what it says is exact.
    """
    if column.hidden == "redacted":
        return
    cut = told.get("lengths", {}).get("max") or 0
    if is_whole and (column.kind != "text" or cut <= LONGEST):
        [[value]] = connection.execute(f"SELECT count(DISTINCT {column.sql}) FROM {relation}").fetchall()
        told["distinct"] = {"value": value, "method": "exact", "error": 0.0}
    if column.hidden:
        return
    told["sampled"] = not is_whole
    if column.kind != "other":
        told["top"] = _top(column, connection, relation)
    if column.kind == "text":
        told["patterns"] = _patterns(column, connection, relation)
    if "quantiles" in told:
        if is_whole:
            told["quantiles"] = _quantiles(column, connection, relation)
        told["histogram"] = _histogram(column, connection, relation)


def _top(column: Column, connection: DuckDBPyConnection, relation: str) -> list[dict[str, Any]]:
    """Values that come more than once, the most frequent first."""
    value = f"left(CAST({column.sql} AS VARCHAR), {LONGEST + 1})"
    rows = connection.execute(
        f"SELECT {value} AS value, count(*) AS n FROM {relation} WHERE {column.sql} IS NOT NULL "
        f"GROUP BY ALL HAVING n > 1 ORDER BY n DESC, value LIMIT {TOP}"
    ).fetchall()
    return [{"value": _shown(value), "count": count} for value, count in rows]


def _patterns(column: Column, connection: DuckDBPyConnection, relation: str) -> list[dict[str, Any]]:
    """Shapes: runs of capitals as A, of other letters as a, of digits as 9."""
    shape = f"left({column.sql}, {_SHAPED})"
    for found, mark in ((r"\p{Lu}+", "A"), (r"[\p{Ll}\p{Lo}\p{Lt}]+", "a"), (r"[0-9]+", "9")):
        shape = f"regexp_replace({shape}, '{found}', '{mark}', 'g')"
    rows = connection.execute(
        f"SELECT {shape} AS pattern, count(*) AS n FROM {relation} WHERE {column.sql} IS NOT NULL "
        f"GROUP BY ALL ORDER BY n DESC, pattern LIMIT {TOP}"
    ).fetchall()
    return [{"pattern": pattern, "count": count} for pattern, count in rows]


def _quantiles(column: Column, connection: DuckDBPyConnection, relation: str) -> dict[str, float] | None:
    levels = ", ".join(map(str, LEVELS))
    [[found]] = connection.execute(
        f"SELECT quantile_cont({column.number}, [{levels}]) FILTER ({column.finite}) FROM {relation}"
    ).fetchall()
    return {str(level): value for level, value in zip(LEVELS, found, strict=True)} if found else None


def _histogram(column: Column, connection: DuckDBPyConnection, relation: str) -> list[dict[str, float]]:
    """Bars of equal width from the least to the greatest value; of moments, seconds since 1970."""
    value = f"SELECT {column.number} AS x FROM {relation} WHERE {column.finite}"
    [[low, high]] = connection.execute(f"SELECT min(x), max(x) FROM ({value})").fetchall()
    if low is None:
        return []
    width = (high - low) / BINS
    if not width:
        [[count]] = connection.execute(f"SELECT count(*) FROM ({value})").fetchall()
        return [{"from": low, "to": high, "count": count}]
    rows: Sequence[tuple[int, int]] = connection.execute(
        f"SELECT least(CAST(floor((x - ?) / ?) AS INTEGER), {BINS - 1}) AS bin, count(*) FROM ({value}) GROUP BY bin",
        [low, width],
    ).fetchall()
    counts = dict(rows)
    return [
        {"from": low + bin_ * width, "to": low + (bin_ + 1) * width, "count": counts.get(bin_, 0)}
        for bin_ in range(BINS)
    ]
