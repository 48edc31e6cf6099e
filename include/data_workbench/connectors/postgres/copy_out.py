"""COPY … TO STDOUT: blocks of whole rows, read ahead by one thread while the last one is decoded.

libpq hands out one row per message; asking it directly costs a third of what the driver's own iterator does, and
that is the only thing done per row. The read-ahead is two blocks: memory does not grow with the table.
"""

from __future__ import annotations

import queue
import select
import threading
import time
from array import array
from collections.abc import Iterator
from typing import Generic, NamedTuple, TypeVar

import psycopg
from psycopg import pq

from data_workbench.connectors.postgres.client import PatientConnection

_READ_AHEAD = 2
# Places in a block are 32 bits wide where it is decoded; one row can be 1 GB.
_LARGEST = 2**30


class Block(NamedTuple):
    """Messages one after the other, and the size of each. COPY puts exactly one row into a message."""

    data: bytearray
    sizes: array[int]


def copy_blocks(
    connection: PatientConnection, statement: str, stop: threading.Event, *, rows: int, size: int
) -> Iterator[Block]:
    """The data of one COPY in blocks of at most `rows` messages (a row each), cut after `size` bytes."""
    pg = connection.pgconn
    pg.send_query(statement.encode())
    answers = _Answers(connection)
    while pg.is_busy() and not stop.is_set():
        answers.wait()
    result = pg.get_result()
    if result is None or stop.is_set():
        return
    if result.status != pq.ExecStatus.COPY_OUT:
        _drain(pg)
        raise psycopg.errors.error_from_result(result, encoding="utf-8")
    yield from _blocks(answers, stop, rows, min(size, _LARGEST))
    while pg.is_busy() and not stop.is_set():
        answers.wait()
    if not stop.is_set():
        _raise_if_failed(pg)


class _Answers:
    """Waits for bytes of a server, and gives up one that sends none for too long."""

    def __init__(self, connection: PatientConnection) -> None:
        self._connection, self.pg = connection, connection.pgconn
        self._last = time.monotonic()

    def wait(self) -> None:
        # The time-out lets a reader that was given up notice.
        if select.select([self.pg.socket], [], [], 0.2)[0]:
            self.pg.consume_input()
            self._last = time.monotonic()
        elif time.monotonic() - self._last > self._connection.patience:
            raise self._connection.silent()

    def begin(self) -> None:
        """What was taken by the reader of the rows is not the server's time."""
        self._last = time.monotonic()


def _blocks(answers: _Answers, stop: threading.Event, rows: int, size: int) -> Iterator[Block]:
    # The hot loop: one call into libpq per row. A growing bytearray takes libpq's buffers without an object per row,
    # which halves the time of the loop against joining copies.
    take, data, sizes = answers.pg.get_copy_data, bytearray(), array("q")
    while True:
        length, message = take(1)
        if length > 0:
            data += message
            sizes.append(length)
            if len(data) >= size or len(sizes) >= rows:
                yield Block(data, sizes)
                data, sizes = bytearray(), array("q")
                answers.begin()
        elif length < 0:
            break
        elif stop.is_set():
            return
        else:
            answers.wait()
    if sizes:
        yield Block(data, sizes)


def _raise_if_failed(pg: pq.abc.PGconn) -> None:
    while (result := pg.get_result()) is not None:
        if result.status == pq.ExecStatus.FATAL_ERROR:
            _drain(pg)
            raise psycopg.errors.error_from_result(result, encoding="utf-8")


def _drain(pg: pq.abc.PGconn) -> None:
    while pg.get_result() is not None:
        pass


Item = TypeVar("Item")


class ReadAhead(Generic[Item]):
    """Runs an iterator in a thread, a few items ahead."""

    def __init__(self, items: Iterator[Item], stop: threading.Event, *, name: str = "copy-out") -> None:
        self._items = items
        self._stop = stop
        self._queue: queue.Queue[Item | BaseException | None] = queue.Queue(_READ_AHEAD)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        last: BaseException | None = None
        try:
            for item in self._items:
                if not self._put(item):
                    return
        except BaseException as error:  # it is raised again where the blocks are taken
            last = error
        self._put(last)

    def _put(self, item: Item | BaseException | None) -> bool:
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=0.2)
            except queue.Full:
                continue
            return True
        return False

    def __iter__(self) -> Iterator[Item]:
        while True:
            item = self._queue.get()
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item

    def close(self) -> None:
        """Stop the thread; what it has read is dropped."""
        self._stop.set()
        self._thread.join(timeout=5)
