"""What node and relationship loads share: transactions, progress, going on after a crash.

A part is written in several transactions; each commits its rows together with how far the part has come and what was
counted, so a load killed anywhere goes on behind the last commit and tells the counts of an unbroken one.
"""

from __future__ import annotations

import copy
import logging
from abc import abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from data_workbench.connectors.base import Rejection, Writer
from data_workbench.connectors.neo4j import progress as positions
from data_workbench.connectors.neo4j.chunks import Chunk, cut, ordered, prepared_ahead
from data_workbench.connectors.neo4j.progress import Held
from data_workbench.errors import SchemaConflict
from data_workbench.events import emit
from data_workbench.records.accounting import WriteCounts
from data_workbench.records.marks import STAMP_PIPELINE, STAMP_RUN

if TYPE_CHECKING:
    import pyarrow as pa
    from neo4j import ManagedTransaction

    from data_workbench.connectors.neo4j.client import Client
    from data_workbench.mapping.targets import LoadContext, NodeTarget, RelationshipTarget

log = logging.getLogger(__name__)

_ATTEMPTS = 3
_LEFTOVERS_PER_TRANSACTION = 10_000


class PreparedRows(Protocol):
    """A chunk as the driver takes it."""

    @property
    def rows(self) -> list[dict[str, Any]]:
        """What a statement is given."""


Rows = TypeVar("Rows", bound=PreparedRows)


@dataclass
class Outcome:
    """What one transaction did."""

    counts: WriteCounts = field(default_factory=WriteCounts)
    held: Held = field(default_factory=Held)


class GraphWriter(Writer, Generic[Rows]):
    """A load of one target; subclasses say how rows become Cypher.

    `deferred` holds the keys of rows whose endpoint is not there yet (relationships with `missing: defer`).
    """

    def __init__(
        self,
        client: Client,
        target: NodeTarget | RelationshipTarget,
        schema: pa.Schema,
        context: LoadContext,
        *,
        is_empty: bool,
    ) -> None:
        self.client, self.target, self.schema, self.context = client, target, schema, context
        self._creates = is_empty or target.write == "append"
        self._checkpoint, held = positions.take(client, context)
        self.progress = self._checkpoint.progress
        self.rejections: list[Rejection] = held.rejections
        self.deferred: list[dict[str, Any]] = held.deferred

    @property
    def stamp(self) -> dict[str, str]:
        """What is left on everything this run writes."""
        return {STAMP_PIPELINE: self.context.pipeline, STAMP_RUN: self.context.run_id}

    @abstractmethod
    def prepare(self, chunk: Chunk) -> Rows:
        """Convert a chunk's rows for the driver; runs beside the transaction before it."""

    @abstractmethod
    def apply(self, tx: ManagedTransaction, chunk: Chunk, rows: Rows, *, create: bool) -> Outcome:
        """Write a chunk in a transaction.

        Args:
            create: nothing of the chunk was there when the load began; a constraint tells if that is wrong.
        """

    @abstractmethod
    def leftovers(self) -> tuple[str, dict[str, Any]]:
        """Cypher that matches what a replace has to delete as `x`, with its parameters."""

    @abstractmethod
    def count_leftovers(self, number: int) -> WriteCounts:
        """How deleted leftovers are accounted for."""

    def write(self, part: pa.Table, index: int) -> WriteCounts:
        """Write one part; what an earlier attempt committed of it is not written again."""
        position = self._checkpoint
        if self.target.write == "append" and index < self.progress.parts:
            return WriteCounts()
        resumes = index == self.progress.parts and position.part_rows == part.num_rows
        if not resumes or position.offset == 0:
            position.offset, position.part_rows, position.part_counts = 0, part.num_rows, WriteCounts()
        groups = ordered(part)
        for chunk, rows in prepared_ahead(cut(groups, position.offset), self.prepare):
            self._commit(chunk, rows, index)
            # The driver's results hold what a statement was given, in a circle that Python finds much later.
            rows.rows.clear()
        done = position.part_counts
        self._close_part(index)
        return done

    def _commit(self, chunk: Chunk, rows: Rows, index: int) -> None:
        outcome = self._attempt(chunk, rows, index)
        position = self._checkpoint
        position.offset = chunk.end
        position.part_counts.add(outcome.counts)
        self.rejections.extend(outcome.held.rejections)
        self.deferred.extend(outcome.held.deferred)
        emit("load.after_commit", destination=self.context.destination, target=self.target.name, part=index)

    def _attempt(self, chunk: Chunk, rows: Rows, index: int) -> Outcome:
        """Commit a chunk; when a constraint tells that something was there after all, look before writing."""
        for attempt in range(_ATTEMPTS):
            creates = self._creates
            try:
                return self.client.write(lambda tx: self._transact(tx, chunk, rows, index, create=creates))  # noqa: B023
            except SchemaConflict:
                if self.target.write == "append" or attempt == _ATTEMPTS - 1:
                    raise
                # A key seen before in this load, or a node that another writer made in the meantime.
                self._creates = False
        raise AssertionError("the last attempt returns or raises")

    def _transact(self, tx: ManagedTransaction, chunk: Chunk, rows: Rows, index: int, *, create: bool) -> Outcome:
        outcome = self.apply(tx, chunk, rows, create=create)
        ahead = copy.deepcopy(self._checkpoint)
        ahead.offset = chunk.end
        ahead.part_counts.add(outcome.counts)
        if index >= ahead.progress.parts:
            ahead.save(tx, outcome.held)
        emit("load.before_commit", destination=self.context.destination, target=self.target.name, part=index)
        return outcome

    def _close_part(self, index: int) -> None:
        """Count a part that is written whole; one that came a second time is not counted again."""
        position = self._checkpoint
        if index >= self.progress.parts:
            self.progress.counts.add(position.part_counts)
            self.progress.parts = index + 1
        position.offset, position.part_rows, position.part_counts = 0, 0, WriteCounts()
        self.client.write(position.save)

    def finish(self) -> WriteCounts:
        """Delete what a replace leaves behind; the counts of the whole load."""
        if not self.progress.finished:
            if self.target.write == "replace":
                self.progress.counts.add(self.count_leftovers(self._delete_leftovers()))
            self.progress.finished = True
            self.client.write(self._checkpoint.save)
        return self.progress.counts

    def _delete_leftovers(self) -> int:
        """Delete in transactions of their own; the number is noted first, so a restart tells it too."""
        match, parameters = self.leftovers()
        if self._checkpoint.leftovers is None:
            self._checkpoint.leftovers = self.client.run(f"{match} RETURN count(x) AS n", parameters)[0]["n"]
            self.client.write(self._checkpoint.save)
        if self._checkpoint.leftovers:
            self.client.run(
                f"{match} CALL (x) {{ DETACH DELETE x }} IN TRANSACTIONS OF {_LEFTOVERS_PER_TRANSACTION} ROWS"
                if match.startswith("MATCH (x")
                else f"{match} CALL (x) {{ DELETE x }} IN TRANSACTIONS OF {_LEFTOVERS_PER_TRANSACTION} ROWS",
                parameters,
            )
        return self._checkpoint.leftovers
