"""Rows to nodes: created, updated or left alone by comparing what stands in the store."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from data_workbench.connectors.neo4j.chunks import Chunk
from data_workbench.connectors.neo4j.cypher import same_values, when
from data_workbench.connectors.neo4j.keys import split_keys
from data_workbench.connectors.neo4j.loads import GraphWriter, Outcome
from data_workbench.connectors.neo4j.moments import made_whole, numbered_rows
from data_workbench.connectors.neo4j.names import pattern, quoted
from data_workbench.mapping.graph_values import rows_of
from data_workbench.records.accounting import WriteCounts
from data_workbench.records.marks import PREFIX, RETRACTION, STAMP_PIPELINE, STAMP_RUN, UPSERT

if TYPE_CHECKING:
    import pyarrow as pa
    from neo4j import ManagedTransaction

    from data_workbench.connectors.base import Rejection
    from data_workbench.mapping.targets import NodeTarget

_PIPELINE, _RUN = quoted(STAMP_PIPELINE), quoted(STAMP_RUN)


def property_names(target: NodeTarget, schema: pa.Schema) -> list[str]:
    """The properties a target's nodes get: its own list or all columns, the key always."""
    chosen = [name for name in schema.names if not name.startswith(PREFIX)]
    if target.properties is not None:
        chosen = [name for name in chosen if name in target.properties or name in target.key]
    return chosen


@dataclass(frozen=True)
class NodeCypher:
    """The statements of one node target."""

    target: NodeTarget
    fields: list[pa.Field]

    @property
    def label(self) -> str:
        return quoted(self.target.label)

    @property
    def by_key(self) -> str:
        """`(n:Label {key: row.key})`."""
        keys = self.target.key
        return f"(n:{self.label} {pattern(keys, [f'row.{quoted(name)}' for name in keys])})"

    @property
    def rows(self) -> str:
        """Each of the rows `numbered_rows` made, as it will stand."""
        whole = made_whole("sent", self.fields)
        return "UNWIND $rows AS row" if whole == "sent" else f"UNWIND $rows AS sent WITH {whole} AS row"

    @cached_property
    def create(self) -> str:
        """All rows are new."""
        return f"{self.rows} CREATE (n:{self.label}) SET n = row, n += $stamp"

    @cached_property
    def upsert(self) -> str:
        """Look first; answers how many rows were in each state: 0 new, 1 other values, 2 equal, 3 equal, now ours.

        A node stamped by another pipeline gets our values, but stays theirs.
        """
        compared = [item for item in self.fields if item.name not in self.target.key]
        ours = f"coalesce(n.{_PIPELINE}, $stamp.{_PIPELINE}) = $stamp.{_PIPELINE}"
        marked = f"n.{_PIPELINE} IS NULL"
        if self.target.write == "replace":
            marked = f"{ours} AND coalesce(n.{_RUN} <> $stamp.{_RUN}, true)"
        return (
            f"{self.rows} OPTIONAL MATCH {self.by_key} "
            f"WITH row, n, CASE WHEN n IS NULL THEN 0 WHEN NOT ({same_values('n', 'row', compared)}) THEN 1 "
            f"WHEN {marked} THEN 3 ELSE 2 END AS state, {ours} AS ours "
            + when("state = 0", f"CREATE (m:{self.label}) SET m = row, m += $stamp")
            + when("state = 1", "SET n += row")
            + when("state IN [1, 3] AND ours", "SET n += $stamp")
            + " RETURN state, count(*) AS rows"
        )

    @cached_property
    def delete(self) -> str:
        """Owned nodes by key, with their relationships."""
        return (
            f"UNWIND $rows AS row MATCH {self.by_key} WHERE n.{_PIPELINE} = $pipeline WITH DISTINCT n DETACH DELETE n"
        )


@dataclass(frozen=True)
class NodeRows:
    """A chunk ready for the driver, without what cannot be keyed."""

    rows: list[dict[str, Any]]
    rejections: list[Rejection]


class NodeWriter(GraphWriter[NodeRows]):
    """Loads nodes of one label."""

    target: NodeTarget

    @cached_property
    def cypher(self) -> NodeCypher:
        names = property_names(self.target, self.schema)
        return NodeCypher(self.target, [self.schema.field(name) for name in names])

    def prepare(self, chunk: Chunk) -> NodeRows:
        """Property maps; a row whose key no index can hold is rejected."""
        if chunk.operation != UPSERT:
            return NodeRows(rows_of(chunk.rows, [self.schema.field(name) for name in self.target.key]), [])
        key = self.target.key
        table, rejections = split_keys(chunk.rows, key, self.target.name) if key else (chunk.rows, [])
        return NodeRows(numbered_rows(table, self.cypher.fields), rejections)

    def apply(self, tx: ManagedTransaction, chunk: Chunk, rows: NodeRows, *, create: bool) -> Outcome:
        """Upsert or delete a chunk; tombstones count only in a merge."""
        outcome = Outcome()
        counts = outcome.counts
        if chunk.operation == UPSERT:
            counts.out = chunk.rows.num_rows
            counts.rejected = len(rows.rejections)
            outcome.held.rejections = rows.rejections
            self._upsert(tx, rows.rows, counts, create=create)
        elif self.target.write == "merge":
            self._delete(tx, chunk, rows.rows, counts)
        elif chunk.operation != RETRACTION:
            counts.out = counts.unchanged = chunk.rows.num_rows
        return outcome

    def _upsert(self, tx: ManagedTransaction, rows: list[dict[str, Any]], counts: WriteCounts, *, create: bool) -> None:
        if not rows:
            return
        if create or not self.target.key:
            tx.run(self.cypher.create, rows=rows, stamp=self.stamp).consume()
            counts.inserted += len(rows)
            return
        found = {row["state"]: row["rows"] for row in tx.run(self.cypher.upsert, rows=rows, stamp=self.stamp)}
        counts.inserted += found.get(0, 0)
        counts.updated += found.get(1, 0)
        counts.unchanged += found.get(2, 0) + found.get(3, 0)

    def _delete(self, tx: ManagedTransaction, chunk: Chunk, rows: list[dict[str, Any]], counts: WriteCounts) -> None:
        summary = tx.run(self.cypher.delete, rows=rows, pipeline=self.context.pipeline).consume()
        counts.deleted = summary.counters.nodes_deleted
        if chunk.operation == RETRACTION:
            counts.retracted = counts.deleted  # one that finds nothing of ours is counted nowhere
        else:
            counts.out = len(rows)
            counts.unchanged = len(rows) - counts.deleted

    def leftovers(self) -> tuple[str, dict[str, Any]]:
        """Nodes of this pipeline that this run has not touched."""
        return (
            f"MATCH (x:{self.cypher.label}) WHERE x.{_PIPELINE} = $pipeline AND x.{_RUN} <> $run WITH x",
            {"pipeline": self.context.pipeline, "run": self.context.run_id},
        )

    def count_leftovers(self, number: int) -> WriteCounts:
        """Keys that earlier runs had loaded and this one no longer has."""
        return WriteCounts(deleted=number, retracted=number)
