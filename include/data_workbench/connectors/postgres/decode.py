"""COPY's binary form to typed Arrow, a block at a time.

Numbers, times, texts, bytes, UUIDs and arrays of them are read as the server keeps them, which costs it least. What
Arrow has no type for is asked for as PostgreSQL's own text; arrays of such as JSON arrays of texts, which Arrow's
reader takes without a loop over rows. Read `asked` first, then `binary_types.py`.
"""

from __future__ import annotations

import binascii
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from data_workbench.connectors.postgres import binary_types, temporal
from data_workbench.connectors.postgres.binary_types import Reader
from data_workbench.connectors.postgres.catalogue import Column
from data_workbench.connectors.postgres.copy_out import Block
from data_workbench.connectors.postgres.names import quoted
from data_workbench.connectors.postgres.types import is_list
from data_workbench.connectors.postgres.wire import Values, fields, rows_of
from data_workbench.errors import SchemaConflict

_OF_FAMILIES = frozenset({"enum_out", "range_out", "multirange_out", "record_out"})
"""What prints the values of any enum, range, multirange or row."""

_AS_TEXT = "read it as PostgreSQL's text with the source's options: {as_text: [{}]}"


class Asked(NamedTuple):
    """How a column is asked for in SQL, and how the answer is read."""

    expression: str
    reader: Reader


def asked(column: Column, kind: pa.DataType) -> Asked:
    """A column as values of an Arrow type, be it its own (`types.arrow_type`) or another that its text can become."""
    name = quoted(column.name)
    native = binary_types.reader(column.native)
    if native is not None and column.arrow == kind:
        return Asked(name, native)
    if is_list(kind) and column.native.endswith("[]"):
        return Asked(f"pg_catalog.to_json({name}::text[])", by_text(kind))
    if kind == pa.string() and column.arrow != kind:
        return Asked(f"{name}::text", Reader(binary_types.texts))
    # Not a cast: that of char(n) loses its padding, that of inet shows the mask of a single address.
    # A domain is no enum, range or row to the functions that print those: it is made what it rests on first.
    resting = f"{name}::{column.native}" if column.output.rpartition(".")[2] in _OF_FAMILIES else name
    return Asked(f"pg_catalog.textin({column.output}({resting}))", by_text(kind))


def nothing(kind: pa.DataType) -> Asked:
    """NULL in every row."""
    return Asked("NULL", by_text(kind))


def by_text(kind: pa.DataType) -> Reader:
    """Reads PostgreSQL's texts as an Arrow type."""
    return Reader(lambda values: from_text(binary_types.texts(values), kind))


class BlockDecoder:
    """Turns the blocks of one binary COPY into record batches of one schema.

    Args:
        remedy: what to do about a column, `{}`, that holds what its type cannot.
    """

    def __init__(self, schema: pa.Schema, readers: Sequence[Reader], stream: str, *, remedy: str = _AS_TEXT) -> None:
        self.schema = schema
        self._readers = readers
        self._stream, self._remedy = stream, remedy
        self._is_first = True

    def decode(self, block: Block) -> pa.RecordBatch:
        """One block; they come in order, from the first."""
        data, starts = rows_of(block, is_first=self._is_first)
        self._is_first = False
        found = fields(data, starts, [one.width for one in self._readers])
        columns = zip(found, self._readers, self.schema, strict=True)
        arrays = [self._read(values, reader, item) for values, reader, item in columns]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def _read(self, values: Values, reader: Reader, item: pa.Field) -> pa.Array:
        try:
            return reader.read(values)
        except (ValueError, OverflowError) as error:  # Arrow's own complaints are ValueErrors
            raise self._conflict(item, str(error)) from error
        except SchemaConflict as error:
            raise self._conflict(item, error.message) from error

    def _conflict(self, item: pa.Field, reason: str) -> SchemaConflict:
        if "UTF8" in reason:
            return SchemaConflict(
                f"{self._stream}: column {item.name!r}: {reason[:200]}",
                hint="is the database's encoding what its texts are in?",
            )
        return SchemaConflict(
            f"{self._stream}: column {item.name!r} holds what {item.type} cannot: {reason[:200]}",
            hint=self._remedy.replace("{}", item.name),
        )


def from_text(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """PostgreSQL's texts (arrays: JSON arrays of texts) to any type of `types.arrow_type`."""
    if kind == pa.string():
        return values
    if pa.types.is_boolean(kind):
        truth = pc.is_in(values, value_set=pa.array(["t", "true"]))
        return pc.if_else(pc.is_null(values), pa.scalar(None, pa.bool_()), truth)
    if pa.types.is_binary(kind):
        return from_hex(pc.utf8_slice_codeunits(values, 2))
    if is_list(kind):
        return _lists(values, kind)
    if not pa.types.is_temporal(kind):
        return pc.cast(values, kind)
    if pa.types.is_time(kind):
        return temporal.parse(values, kind)
    try:
        return pc.cast(values, kind)
    except pa.ArrowInvalid:
        return temporal.parse(values, kind)


def from_hex(values: pa.Array) -> pa.Array:
    """Hex digits to bytes: all values are decoded in one go, and the offsets halved."""
    if values.offset:
        values = pa.concat_arrays([values, values.slice(0, 0)])
    validity, offsets, data = values.buffers()
    ends = np.frombuffer(offsets, np.int32, len(values) + 1) if len(values) else np.zeros(1, np.int32)
    first, last = int(ends[0]), int(ends[-1])
    raw = binascii.unhexlify(memoryview(data)[first:last]) if data is not None and last > first else b""
    halves = pa.py_buffer(((ends - first) // 2).astype(np.int32).tobytes())
    return pa.Array.from_buffers(pa.binary(), len(values), [validity, halves, pa.py_buffer(raw)])


def _lists(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """JSON arrays of texts to a list type: Arrow's JSON reader finds the texts, which are then converted flat."""
    texts = pc.fill_null(values, "null").cast(pa.large_string())
    before, after, nothing = (pa.scalar(text, pa.large_string()) for text in ('{"v":', "}\n", ""))
    lines = pc.binary_join_element_wise(before, texts, after, nothing)
    if not len(lines):
        return pa.array([], kind)
    data = b"".join(_bytes(lines))
    parsed = pyarrow.json.read_json(
        pa.py_buffer(data),
        pyarrow.json.ReadOptions(block_size=len(data) + 1, use_threads=False),
        pyarrow.json.ParseOptions(explicit_schema=pa.schema([("v", pa.list_(pa.string()))])),
    )
    lists: Any = parsed.column("v").combine_chunks()
    if isinstance(lists, pa.ChunkedArray):  # as of some versions, if there is one chunk only
        lists = lists.chunk(0)
    flat = from_text(lists.flatten(), kind.value_type)
    mask = lists.is_null() if lists.null_count else None
    return pa.ListArray.from_arrays(lists.offsets, flat, type=kind, mask=mask)


def _bytes(lines: pa.Array) -> list[memoryview]:
    _, offsets, data = lines.buffers()
    ends = np.frombuffer(offsets, np.int64, len(lines) + 1 + lines.offset)
    return [memoryview(data)[int(ends[lines.offset]) : int(ends[-1])]]
