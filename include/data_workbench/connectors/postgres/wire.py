"""COPY's binary form, taken apart for all rows of a block at once.

A row is a count of fields, then each field as a 32-bit size (-1 is NULL) and that many bytes; all numbers are
big-endian (https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format"). Where a field begins depends on
the fields before it in its row, but not on other rows: one step of NumPy finds it in every row. Picking from a block
costs a cache miss per row, so a run of columns of fixed width is picked as one piece, with the size of the next column
at its end. What is found are `Values` that `binary_types.py` turns into Arrow arrays.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import numpy as np
import pyarrow as pa

from data_workbench.connectors.postgres.copy_out import Block
from data_workbench.errors import SchemaConflict

SIGNATURE = b"PGCOPY\n\xff\r\n\0"
_HEADER = len(SIGNATURE) + 8
TRAILER = b"\xff\xff"
_LONGEST_RUN = 16
# Readers look at a field's bytes before they know that it is NULL; those of a block's last row may be.
_PADDING = bytes(_LONGEST_RUN * 20 + 4)
_FEW = 16
_INT4 = struct.Struct(">i")

Places = np.ndarray[Any, np.dtype[np.int64]]
Sizes = np.ndarray[Any, np.dtype[np.int32]]


@dataclass(frozen=True)
class Values:
    """The values of one column in a block: where each begins, and its size; a size of -1 is NULL.

    Args:
        held: the bytes of each value, where they are picked already; then there is no NULL.
    """

    data: bytearray
    at: Places
    sizes: Sizes
    held: np.ndarray[Any, Any] | None = None

    def __len__(self) -> int:
        return len(self.at)

    def nulls(self) -> np.ndarray[Any, np.dtype[np.bool_]] | None:
        """Which are NULL; None if none is."""
        if self.held is not None:
            return None
        found = self.sizes < 0
        return found if found.any() else None

    def numbers(self, kind: str, *, after: int = 0) -> np.ndarray[Any, Any]:
        """What stands `after` bytes into each value, as NumPy's type `kind`; anything where the value is NULL."""
        if self.held is not None and not after:
            return self.held.view(kind)
        return _picked(self.data, np.dtype(kind), self.at + after if after else self.at)

    def rest(self, after: int) -> Values:
        """The values without their first bytes."""
        return Values(self.data, self.at + after, np.where(self.sizes < 0, self.sizes, self.sizes - after))

    def blobs(self) -> pa.Array:
        """The bytes themselves, as a binary array.

        Values and the gaps between them are together one binary array over the block: taking every second element is
        one pass of copying in Arrow.
        """
        count = len(self)
        nulls = self.nulls()
        ends = np.empty(2 * count, np.int32)
        ends[0::2] = self.at
        ends[1::2] = self.at + (self.sizes if nulls is None else np.maximum(self.sizes, 0))
        if not count:
            return pa.array([], pa.binary())
        both = pa.Array.from_buffers(pa.binary(), 2 * count - 1, [None, pa.py_buffer(ends), pa.py_buffer(self.data)])
        taken = both.take(pa.array(np.arange(0, 2 * count, 2)))
        return taken if nulls is None else masked(taken, nulls)


def masked(values: pa.Array, nulls: np.ndarray[Any, np.dtype[np.bool_]] | None) -> pa.Array:
    """The values with NULL where the mask says so; values without offset and NULLs of their own."""
    if nulls is None:
        return values
    valid = pa.py_buffer(np.packbits(~nulls, bitorder="little"))
    return pa.Array.from_buffers(values.type, len(values), [valid, *values.buffers()[1:]])


def rows_of(block: Block, *, is_first: bool) -> tuple[bytearray, Places]:
    """The block's bytes, padded, and where its rows begin; the file's header and trailer are no rows."""
    data, sizes = block.data, np.frombuffer(block.sizes, np.int64)
    starts = np.cumsum(sizes) - sizes
    if is_first:
        starts[0] += header_size(data)
    if data.endswith(TRAILER):
        starts = starts[starts != len(data) - len(TRAILER)]
    starts = starts[starts < len(data)]
    data += _PADDING
    return data, starts


def header_size(data: bytearray) -> int:
    """Bytes before the first row of a COPY. Raises SchemaConflict."""
    if not data.startswith(SIGNATURE):
        raise SchemaConflict("the server's COPY does not begin as PostgreSQL's does", hint="is it PostgreSQL?")
    return _HEADER + int(_INT4.unpack_from(data, _HEADER - 4)[0])


def fields(data: bytearray, starts: Places, widths: Sequence[int | None]) -> Iterator[Values]:
    """The columns of all rows, from the first to the last.

    Args:
        widths: of each column the bytes of a value that is not NULL; None where they differ.
    """
    at, column = starts + 2, 0
    while column < len(widths):
        run = list(takewhile(lambda width: width is not None, widths[column : column + _LONGEST_RUN]))
        column += len(run)
        is_followed = column < len(widths) and widths[column] is None
        piece = _piece(run)
        picked = _picked(data, piece, at)
        if all((picked[f"size{place}"] == width).all() for place, width in enumerate(run)):
            for place in range(len(run)):
                yield Values(data, at, picked[f"size{place}"], picked[f"value{place}"])
            at = at + (piece.itemsize - 4)
            sizes = picked["next"].astype(np.int32)
        else:
            for _ in run:
                sizes = _sizes(data, at)
                yield Values(data, at + 4, sizes)
                at = at + 4 + np.maximum(sizes, 0)
            sizes = _sizes(data, at)
        if is_followed:
            column, at = column + 1, at + 4
            yield Values(data, at, sizes)
            at = at + np.maximum(sizes, 0)


def _piece(run: Sequence[int | None]) -> np.dtype[Any]:
    """Columns of these widths as they follow each other in a row without NULL, and the size of the column after."""
    parts = [
        part for place, width in enumerate(run) for part in ((f"size{place}", ">i4"), (f"value{place}", f"V{width}"))
    ]
    return np.dtype([*parts, ("next", ">i4")])


def elements(arrays: Values) -> tuple[Values, Places]:
    """The elements of one-dimensional arrays, and for each array where its own begin among them (one more at the end).

    Raises:
        ValueError: an array has more dimensions.
    """
    dimensions = np.where(arrays.sizes < 0, 0, arrays.numbers(">i4"))
    if (dimensions > 1).any():
        raise ValueError(f"an array of {int(dimensions.max())} dimensions")
    counts = np.where(dimensions == 1, arrays.numbers(">i4", after=12), 0).astype(np.int64)
    offsets = np.zeros(len(arrays) + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    return _walked(arrays.data, arrays.at + 20, counts, offsets), offsets


def _walked(data: bytearray, cursor: Places, left: Places, offsets: Places) -> Values:
    """All arrays at once from element to element; the few that are longer than the others one by one."""
    at, sizes = np.empty(offsets[-1], np.int64), np.empty(offsets[-1], np.int32)
    slot = offsets[:-1]
    while True:
        going = np.flatnonzero(left)
        if len(going) < len(left):
            cursor, left, slot = cursor[going], left[going], slot[going]
        if len(going) <= _FEW:
            break
        found = _sizes(data, cursor)
        at[slot], sizes[slot] = cursor + 4, found
        cursor, left, slot = cursor + 4 + np.maximum(found, 0), left - 1, slot + 1
    for place, count, first in zip(cursor.tolist(), left.tolist(), slot.tolist(), strict=True):
        for index in range(first, first + count):
            (size,) = _INT4.unpack_from(data, place)
            at[index], sizes[index] = place + 4, size
            place += 4 + max(size, 0)
    return Values(data, at, sizes)


def _sizes(data: bytearray, at: Places) -> Sizes:
    return _picked(data, np.dtype(">i4"), at).astype(np.int32)


def _picked(data: bytearray, kind: np.dtype[Any], at: Places) -> np.ndarray[Any, Any]:
    """One item from each place: a view with a step of one byte makes every place of the block an index."""
    # As plain bytes: of numbers with fields or of another byte order NumPy copies one at a time.
    plain = np.dtype(f"V{kind.itemsize}")
    window = np.ndarray((max(0, len(data) - kind.itemsize + 1),), plain, data, strides=(1,))
    return window[at].view(kind)
