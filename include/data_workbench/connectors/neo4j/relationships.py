"""Rows to relationships: each belongs to its row by `_wb_key`, so a changed endpoint moves it.

With a key, every row has its own relationship, parallel to others between the same nodes. Without one, the pair of
endpoints is the key: rows with the same pair share a relationship, and a changed pair is a new one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from data_workbench.connectors.base import Rejection
from data_workbench.connectors.neo4j.chunks import Chunk
from data_workbench.connectors.neo4j.cypher import same_values, when
from data_workbench.connectors.neo4j.keys import json_rows, key_texts, mapping_prefix, row_key, split_keys
from data_workbench.connectors.neo4j.loads import GraphWriter, Outcome
from data_workbench.connectors.neo4j.moments import made_whole, numbered_rows
from data_workbench.connectors.neo4j.names import KEY, pattern, quoted
from data_workbench.mapping.graph_values import to_graph
from data_workbench.records.accounting import RelationshipCounts, WriteCounts
from data_workbench.records.marks import STAMP_PIPELINE, STAMP_RUN, TOMBSTONE, UPSERT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neo4j import ManagedTransaction

    from data_workbench.connectors.neo4j.client import Client
    from data_workbench.mapping.targets import Endpoint, LoadContext, RelationshipTarget

_PIPELINE, _RUN, _KEY = quoted(STAMP_PIPELINE), quoted(STAMP_RUN), quoted(KEY)
_ABSENT = "missing endpoint"
_AMBIGUOUS = "ambiguous endpoint"


@dataclass(frozen=True)
class RelationshipCypher:
    """The statements of one relationship target.

    A row of `$rows` is `{i: position, k: _wb_key, a: […], b: […], p: {properties}}`.
    """

    target: RelationshipTarget
    fields: Sequence[pa.Field]
    stamps: str = f"{{`{STAMP_PIPELINE}`: $pipeline, `{STAMP_RUN}`: $run"

    @property
    def kind(self) -> str:
        return quoted(self.target.type)

    def _end(self, name: str, end: Endpoint) -> str:
        """Find an endpoint; `a_n` tells how many there are, for a property that is not unique."""
        by = pattern(end.properties, [f"row.{name}[{place}]" for place in range(len(end.properties))])
        return (
            f"CALL (row) {{ OPTIONAL MATCH (n:{quoted(end.label)} {by}) "
            f"RETURN head(collect(n)) AS {name}, count(n) AS {name}_n }} "
        )

    @property
    def ends(self) -> str:
        return f"{self.rows} {self._end('a', self.target.source)}{self._end('b', self.target.target)}"

    @property
    def rows(self) -> str:
        """Each row of `$rows`, its properties as they will stand."""
        whole = made_whole("p", self.fields)
        if whole == "p":
            return "UNWIND $rows AS row"
        return f"UNWIND $rows AS sent WITH sent, sent.p AS p WITH sent{{.*, p: {whole}}} AS row"

    @property
    def found(self) -> str:
        """The state of rows whose endpoints do not stand, before any other."""
        return "WHEN a_n = 0 THEN 'no source' WHEN b_n = 0 THEN 'no target' WHEN a_n + b_n > 2 THEN 'ambiguous' "

    @cached_property
    def create(self) -> str:
        """No relationship of the mapping is there yet."""
        stamps = f"{self.stamps}}}" if self.target.write == "append" else f"{self.stamps}, `{KEY}`: row.k}}"
        return (
            f"{self.ends} WITH row, a, b, CASE {self.found} ELSE 'create' END AS state "
            + when("state = 'create'", f"CREATE (a)-[c:{self.kind}]->(b) SET c = row.p, c += {stamps}")
            + " RETURN state, collect(row.i) AS places"
        )

    @cached_property
    def upsert(self) -> str:
        """Look first. A row that lost an endpoint loses its relationship too, unless such rows are quarantined."""
        lost = "false" if self.target.missing == "quarantine" else "state STARTS WITH 'no ' AND r IS NOT NULL"
        stale = "coalesce(r.`_wb_run` <> $run, true)" if self.target.write == "replace" else "false"
        stamps = f"{self.stamps}, `{KEY}`: row.k}}"
        made = f"CREATE (a)-[c:{self.kind}]->(b) SET c = "
        return (
            f"{self.ends} OPTIONAL MATCH (x)-[r:{self.kind} {{{_KEY}: row.k}}]->(y) "
            f"WITH row, a, b, r, properties(r) AS old, CASE {self.found} WHEN r IS NULL THEN 'create' "
            f"WHEN x <> a OR y <> b THEN 'move' WHEN NOT ({same_values('r', 'row.p', self.fields)}) THEN 'update' "
            f"ELSE 'same' END AS state, {stale} AS stale "
            + when(f"state = 'move' OR ({lost})", "DELETE r")
            + when("state = 'create'", f"{made}row.p, c += {stamps}")
            + when("state = 'move'", f"{made}old, c += row.p, c += {stamps}")
            + when("state = 'update'", f"SET r += row.p, r += {stamps}")
            + when("state = 'same' AND stale", f"SET r += {stamps}")
            + " RETURN state, collect(row.i) AS places"
        )

    @cached_property
    def adopt(self) -> str:
        """Give relationships that nobody stamped, between a row's endpoints, to that row."""
        return (
            f"{self.ends} WITH row, a, b WHERE a_n = 1 AND b_n = 1 "
            f"AND NOT EXISTS {{ MATCH ()-[e:{self.kind} {{{_KEY}: row.k}}]->() }} "
            f"MATCH (a)-[f:{self.kind}]->(b) WHERE f.{_PIPELINE} IS NULL "
            f"WITH row, min(elementId(f)) AS id WITH id, min(row.k) AS k "
            f"MATCH ()-[f:{self.kind}]->() WHERE elementId(f) = id SET f += {self.stamps}, `{KEY}`: k}}"
        )

    @cached_property
    def delete(self) -> str:
        """The relationships of rows, by key."""
        return f"UNWIND $rows AS key MATCH ()-[r:{self.kind} {{{_KEY}: key}}]->() DELETE r"


@dataclass(frozen=True)
class RelationshipRows:
    """A chunk ready for the driver."""

    rows: list[dict[str, Any]]
    table: pa.Table
    """The rows in the order of their positions, for telling which were held back."""
    loose: list[str]
    """Keys of rows that want no relationship: a null endpoint, or deleted."""
    repeated: int
    rejections: list[Rejection]


class RelationshipWriter(GraphWriter[RelationshipRows]):
    """Loads relationships of one mapping."""

    target: RelationshipTarget

    def __init__(
        self, client: Client, target: RelationshipTarget, schema: pa.Schema, context: LoadContext, *, is_empty: bool
    ) -> None:
        super().__init__(client, target, schema, context, is_empty=is_empty)
        self.prefix = mapping_prefix(target, context)
        self._adopts = not is_empty and self._has_unstamped()

    def _has_unstamped(self) -> bool:
        """One look at the type spares every chunk the search for relationships to adopt."""
        query = f"MATCH ()-[r:{self.cypher.kind}]->() WHERE r.{_PIPELINE} IS NULL RETURN 1 AS x LIMIT 1"
        return bool(self.client.run(query))

    @cached_property
    def cypher(self) -> RelationshipCypher:
        return RelationshipCypher(self.target, [self.schema.field(name) for name in self.target.properties])

    def prepare(self, chunk: Chunk) -> RelationshipRows:
        """Split off rows without an endpoint, fold those with the same key, convert the rest."""
        key = row_key(self.target)
        if chunk.operation != UPSERT:
            return RelationshipRows([], chunk.rows, key_texts(chunk.rows.select(key), self.prefix), 0, [])
        ends = dict.fromkeys(self.target.source.columns + self.target.target.columns)
        blank = _any_null(chunk.rows, list(ends))
        loose = chunk.rows.filter(blank)
        table, rejections = split_keys(chunk.rows.filter(pc.invert(blank)), key, self.target.name)
        texts = key_texts(table.select(key), self.prefix)
        chosen = sorted({text: place for place, text in enumerate(texts)}.values())
        if len(chosen) < len(texts) and self.target.write != "append":
            repeated, table = len(texts) - len(chosen), table.take(pa.array(chosen, pa.int64()))
            texts = [texts[place] for place in chosen]
        else:
            repeated = 0
        return RelationshipRows(
            self._rows(table, texts), table, key_texts(loose.select(key), self.prefix), repeated, rejections
        )

    def _rows(self, table: pa.Table, texts: list[str]) -> list[dict[str, Any]]:
        a, b = (self._ends(table, end) for end in (self.target.source, self.target.target))
        properties = numbered_rows(table, self.cypher.fields) if self.target.properties else [{}] * table.num_rows
        return [
            {"i": place, "k": text, "a": a[place], "b": b[place], "p": properties[place]}
            for place, text in enumerate(texts)
        ]

    def _ends(self, table: pa.Table, end: Endpoint) -> list[tuple[Any, ...]]:
        columns = [to_graph(table.column(name), self.schema.field(name)) for name in end.columns]
        return [list(row) for row in zip(*columns, strict=True)]  # type: ignore[misc]  # lists travel, tuples do not

    def apply(self, tx: ManagedTransaction, chunk: Chunk, rows: RelationshipRows, *, create: bool) -> Outcome:
        """Write a chunk; each of its rows is counted once."""
        tally = RelationshipCounts(rejected=len(rows.rejections), unchanged=rows.repeated)
        outcome = Outcome(WriteCounts(relationships=tally))
        outcome.held.rejections.extend(rows.rejections)
        removed = self._remove(tx, rows.loose) if self.target.write == "merge" else 0
        tally.deleted = removed
        if chunk.operation == UPSERT:
            tally.skipped += len(rows.loose) - removed
        else:
            tally.unchanged += len(rows.loose) - removed if chunk.operation == TOMBSTONE else 0
        if rows.rows:
            self._upsert(tx, rows, outcome, create=create)
        return outcome

    def _remove(self, tx: ManagedTransaction, keys: list[str]) -> int:
        if not keys:
            return 0
        return int(tx.run(self.cypher.delete, rows=keys).consume().counters.relationships_deleted)

    def _upsert(self, tx: ManagedTransaction, rows: RelationshipRows, outcome: Outcome, *, create: bool) -> None:
        stamp: dict[str, Any] = {"pipeline": self.context.pipeline, "run": self.context.run_id}
        if self._adopts and not create:
            tx.run(self.cypher.adopt, rows=rows.rows, **stamp).consume()
        statement = self.cypher.create if create else self.cypher.upsert
        states = {row["state"]: row["places"] for row in tx.run(statement, rows=rows.rows, **stamp)}
        tally = outcome.counts.relationships
        assert tally is not None
        tally.inserted += len(states.pop("create", ()))
        tally.updated += len(states.pop("update", ())) + len(states.pop("move", ()))
        tally.unchanged += len(states.pop("same", ()))
        for state, places in states.items():
            self._hold(state, sorted(places), rows, outcome, tally)

    def _hold(
        self, state: str, places: list[int], rows: RelationshipRows, outcome: Outcome, tally: RelationshipCounts
    ) -> None:
        """Account for rows without an endpoint, or with several to choose from."""
        taken = rows.table.take(pa.array(places, pa.int64()))
        keys = json_rows(taken.select(row_key(self.target)))
        if state != "ambiguous" and self.target.missing == "defer":
            tally.deferred += len(places)
            outcome.held.deferred.extend(keys)
        elif state != "ambiguous" and self.target.missing == "skip":
            tally.skipped += len(places)
        else:
            tally.rejected += len(places)
            rule = _AMBIGUOUS if state == "ambiguous" else _ABSENT
            reasons = [self._reason(state, rows.rows[place]) for place in places]
            held = [Rejection(key, rule, reason) for key, reason in zip(keys, reasons, strict=True)]
            outcome.held.rejections.extend(held)

    def _reason(self, state: str, row: dict[str, Any]) -> str:
        """Label and key of what is not there."""
        source, target = self.target.source, self.target.target
        if state == "ambiguous":
            return f"several nodes match {_node(source, row['a'])} or {_node(target, row['b'])}"
        node = _node(source, row["a"]) if state == "no source" else _node(target, row["b"])
        return f"no node {node} for {self.target.name}"

    def leftovers(self) -> tuple[str, dict[str, Any]]:
        """Relationships of this mapping that this run has not touched."""
        return (
            f"MATCH ()-[x:{self.cypher.kind}]->() WHERE x.{_KEY} STARTS WITH $prefix AND x.{_RUN} <> $run WITH x",
            {"prefix": self.prefix, "run": self.context.run_id},
        )

    def count_leftovers(self, number: int) -> WriteCounts:
        """Rows that are gone took their relationships with them."""
        return WriteCounts(relationships=RelationshipCounts(deleted=number))


def _node(end: Endpoint, values: Sequence[Any]) -> str:
    known = ", ".join(f"{name} = {str(value)[:200]!r}" for name, value in zip(end.properties, values, strict=True))
    return f"(:{end.label}) with {known}"


def _any_null(rows: pa.Table, columns: Sequence[str]) -> pa.ChunkedArray:
    blank = pa.chunked_array([pa.array([False] * rows.num_rows, pa.bool_())])
    for name in columns:
        blank = pc.or_(blank, pc.is_null(rows.column(name)))
    return blank
