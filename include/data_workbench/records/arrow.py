"""A process that moves Arrow data: without pandas, giving back the memory it frees, its threads in short turns.

Arrow imports pandas to ask of a Python list whether it is one of pandas' own, Neo4j's driver to know its types, both
only because it is installed: half a second of processor time in every process. Nothing here converts to or from pandas.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from typing import Any


class _Refusal(MetaPathFinder):
    """Finds no pandas."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:  # noqa: ARG002  # as importlib asks
        if name == "pandas":
            raise ModuleNotFoundError("pandas is kept out for a moment", name=name)


@contextmanager
def without_pandas() -> Iterator[None]:
    """Within, pandas is not installed, unless it is imported already."""
    refusal = _Refusal()
    sys.meta_path.insert(0, refusal)
    try:
        yield
    finally:
        sys.meta_path.remove(refusal)


def prepare_process() -> None:
    """What a process that is ours alone does before it imports Arrow; doing it again changes nothing."""
    _give_memory_back()
    _keep_pandas_out()
    sys.setswitchinterval(_TURN)


def _give_memory_back() -> None:
    """Let blocks of rows go back to the system when they are freed.

    Arrow's default pool keeps what its threads freed, and glibc learns from the first large block freed to keep the
    next ones on its heaps, in pieces (mallopt(3), M_MMAP_THRESHOLD): together a third of a run's peak memory.
    """
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")  # read when Arrow is imported
    try:
        allocator = ctypes.CDLL(None)
        allocator.mallopt(_M_MMAP_THRESHOLD, _LARGE)
        allocator.mallopt(_M_TRIM_THRESHOLD, _SPARE)
    except (AttributeError, OSError, TypeError):
        return  # another C library, which has no such habit


_TURN = 0.0005
"""Seconds that a thread may keep the interpreter while others wait. A thread that takes rows off a socket uses up its
turn, and one that comes back from Arrow waits for it: of Python's 5 ms a read in two ranges lost a tenth."""
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_LARGE = 2**20
"""Bytes from which a block is the system's own."""
_SPARE = 8 * 2**20
"""Bytes that a heap keeps when they are freed. glibc would give back all but 128 KiB, only to ask for them again
(zeroed) for the next batch: a third of the processor time of reading a CSV."""


def _keep_pandas_out() -> None:
    """Let Arrow make up its mind, for good, while pandas is not there."""
    import pyarrow as pa

    with without_pandas():
        pa.array([0])
