"""Cutting a stream where its content says so, so that an insertion moves one or two cuts and not all behind it.

A gear hash over the last 32 bytes decides (Xia et al., FastCDC, USENIX ATC 2016). It is computed for a whole block at
once: the sum over a window of 2w is that over w, plus that over w shifted by w, so five steps of numpy make 32.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np

SMALLEST: Final = 256 * 1024
LARGEST: Final = 4 * 1024**2
_WINDOW = 32
_BLOCK = 512 * 1024
# One cut in 2^20 bytes on average; the highest bits depend on all of the window.
_MASK = np.uint32(0xFFFFF000)
# Fixed for ever: with another table nothing already stored would be found again.
_GEAR = np.random.Generator(np.random.PCG64(20_161_122)).integers(0, 2**32, 256, dtype=np.uint32)


def chunks(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in chunks of SMALLEST to LARGEST bytes (the last may be smaller); none for an empty stream."""
    waiting = bytearray()
    for block in blocks:
        waiting += block
        while len(waiting) >= LARGEST:
            end = _cut(waiting)
            yield bytes(waiting[:end])
            del waiting[:end]
    while waiting:
        end = _cut(waiting)
        yield bytes(waiting[:end])
        del waiting[:end]


def _cut(content: bytearray) -> int:
    """Where the first chunk ends."""
    limit = min(len(content), LARGEST)
    start = SMALLEST
    while start < limit:
        end = min(start + _BLOCK, limit)
        # A copy: a bytearray that lends its memory cannot be cut.
        sums = _GEAR[np.frombuffer(bytes(content[start - _WINDOW : end]), np.uint8)]
        width = 1
        while width < _WINDOW:
            sums[width:] += sums[:-width] << np.uint32(width)
            width *= 2
        found = np.flatnonzero((sums[_WINDOW:] & _MASK) == 0)
        if len(found):
            return start + int(found[0]) + 1
        start = end
    return limit
