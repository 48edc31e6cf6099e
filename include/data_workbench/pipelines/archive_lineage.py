"""OpenLineage events of archiving: rows go from a table to a policy's folder on a shelf, and back."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from data_workbench.lineage import DatasetName, LineageDataset, Outbox, StageRun, source_name

if TYPE_CHECKING:
    from data_workbench.archive.running import Archiver

Direction = Literal["archive", "restore"]


@dataclass
class Moved:
    """How many rows went; filled in by whoever moves them."""

    rows: int = 0


@contextmanager
def told(archiver: Archiver, direction: Direction, policy: str, *, connection: str, stream: str) -> Iterator[Moved]:
    """Tell of what the block moves, when it begins and when it ends: job `archive__<policy>.archive` or `….restore`."""
    outbox = Outbox(archiver.settings)
    now = datetime.now(UTC)
    stage = StageRun(policy, f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}", direction, now, of_archive=True)
    table = source_name(archiver.connections.get(connection), stream)
    shelf = shelf_name(archiver.shelf.address, policy)
    origin, target = (table, shelf) if direction == "archive" else (shelf, table)
    moved = Moved()
    outbox.tell("START", stage, inputs=[LineageDataset(origin)], outputs=[LineageDataset(target)])
    try:
        yield moved
    except BaseException as error:
        outbox.tell("FAIL", stage, inputs=[LineageDataset(origin)], outputs=[LineageDataset(target)], error=error)
        raise
    done = [LineageDataset(target, rows=moved.rows)]
    outbox.tell("COMPLETE", stage, inputs=[LineageDataset(origin)], outputs=done)


def shelf_name(address: str, policy: str) -> DatasetName:
    """A policy's folder on a shelf, as OpenLineage calls files."""
    parts = urlsplit(address)
    if not parts.scheme or parts.scheme == "file":
        return DatasetName("file", f"{parts.path}/archives/{policy}")
    return DatasetName(f"{parts.scheme}://{parts.netloc}", f"{parts.path.strip('/')}/archives/{policy}".lstrip("/"))
