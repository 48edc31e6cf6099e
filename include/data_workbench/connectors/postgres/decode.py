"""COPY's CSV to typed Arrow, a block at a time.

In CSV a NULL is nothing and an empty string is `""`, so the two cannot be mistaken. Binary columns are asked for in
hex, arrays as JSON arrays of texts (`selected`), which Arrow's own readers take without a loop over rows.
"""

from __future__ import annotations

import binascii
import re
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json

from data_workbench.connectors.postgres import temporal
from data_workbench.connectors.postgres.types import is_list
from data_workbench.errors import SchemaConflict

_CSV_COLUMN = re.compile(r"column #(\d+)")


def selected(expression: str, kind: pa.DataType) -> str:
    """How a column of this Arrow type is asked for."""
    if pa.types.is_binary(kind):
        return f"encode({expression}, 'hex')"
    if is_list(kind):
        return f"to_json({expression}::text[])"
    return expression


class BlockDecoder:
    """Turns CSV blocks of whole rows into record batches of one schema."""

    def __init__(self, schema: pa.Schema, stream: str) -> None:
        self.schema = schema
        self._stream = stream
        # Positions, not names: a store may hold names that differ only in ways CSV's reader does not care about.
        self._names = [str(index) for index in range(len(schema))]
        self._direct = {
            name: item.type for name, item in zip(self._names, schema, strict=True) if not _is_indirect(item.type)
        }
        texts = dict.fromkeys(self._names, pa.string())
        self._fast = texts | self._direct
        self._slow = texts | {name: kind for name, kind in self._direct.items() if not pa.types.is_temporal(kind)}

    def decode(self, block: bytes) -> pa.RecordBatch:
        """One block."""
        try:
            table = self._parse(block, self._fast)
        except pa.ArrowInvalid:
            try:
                table = self._parse(block, self._slow)
            except pa.ArrowInvalid as error:
                raise self._named(error) from error
        arrays = [
            self._finished(_one_chunk(column), item) for column, item in zip(table.columns, self.schema, strict=True)
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def _parse(self, block: bytes, types: dict[str, pa.DataType]) -> pa.Table:
        return pyarrow.csv.read_csv(
            pa.py_buffer(block),
            pyarrow.csv.ReadOptions(column_names=self._names, block_size=len(block) + 1, use_threads=False),
            pyarrow.csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
            pyarrow.csv.ConvertOptions(
                column_types=types,
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
                true_values=["t"],
                false_values=["f"],
            ),
        )

    def _finished(self, values: pa.Array, item: pa.Field) -> pa.Array:
        if values.type == item.type:
            return values
        try:
            return from_hex(values) if pa.types.is_binary(item.type) else from_text(values, item.type)
        except pa.ArrowInvalid as error:
            raise self._conflict(item, str(error)) from error
        except SchemaConflict as error:
            raise self._conflict(item, error.message) from error

    def _named(self, error: pa.ArrowInvalid) -> SchemaConflict:
        found = _CSV_COLUMN.search(str(error))
        if found is None:
            return SchemaConflict(
                f"{self._stream}: {str(error)[:200]}", hint="is the database's encoding what its texts are in?"
            )
        return self._conflict(self.schema.field(int(found[1])), str(error))

    def _conflict(self, item: pa.Field, reason: str) -> SchemaConflict:
        return SchemaConflict(
            f"{self._stream}: column {item.name!r} holds what {item.type} cannot: {reason[:200]}",
            hint=f"read it as PostgreSQL's text with the source's options: {{as_text: [{item.name}]}}",
        )


def _is_indirect(kind: pa.DataType) -> bool:
    # Arrow's CSV reader knows no 256-bit decimals; its cast from text does.
    return pa.types.is_binary(kind) or is_list(kind) or pa.types.is_decimal256(kind)


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


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
    lists: Any = _one_chunk(parsed.column("v"))
    flat = from_text(lists.flatten(), kind.value_type)
    mask = lists.is_null() if lists.null_count else None
    return pa.ListArray.from_arrays(lists.offsets, flat, type=kind, mask=mask)


def _bytes(lines: pa.Array) -> list[memoryview]:
    _, offsets, data = lines.buffers()
    ends = np.frombuffer(offsets, np.int64, len(lines) + 1 + lines.offset)
    return [memoryview(data)[int(ends[lines.offset]) : int(ends[-1])]]
