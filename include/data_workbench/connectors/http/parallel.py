"""Several streams read side by side, and given out in the order they were asked for."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Generic, TypeVar

Item = TypeVar("Item")

_AHEAD = 2  # items a stream may be read ahead of its turn: what bounds memory
_PATIENCE = 0.1
THREAD = "read side by side"


def side_by_side(jobs: Iterable[Callable[[], Iterator[Item]]], workers: int) -> Iterator[Item]:
    """Items of all jobs, job by job; so many are read at the same time.

    An error of a job is raised in its turn. Closing the iterator ends the threads.
    """
    if workers == 1:
        for job in jobs:
            yield from job()
        return
    stop = threading.Event()
    running: deque[_Job[Item]] = deque()
    waiting = iter(jobs)
    try:
        while True:
            for job in islice(waiting, workers - len(running)):
                running.append(_Job(job, stop))
            if not running:
                return
            yield from running[0]
            running.popleft()
    finally:
        stop.set()
        for one in running:
            one.join()


class _Job(Generic[Item]):
    """One stream in a thread of its own, at most `_AHEAD` items ahead of its reader."""

    def __init__(self, read: Callable[[], Iterator[Item]], stop: threading.Event) -> None:
        self._read, self._stop = read, stop
        self._items: queue.Queue[tuple[Item | None, BaseException | None, bool]] = queue.Queue(_AHEAD)
        self._thread = threading.Thread(target=self._run, name=THREAD, daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[Item]:
        while True:
            item, error, ended = self._items.get()
            if error is not None:
                raise error
            if ended:
                return
            yield item  # type: ignore[misc]  # an item, since it is no end

    def join(self) -> None:
        """Wait for the thread; it ends at its next item."""
        self._thread.join()

    def _run(self) -> None:
        try:
            for item in self._read():
                if not self._put((item, None, False)):
                    return
            self._put((None, None, True))
        except BaseException as error:  # handed to the reader, which raises it
            self._put((None, error, False))

    def _put(self, entry: tuple[Item | None, BaseException | None, bool]) -> bool:
        while not self._stop.is_set():
            try:
                self._items.put(entry, timeout=_PATIENCE)
            except queue.Full:
                continue
            return True
        return False
