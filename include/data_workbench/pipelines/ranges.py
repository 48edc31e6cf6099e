"""Reading a source in several ranges at the same time, in one moment of the store.

Each range has a thread, a connection and a lane of the artifact, and the lanes stand in the order of the ranges: what
lands is what one read would have landed, in the same order, whichever range is quicker. A batch waits in its own lane
only, so memory grows with the number of ranges and not with the table.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from data_workbench.connectors.base import ReadRequest
from data_workbench.connectors.powers import CanPartition
from data_workbench.errors import Unsupported

if TYPE_CHECKING:
    from data_workbench.artifacts.writer import ArtifactWriter, Lane
    from data_workbench.connectors.base import Source as StoreSource
    from data_workbench.pipelines.spec import Source
    from data_workbench.pipelines.stores import Stores

Take = Callable[[pa.RecordBatch, "Lane"], None]
"""What happens to a batch; called by all threads."""


def require_ranges(name: str, source: Source, stores: Stores) -> None:
    """Refuse `parallel` for a store that cannot split a read.

    Raises:
        Unsupported: it cannot.
    """
    if source.parallel > 1 and not isinstance(stores.source(source.connection), CanPartition):
        kind = stores.connection(source.connection).kind
        raise Unsupported(
            f"source {name!r}: parallel: {source.parallel}, but a connection of type {kind!r} is read in one range",
            hint="leave `parallel` out; PostgreSQL's tables can be read in ranges",
        )


@contextmanager
def split(source: StoreSource, request: ReadRequest, most: int) -> Iterator[list[ReadRequest]]:
    """The request in ranges, which can be read within the block; only itself where it cannot or need not be split."""
    if most < 2 or not isinstance(source, CanPartition):
        yield [request]
        return
    try:
        yield [replace(request, partition=share) for share in source.partitions(request, most)]
    finally:
        source.release_partitions()


def read_side_by_side(
    source: StoreSource, requests: Sequence[ReadRequest], writer: ArtifactWriter, take: Take
) -> tuple[dict[str, Any] | None, list[Any]]:
    """Read all ranges at the same time; the position after them, and what was rejected, in their order."""
    stop = threading.Event()

    def read(request: ReadRequest, lane: Lane) -> tuple[dict[str, Any] | None, list[Any]]:
        reading = source.read(request)
        try:
            for batch in reading:
                if stop.is_set():
                    break
                take(batch, lane)
            return reading.position(), list(reading.rejections)
        except BaseException:
            stop.set()
            raise
        finally:
            reading.close()

    lanes = [writer.lane() for _ in requests]
    with ThreadPoolExecutor(len(requests), "range") as pool:
        asked = [pool.submit(read, request, lane) for request, lane in zip(requests, lanes, strict=True)]
        try:
            found = [one.result() for one in asked]
        finally:
            stop.set()
    return found[0][0], [item for _, rejections in found for item in rejections]
