"""Where a load stands, kept in the graph itself and committed with the rows it counts.

One `(:_WorkbenchLoad)` node per target of a pipeline's destination; a later run takes it over. Rows that were deferred
or rejected are kept beside it, so that a restarted load still tells them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from data_workbench.connectors.base import Progress, Rejection
from data_workbench.connectors.neo4j.names import HELD_LABEL, LOAD_LABEL, quoted
from data_workbench.records.accounting import WriteCounts

if TYPE_CHECKING:
    from neo4j import ManagedTransaction

    from data_workbench.connectors.neo4j.client import Client
    from data_workbench.mapping.targets import LoadContext

_LOAD, _HELD = quoted(LOAD_LABEL), quoted(HELD_LABEL)
_SETUP = f"CREATE CONSTRAINT IF NOT EXISTS FOR (w:{_LOAD}) REQUIRE w.id IS UNIQUE"
_TAKE = f"MERGE (w:{_LOAD} {{id: $id}}) WITH w, properties(w) AS found RETURN found"
_SAVE = f"MERGE (w:{_LOAD} {{id: $id}}) SET w = $state"
_FORGET = f"MATCH (h:{_HELD} {{load: $id}}) DELETE h"
_HOLD = f"CREATE (h:{_HELD} {{load: $id, part: $part, rows: $rows}})"
_RECALL = f"MATCH (h:{_HELD} {{load: $id}}) RETURN h.rows AS rows ORDER BY h.part"


@dataclass
class Held:
    """Rows that could not be written: their keys, JSON-able."""

    deferred: list[dict[str, Any]] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)

    def as_lines(self) -> list[str]:
        """One JSON text per row."""
        rejected = [{"key": dict(one.key), "rule": one.rule, "reason": one.reason} for one in self.rejections]
        return [json.dumps(row) for row in [*({"deferred": key} for key in self.deferred), *rejected]]

    def add_lines(self, lines: Sequence[str]) -> None:
        """The reverse of `as_lines`."""
        for row in map(json.loads, lines):
            if "deferred" in row:
                self.deferred.append(row["deferred"])
            else:
                self.rejections.append(Rejection(row["key"], row["rule"], row["reason"]))


@dataclass
class Checkpoint:
    """The stored position of one target's load."""

    id: str
    run_id: str
    progress: Progress = field(default_factory=Progress)
    offset: int = 0
    """Rows of part `progress.parts` that are committed."""
    part_rows: int = 0
    part_counts: WriteCounts = field(default_factory=WriteCounts)
    leftovers: int | None = None
    """How many rows of older runs a replace set out to delete."""

    def save(self, tx: ManagedTransaction, held: Held | None = None) -> None:
        """Write the position, and rows newly held back, in the caller's transaction."""
        state = {
            "id": self.id,
            "run_id": self.run_id,
            "parts": self.progress.parts,
            "finished": self.progress.finished,
            "counts": json.dumps(self.progress.counts.as_dict()),
            "offset": self.offset,
            "part_rows": self.part_rows,
            "part_counts": json.dumps(self.part_counts.as_dict()),
            "leftovers": self.leftovers,
        }
        tx.run(_SAVE, id=self.id, state=state).consume()
        lines = held.as_lines() if held else []
        if lines:
            tx.run(_HOLD, id=self.id, part=self.progress.parts, rows=lines).consume()


def take(client: Client, context: LoadContext) -> tuple[Checkpoint, Held]:
    """The position of this run's load, or a fresh one in place of an older run's."""
    identity = json.dumps([context.pipeline, context.destination, context.target_index])
    client.run(_SETUP)

    def work(tx: ManagedTransaction) -> tuple[Checkpoint, Held]:
        record = tx.run(_TAKE, id=identity).single(strict=True)
        found, held = record["found"], Held()
        if found.get("run_id") == context.run_id:
            for row in tx.run(_RECALL, id=identity):
                held.add_lines(row["rows"])
            return _restore(found), held
        fresh = Checkpoint(identity, context.run_id)
        tx.run(_FORGET, id=identity).consume()
        fresh.save(tx)
        return fresh, held

    return client.write(work)


def _restore(found: dict[str, Any]) -> Checkpoint:
    counts = WriteCounts.from_dict(json.loads(found["counts"]))
    return Checkpoint(
        id=found["id"],
        run_id=found["run_id"],
        progress=Progress(found["parts"], counts, found["finished"]),
        offset=found["offset"],
        part_rows=found["part_rows"],
        part_counts=WriteCounts.from_dict(json.loads(found["part_counts"])),
        leftovers=found.get("leftovers"),
    )
