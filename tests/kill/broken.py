"""Loaders that are broken on purpose: their position is kept in a file, beside the data and not with it.

`late`: noted after the commit, as a naive loader does; killed between the two, it writes rows again.
`early`: noted before the commit; killed between the two, it leaves rows out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from data_workbench.connectors.base import Progress
from data_workbench.connectors.neo4j import progress as graph
from data_workbench.connectors.postgres import checkpoints as tables
from data_workbench.events import Event, subscribed
from data_workbench.records.accounting import WriteCounts


class Note:
    """A position in a file, by run."""

    def __init__(self, path: Path, moment: str) -> None:
        self.path, self.moment = path, moment
        self.waiting: dict[str, Any] | None = None

    def known(self, run_id: str) -> dict[str, Any] | None:
        """What was noted of a run."""
        found: dict[str, Any] = json.loads(self.path.read_text()) if self.path.exists() else {}
        return found.get(run_id)

    def save(self, run_id: str, position: dict[str, Any]) -> None:
        """Called where the position ought to be written into the transaction."""
        self.waiting = {run_id: position}
        if self.moment == "early":
            self._write()

    def listen(self, event: Event) -> None:
        """A commit has happened."""
        if event.name == "load.after_commit" and self.moment == "late":
            self._write()

    def _write(self) -> None:
        if self.waiting is not None:
            self.path.write_text(json.dumps(self.waiting))


@contextmanager
def checkpoints_in_a_file(path: Path, moment: str) -> Iterator[None]:
    """Within, loads of PostgreSQL and Neo4j note their position in a file."""
    note = Note(path, moment)
    with subscribed(note.listen), _in_tables(note), _in_graphs(note):
        yield


@contextmanager
def _in_tables(note: Note) -> Iterator[None]:
    def load(self: tables.Checkpoint, _: object) -> tuple[Progress, list[Any], None]:
        found = note.known(self.context.run_id)
        return Progress() if found is None else _progress(found), [], None

    def save(self: tables.Checkpoint, _: object, progress: Progress, __: object = None) -> None:
        note.save(self.context.run_id, _told(progress))

    with _replaced(tables.Checkpoint, load=load, save=save):
        yield


@contextmanager
def _in_graphs(note: Note) -> Iterator[None]:
    def take(_: object, context: Any) -> tuple[graph.Checkpoint, graph.Held]:
        position = graph.Checkpoint(json.dumps([context.pipeline]), context.run_id)
        found = note.known(context.run_id)
        if found is not None:
            position.progress, position.offset = _progress(found), found["offset"]
            position.part_rows = found["part_rows"]
            position.part_counts = WriteCounts.from_dict(found["part_counts"])
        return position, graph.Held()

    def save(self: graph.Checkpoint, *_: object) -> None:
        part = {"offset": self.offset, "part_rows": self.part_rows, "part_counts": self.part_counts.as_dict()}
        note.save(self.run_id, {**_told(self.progress), **part})

    with _replaced(graph, take=take), _replaced(graph.Checkpoint, save=save):
        yield


@contextmanager
def _replaced(owner: Any, **functions: Callable[..., Any]) -> Iterator[None]:
    with patch.multiple(owner, **functions):
        yield


def _told(progress: Progress) -> dict[str, Any]:
    return {"parts": progress.parts, "finished": progress.finished, "counts": progress.counts.as_dict()}


def _progress(found: dict[str, Any]) -> Progress:
    return Progress(found["parts"], WriteCounts.from_dict(found["counts"]), found["finished"])
