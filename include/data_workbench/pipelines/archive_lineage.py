"""OpenLineage events of archiving: rows go from a table to a policy's folder on a shelf, and back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from data_workbench.lineage import LineageDataset, source_name
from data_workbench.pipelines import store_lineage

if TYPE_CHECKING:
    from data_workbench.archive.running import Archiver
    from data_workbench.lineage import DatasetName

Direction = Literal["archive", "restore"]


@dataclass
class Moved:
    """How many rows went; filled in by whoever moves them."""

    rows: int = 0


@contextmanager
def told(archiver: Archiver, direction: Direction, policy: str, *, connection: str, stream: str) -> Iterator[Moved]:
    """Tell of what the block moves, when it begins and when it ends: job `archive__<policy>.archive` or `….restore`."""
    table = source_name(archiver.connections.get(connection), stream)
    shelf = shelf_name(archiver.shelf.address, policy)
    origin, target = (table, shelf) if direction == "archive" else (shelf, table)
    inputs, outputs = [LineageDataset(origin)], [LineageDataset(target)]
    with store_lineage.told(archiver.settings, "archive", policy, direction, inputs=inputs, outputs=outputs) as telling:
        moved = Moved()
        yield moved
        telling.outputs = [LineageDataset(target, rows=moved.rows, version=telling.version)]


def shelf_name(address: str, policy: str) -> DatasetName:
    """A policy's folder on a shelf, as OpenLineage calls files."""
    return store_lineage.place_of(address, "archives", policy)
