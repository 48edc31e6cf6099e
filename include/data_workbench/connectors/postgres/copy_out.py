"""COPY … TO STDOUT: blocks of whole rows, read ahead by one thread while the last one is decoded.

libpq hands out one row per message; asking it directly costs a third of what the driver's own iterator does, and
that is the only thing done per row. The read-ahead is two blocks: memory does not grow with the table.
"""

from __future__ import annotations

import queue
import select
import threading
from collections.abc import Iterator

import psycopg
from psycopg import pq

_READ_AHEAD = 2


def copy_messages(connection: psycopg.Connection, statement: str, stop: threading.Event) -> Iterator[bytes]:
    """The messages of one COPY: one row each."""
    pg = connection.pgconn
    pg.send_query(statement.encode())
    while pg.is_busy() and not stop.is_set():
        _wait(pg)
    result = pg.get_result()
    if result is None or stop.is_set():
        return
    if result.status != pq.ExecStatus.COPY_OUT:
        _drain(pg)
        raise psycopg.errors.error_from_result(result, encoding="utf-8")
    take = pg.get_copy_data
    while True:
        size, data = take(1)
        if size > 0:
            yield bytes(data)
        elif size < 0:
            break
        else:
            if stop.is_set():
                return
            _wait(pg)
    _raise_if_failed(pg)


def _wait(pg: pq.abc.PGconn) -> None:
    # The time-out lets a reader that was given up notice.
    if select.select([pg.socket], [], [], 0.2)[0]:
        pg.consume_input()


def _raise_if_failed(pg: pq.abc.PGconn) -> None:
    while (result := pg.get_result()) is not None:
        if result.status == pq.ExecStatus.FATAL_ERROR:
            _drain(pg)
            raise psycopg.errors.error_from_result(result, encoding="utf-8")


def _drain(pg: pq.abc.PGconn) -> None:
    while pg.get_result() is not None:
        pass


def blocks(messages: Iterator[bytes], rows: int, size: int) -> Iterator[bytes]:
    """Rows joined to blocks of at most `rows` rows, cut after `size` bytes."""
    held: list[bytes] = []
    held_size = 0
    for message in messages:
        held.append(message)
        held_size += len(message)
        if len(held) >= rows or held_size >= size:
            yield b"".join(held)
            held.clear()
            held_size = 0
    if held:
        yield b"".join(held)


class ReadAhead:
    """Runs an iterator in a thread, a few items ahead."""

    def __init__(self, items: Iterator[bytes], stop: threading.Event) -> None:
        self._items = items
        self._stop = stop
        self._queue: queue.Queue[bytes | BaseException | None] = queue.Queue(_READ_AHEAD)
        self._thread = threading.Thread(target=self._run, name="copy-out", daemon=True)
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

    def _put(self, item: bytes | BaseException | None) -> bool:
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=0.2)
            except queue.Full:
                continue
            return True
        return False

    def __iter__(self) -> Iterator[bytes]:
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
