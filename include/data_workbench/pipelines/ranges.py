"""Reading a source in several ranges at the same time, in one process and one moment of the store (`parallel`).

Each range has a thread, a connection and a lane of the artifact, and the lanes stand in the order of the ranges: what
lands is what one read would have landed, in the same order, whichever range is quicker. A batch waits in its own lane
only, so memory grows with the number of ranges and not with the table. Ranges that tasks of their own read (`ranges`)
stand in `key_ranges.py`.
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
from data_workbench.connectors.powers import CanPartition, CanSplit
from data_workbench.errors import Unsupported

if TYPE_CHECKING:
    from data_workbench.artifacts.writer import ArtifactWriter, Lane
    from data_workbench.connectors.base import Source as StoreSource
    from data_workbench.connectors.base import Stream
    from data_workbench.language.spec_source import Source
    from data_workbench.pipelines.stores import Stores

Take = Callable[[pa.RecordBatch, "Lane"], None]
"""What happens to a batch; called by all threads."""


def require_ranges(name: str, source: Source, stream: Stream, stores: Stores) -> None:
    """Refuse `parallel` and `ranges` for a store that cannot split a read, and `ranges` for a stream that cannot be.

    Raises:
        Unsupported: it cannot.
    """
    store = stores.source(source.connection)
    able = {"parallel": isinstance(store, CanPartition), "ranges": isinstance(store, CanSplit)}
    for option, can in able.items():
        count = getattr(source, option)
        if count > 1 and not can:
            kind = stores.connection(source.connection).kind
            raise Unsupported(
                f"source {name!r}: {option}: {count}, but a connection of type {kind!r} is read in one range",
                hint=f"leave `{option}` out; PostgreSQL's tables can be read in ranges",
            )
    if source.ranges > 1 and not split_key(stream, tuple(source.key or stream.key)):
        raise Unsupported(
            f"source {name!r}: ranges: {source.ranges}, but {stream.name} has no key that the store keeps unique",
            hint="ranges are ranges of a primary key, or of a unique index of columns without nulls that `key` names; "
            "`parallel` needs none",
        )


def split_key(stream: Stream, key: tuple[str, ...]) -> tuple[str, ...]:
    """Columns of the key that the store itself keeps unique and not null; () if there are none."""
    is_split = stream.kind in ("table", "partitioned_table")
    return next((one for one in stream.unique if set(one) <= set(key)), ()) if is_split else ()


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
