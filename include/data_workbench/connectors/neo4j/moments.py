"""Cypher and rows for timestamps that cross as numbers (`mapping.graph_moments`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from data_workbench.connectors.neo4j.names import quoted
from data_workbench.mapping import graph_moments as moments
from data_workbench.mapping.graph_values import from_graph, to_graph


def numbered_rows(table: pa.Table, fields: Sequence[pa.Field]) -> list[dict[str, Any]]:
    """A table's rows as property maps, moments as numbers; `made_whole` turns them back."""
    columns = [
        (moments.to_numbers if moments.is_numbered(item) else to_graph)(table.column(item.name), item)
        for item in fields
    ]
    names = [item.name for item in fields]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def made_whole(variable: str, fields: Sequence[pa.Field]) -> str:
    """Cypher for a map of `numbered_rows` with its moments; the variable that holds the map if it has none."""
    parts = [f"{quoted(item.name)}: {_moment(variable, item)}" for item in fields if moments.is_numbered(item)]
    return f"{variable}{{.*, {', '.join(parts)}}}" if parts else variable


def _moment(variable: str, item: pa.Field) -> str:
    value = f"{variable}.{quoted(item.name)}"
    seconds = f"{value} / 1000000 - {moments.EPOCH_SECONDS}"
    moment = f"datetime.fromEpoch({seconds}, {value} % 1000000 * 1000)"
    made = moment if moments.is_zoned(item) else f"localdatetime({moment})"
    return f"CASE WHEN {value} IS :: INTEGER NOT NULL THEN {made} ELSE {value} END"


def answered(value: str, item: pa.Field) -> str:
    """Cypher that answers a property as `column_of` takes it."""
    if not moments.is_numbered(item):
        return value
    is_zoned = moments.is_zoned(item)
    instant = value if is_zoned else f"datetime({{datetime: {value}}})"
    kind = "ZONED DATETIME" if is_zoned else "LOCAL DATETIME"
    # Not by epochSeconds, which rounds moments before 1970 up.
    # Compared by its year, as the driver does: an offset can carry an instant over the end of the years it knows.
    return (
        f"CASE WHEN {value} IS NULL THEN null WHEN {value} IS :: {kind} NOT NULL AND 1 < {value}.year < 9999 "
        f"THEN ({instant}.epochMillis + {moments.EPOCH_SECONDS * 1000}) * 1000 + {value}.microsecond % 1000 "
        f"ELSE [{value}] END"
    )


def column_of(values: Sequence[Any], item: pa.Field) -> pa.Array:
    """A column of what `answered` answered."""
    return moments.from_numbers(values, item) if moments.is_numbered(item) else from_graph(values, item)


def found_in(answer: Any, item: pa.Field) -> Any:
    """The property behind an answer that is no number."""
    return answer[0] if moments.is_numbered(item) and isinstance(answer, list) else answer
