"""Asking a store for the rows that drive an unusual value, and saying in its own words how to find all of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from data_workbench.connectors.base import ReadRequest
from data_workbench.connectors.powers import CanQuery
from data_workbench.errors import WorkbenchError
from data_workbench.metastore.anomalies import Driver, Unusual
from data_workbench.quality.arriving import ARRIVING, arriving
from data_workbench.quality.drivers.choosing import Nodes, Points, Profile, Rows, broken, choose
from data_workbench.quality.standalone.entities import BESIDE
from data_workbench.quality.standalone.graph import named
from data_workbench.quality.standalone.masking import SHOWN, masked, masked_map
from data_workbench.quality.standalone.numbers import texts_of
from data_workbench.quality.standalone.pasting import relation, relation_in
from data_workbench.quality.standalone.translating import in_postgres
from data_workbench.records.names import literal, quoted
from data_workbench.records.values import rows_of

if TYPE_CHECKING:
    from data_workbench.connectors.base import Source, Stream
    from data_workbench.settings import Settings

log = logging.getLogger(__name__)
_SAMPLE: Final = 5
_NAMED: Final = 5
"""Broken checks that are named."""


@dataclass(frozen=True)
class Drivers:
    """Finds the rows that drive unusual values of one dataset.

    Args:
        source: opens the store; asked only if something is unusual.
        hidden: classified columns, whose values are not shown.
        results: what checks said just now.
    """

    source: Callable[[], Source]
    stream: str
    hidden: Collection[str]
    settings: Settings
    results: Sequence[Mapping[str, Any]] = ()

    def of(self, one: Unusual, now: Profile | None, before: Profile | None) -> Driver | None:
        """The rows that make a value unusual; None if none can be told, or the store does not answer.

        Args:
            now, before: the last two profiles.
        """
        if found := broken(one, self.results):
            return _told(found)
        chosen = choose(one, now, before) if now else None
        if chosen is None:
            return None
        try:
            return self._read(chosen)
        except WorkbenchError as error:
            log.warning("the rows behind %s %s are not told: %s", one.dataset, one.name, error.message)
            return None

    def _read(self, chosen: Rows | Nodes | Points) -> Driver | None:
        source = self.source()
        if isinstance(chosen, Nodes):
            return self._nodes(source, chosen) if isinstance(source, CanQuery) else None
        described = source.describe(self.stream)
        if chosen.column not in described.schema.names:
            return None
        if isinstance(chosen, Points):
            return self._points(source, described, chosen)
        return self._rows(source, described, chosen)

    def _rows(self, source: Source, described: Stream, chosen: Rows) -> Driver:
        import duckdb

        is_newest = chosen.test == "newest"
        column = quoted(chosen.column)
        condition = f"{column} IS NOT NULL" if is_newest else _condition(chosen, described.schema)
        order = f" ORDER BY {column} DESC" if is_newest else ""
        where = condition if source.pushes_where(condition, described.schema) else None
        request = ReadRequest(self.stream, self._columns(described, chosen.column), where=where)
        query = f"SELECT * FROM {ARRIVING} WHERE {condition}{order} LIMIT {_SAMPLE:d}"
        with duckdb.connect(config={"threads": 1, "memory_limit": self.settings.duckdb_memory}) as connection:
            connection.execute("SET TimeZone = 'UTC'").fetchall()
            try:
                with arriving(connection, source, request):
                    table = connection.sql(query).to_arrow_table()
            except (duckdb.Error, pa.ArrowException) as error:
                log.warning("the rows behind %s cannot be told: %s", self.stream, str(error).splitlines()[0])
                table = pa.table({})
        sample = [masked(row, self.hidden) for row in rows_of(table)]
        return Driver(chosen.words, self._finder(source, described, chosen, f"{condition}{order}"), sample)

    def _columns(self, described: Stream, first: str) -> tuple[str, ...]:
        plain = [one.name for one in described.schema if not pa.types.is_nested(one.type)]
        shown = [name for name in dict.fromkeys([*described.key, first, *plain]) if name in plain][:SHOWN]
        return tuple(dict.fromkeys([*shown, first]))

    def _finder(self, source: Source, described: Stream, chosen: Rows, condition: str) -> str:
        query = f"SELECT * FROM {relation_in(source.connection.kind, self.stream)} WHERE {condition}"
        if isinstance(source, CanQuery) and (cypher := _in_cypher(chosen, self.stream, described)):
            return cypher
        return (in_postgres(query) if source.connection.kind == "postgres" else None) or query

    def _nodes(self, source: CanQuery, chosen: Nodes) -> Driver:
        kind = f":{named(chosen.type)}" if chosen.type else ""
        way = {"out": f"-[{kind}]->", "in": f"<-[{kind}]-"}.get(chosen.direction, f"-[{kind}]-")
        node = f"(n:{named(self.stream)})"
        if self.stream.startswith("[:"):
            node, way = "(n)", f"-[:{named(self.stream[2:-1])}]-"
        if chosen.has_most:
            pattern = f"MATCH {node} WITH n, COUNT {{ (n){way}() }} AS degree WHERE degree > 0"
            told, order = "n, degree", " ORDER BY degree DESC"
        else:
            pattern, told, order = f"MATCH {node} WHERE NOT EXISTS {{ (n){way}() }}", "n", ""
        shown = "n {.*, _element_id: elementId(n)" + (", _degree: degree}" if chosen.has_most else "}")
        found = source.query(f"{pattern} RETURN {shown} AS found{order} LIMIT {_SAMPLE}", {})
        sample = [masked_map(one["found"], self.hidden) for one in found]
        return Driver(chosen.words, f"{pattern} RETURN {told}{order}", sample)

    def _points(self, source: Source, described: Stream, chosen: Points) -> Driver:
        """Two passes: the mean direction of all, then those farthest from it; of each batch only the best are kept."""
        columns = self._columns(described, chosen.column)
        total: np.ndarray[Any, Any] | None = None
        for batch in source.read(ReadRequest(self.stream, (chosen.column,))):
            unit, _ = _directions(batch.column(chosen.column))
            if len(unit):
                total = unit.sum(axis=0) + (0 if total is None or len(total) != unit.shape[1] else total)
        if total is None:
            return Driver(chosen.words)
        best: list[tuple[float, dict[str, Any]]] = []
        for batch in source.read(ReadRequest(self.stream, columns)):
            unit, places = _directions(batch.column(chosen.column))
            if not len(unit) or unit.shape[1] != len(total):
                continue
            near = unit @ (total / (np.linalg.norm(total) or 1.0))
            order = np.argsort(near if chosen.are_farthest else -near)[:_SAMPLE]
            rows = rows_of(pa.Table.from_batches([batch]).drop_columns([chosen.column]).take(places[order]))
            best += [(float(near[at]), row) for at, row in zip(order, rows, strict=True)]
            best = sorted(best, key=lambda one: one[0], reverse=not chosen.are_farthest)[:_SAMPLE]
        sample = [masked(row, self.hidden) | {"cosine with the mean": round(near, 4)} for near, row in best]
        how = f"SELECT * FROM {relation(self.stream)} ORDER BY list_cosine_similarity({quoted(chosen.column)}, $mean)"
        return Driver(chosen.words, how + ("" if chosen.are_farthest else " DESC"), sample)


def _directions(column: pa.Array) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Vectors of the most frequent dimension as directions, and their places in the column."""
    there = np.flatnonzero(np.asarray(column.is_valid()))
    lengths = np.asarray(column.drop_null().value_lengths())
    if not len(lengths):
        return np.zeros((0, 0)), there
    dimension = int(np.bincount(lengths).argmax())
    chosen = np.flatnonzero(lengths == dimension)
    starts = np.cumsum(lengths) - lengths
    values = np.asarray(column.drop_null().flatten().to_numpy(zero_copy_only=False), dtype=np.float64)
    matrix = values[starts[chosen][:, None] + np.arange(dimension)]
    norms = np.linalg.norm(matrix, axis=1)
    usable = np.isfinite(norms) & (norms > 0)
    return matrix[usable] / norms[usable][:, None], there[chosen[usable]]


def _condition(chosen: Rows, schema: pa.Schema) -> str:
    column = quoted(chosen.column)
    match chosen.test:
        case "null":
            return f"{column} IS NULL"
        case "present":
            return f"{column} IS NOT NULL"
        case "among" | "not among":
            listed = ", ".join(literal(str(one)) for one in chosen.values)
            return f"CAST({column} AS VARCHAR) {'NOT IN' if chosen.test == 'not among' else 'IN'} ({listed})"
    sign = ">" if chosen.test == "above" else "<"
    kind, [value] = schema.field(chosen.column).type, chosen.values
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        name = "DATE" if pa.types.is_date(kind) else "TIMESTAMPTZ" if kind.tz else "TIMESTAMP"
        return f"{column} {sign} CAST({literal(str(value))} AS {name})"
    number = f"CAST({column} AS DOUBLE)" if chosen.column in texts_of(schema) else column
    return f"{number} {sign} {float(value)!r}"


def _in_cypher(chosen: Rows, stream: str, described: Stream) -> str | None:
    """The finder of nodes or relationships; None where Cypher has no word that means the same."""
    one = "r" if stream.startswith("[:") else "n"
    column = f"{one}.{named(chosen.column)}"
    listed = "[" + ", ".join("'" + str(v).replace("\\", "\\\\").replace("'", "\\'") + "'" for v in chosen.values) + "]"
    kind = described.schema.field(chosen.column).type
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    sign = {"above": ">", "below": "<"}.get(chosen.test)
    if sign and not is_number:
        return None
    condition = {
        "null": f"{column} IS NULL",
        "among": f"toString({column}) IN {listed}",
        "not among": f"NOT toString({column}) IN {listed}",
    }.get(chosen.test, f"{column} {sign} {chosen.values[0]!r}" if sign else f"{column} IS NOT NULL")
    order = f" ORDER BY {column} DESC" if chosen.test == "newest" else ""
    if one == "r":
        return f"MATCH (a)-[r:{named(stream[2:-1])}]->(b) WHERE {condition} RETURN a, r, b{order}"
    return f"MATCH (n:{named(stream)}) WHERE {condition} RETURN n{order}"


def _told(found: Sequence[Mapping[str, Any]]) -> Driver:
    """Checks that fail have shown their rows already, masked."""
    named_ = ", ".join(f"{one['name']} ({one['failing'] or 1:,})" for one in found[:_NAMED])
    shown = next((one for one in found if one["sample"]), found[0])
    sample = [{name: value for name, value in row.items() if name != BESIDE} for row in shown["sample"]]
    return Driver(f"failing checks: {named_}", shown["finder"], sample)
