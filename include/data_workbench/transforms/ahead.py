"""The engine computes the next batch while the last one is being written: both leave Python's lock."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, Full, Queue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

_AHEAD = 1
_PATIENCE = 0.1


@contextmanager
def ahead(reader: pa.RecordBatchReader) -> Iterator[Iterator[pa.RecordBatch]]:
    """Read batches in a thread, one waiting at most; errors rise where the batch would have been."""
    waiting: Queue[pa.RecordBatch | BaseException | None] = Queue(maxsize=_AHEAD)
    stopped = threading.Event()
    thread = threading.Thread(target=_read, args=(reader, waiting, stopped), name="transforms-ahead", daemon=True)
    thread.start()
    try:
        yield _taken(waiting)
    finally:
        stopped.set()
        while thread.is_alive():
            try:
                waiting.get(timeout=_PATIENCE)
            except Empty:
                continue
        thread.join()


def _read(
    reader: pa.RecordBatchReader, waiting: Queue[pa.RecordBatch | BaseException | None], stopped: threading.Event
) -> None:
    end: BaseException | None = None
    try:
        for batch in reader:
            if not _put(waiting, batch, stopped):
                return
    except BaseException as error:  # whatever it is, it belongs to the thread that asked
        end = error
    _put(waiting, end, stopped)


def _put(
    waiting: Queue[pa.RecordBatch | BaseException | None],
    item: pa.RecordBatch | BaseException | None,
    stopped: threading.Event,
) -> bool:
    while not stopped.is_set():
        try:
            waiting.put(item, timeout=_PATIENCE)
        except Full:
            continue
        return True
    return False


def _taken(waiting: Queue[pa.RecordBatch | BaseException | None]) -> Iterator[pa.RecordBatch]:
    while True:
        item = waiting.get()
        if item is None:
            return
        if isinstance(item, BaseException):
            raise item
        yield item
