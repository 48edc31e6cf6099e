"""Making the next one while this one is used."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")


def one_ahead(items: Iterator[Item], *, name: str = "ahead") -> Generator[Item]:
    """The same items, the next one made in a thread while this one is used; two are held at most.

    Close it, if it may not be used up: it then waits until the one that is being made is there.

    Args:
        items: only ever asked in that thread, one at a time. An error of theirs is raised in their place.
        name: of the thread.
    """
    with ThreadPoolExecutor(1, name) as thread:
        coming = thread.submit(next, items, _END)
        while (item := coming.result()) is not _END:
            coming = thread.submit(next, items, _END)
            yield item  # type: ignore[misc]


_END = object()
