"""A CSV cut into blocks of whole records, so that several can be parsed at once.

A newline ends a record if an even number of quotes stands before it. That holds only where quotes stand as they
should: one that opens after a delimiter or newline, one that closes before them, two for one inside. Each block is held
to that before it is believed; from the first that does not hold on, Arrow finds the ends itself, on one core.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

BLOCK_BYTES = 1_000_000
"""Just below what the allocator takes for large (records/arrow.py): larger ones are new memory, zeroed, each time."""
_CR, _LF = 13, 10


@dataclass(frozen=True)
class Block:
    """Whole records; or, with `is_whole` False, the first bytes of a rest that cannot be cut here."""

    data: bytes
    is_whole: bool = True


def cut(handle: Any, *, quote: str | None, delimiter: str, most: int, size: int = BLOCK_BYTES) -> Iterator[Block]:
    """Blocks of about `size` bytes, longer where a record is, at most `most`."""
    rest, wanted = b"", min(size, most)
    while True:
        more = handle.read(max(wanted - len(rest), 4096))
        if not more:
            if rest:
                yield Block(rest, is_whole=_sound(rest, _quotes(rest, quote), delimiter, quote))
            return
        data = rest + more
        quotes = _quotes(data, quote)
        end = _end(data, quotes)
        if end is None:
            if len(data) >= most:
                yield Block(data, is_whole=False)
                return
            rest, wanted = data, min(2 * len(data), most)
            continue
        if not _sound(data[:end], quotes[: np.searchsorted(quotes, end)], delimiter, quote):
            yield Block(data, is_whole=False)
            return
        yield Block(data[:end])
        rest, wanted = data[end:], min(size, most)


def _quotes(data: bytes, quote: str | None) -> Any:
    """Where quotes stand."""
    if quote is None:
        return np.empty(0, np.int64)
    return np.flatnonzero(np.frombuffer(data, np.uint8) == ord(quote))


def _end(data: bytes, quotes: Any) -> int | None:
    """Where the last whole record ends, if one does."""
    newline = data.rfind(b"\n")
    while newline >= 0:
        before = int(np.searchsorted(quotes, newline))
        if before % 2 == 0:
            return newline + 1
        newline = data.rfind(b"\n", 0, int(quotes[before - 1]))
    return None


def _sound(data: bytes, quotes: Any, delimiter: str, quote: str | None) -> bool:
    """Whether every quote stands where an opening or a closing one should."""
    if quote is None or len(quotes) == 0:
        return True
    if len(quotes) % 2:
        return False
    values = np.frombuffer(data, np.uint8)
    edges = np.array([ord(delimiter), _CR, _LF, ord(quote)], np.uint8)
    opening, closing = quotes[::2], quotes[1::2]
    before = values[opening[opening > 0] - 1]
    after = values[closing[closing < len(data) - 1] + 1]
    return bool(np.isin(before, edges).all() and np.isin(after, edges).all())
