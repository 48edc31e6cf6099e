"""Arrow to COPY's CSV without a loop over rows.

A NULL is nothing, a text is always quoted (so `""` is the empty one and `"\\."` ends nothing); types whose text
Arrow does not print as PostgreSQL reads it are turned into texts first: bytes to hex, lists to array literals,
structs to JSON, and the rare dates beyond Arrow's printer.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from data_workbench.connectors.postgres import temporal
from data_workbench.connectors.postgres.nested import is_document, to_json
from data_workbench.connectors.postgres.types import is_list, is_nested
from data_workbench.records.types import native_type

_SLICE_ROWS = 32_768
_SLICE_BYTES = 16 * 1024**2
_OPTIONS = pyarrow.csv.WriteOptions(include_header=False, batch_size=_SLICE_ROWS)


def csv_blocks(table: pa.Table) -> Iterator[pa.Buffer]:
    """The rows as CSV, in blocks of whole rows that stay small however large the table is."""
    for part in slices(table):
        sink = pa.BufferOutputStream()
        pyarrow.csv.write_csv(printable(part), sink, _OPTIONS)
        yield sink.getvalue()


def slices(table: pa.Table) -> Iterator[pa.Table]:
    """Cut by rows, and smaller where rows are large."""
    if table.num_rows == 0:
        return
    per_row = max(1, table.nbytes // table.num_rows)
    rows = max(1, min(_SLICE_ROWS, _SLICE_BYTES // per_row))
    for start in range(0, table.num_rows, rows):
        yield table.slice(start, rows).combine_chunks()


def printable(table: pa.Table) -> pa.Table:
    """The rows with every column in a type whose CSV PostgreSQL reads."""
    columns = [
        array_literals(_chunk(column), separator=";")
        if native_type(item) == "box[]" and is_list(item.type)  # the only type whose elements a comma does not separate
        else _printable(_chunk(column))
        for item, column in zip(table.schema, table.columns, strict=True)
    ]
    # Positions, not names: two columns may differ only by what CSV does not care about.
    return pa.table(columns, names=[str(index) for index in range(len(columns))])


def _chunk(column: pa.ChunkedArray) -> pa.Array:
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def _printable(values: pa.Array) -> pa.Array:
    kind = values.type
    if pa.types.is_dictionary(kind):
        return _printable(values.dictionary_decode())
    if pa.types.is_temporal(kind) and not pa.types.is_interval(kind):
        return _temporal(values)
    if _is_bytes(kind):
        return _hex(values)
    if is_document(kind):
        return to_json(values)
    if is_list(kind):
        return array_literals(values)
    if pa.types.is_float16(kind):
        return values.cast(pa.float32())
    if pa.types.is_null(kind):
        return values.cast(pa.string())
    if str(kind) in ("string_view", "binary_view"):
        return values.cast(pa.string())
    if pa.types.is_interval(kind):
        return pa.array([None if one is None else _interval(one) for one in values.to_pylist()], pa.string())
    return values


def _temporal(values: pa.Array) -> pa.Array:
    kind = values.type
    if pa.types.is_duration(kind):
        micros = values.cast(pa.duration("us"), safe=False).view(pa.int64()).cast(pa.string())
        return pc.binary_join_element_wise(micros, " microseconds", "")
    if pa.types.is_date64(kind):
        values = values.cast(pa.date32())
    elif pa.types.is_time(kind) and kind != pa.time64("us"):
        values = values.cast(pa.time64("us"), safe=False)
    elif pa.types.is_timestamp(kind):
        # Beyond a microsecond PostgreSQL holds nothing; a zone's name changes no instant.
        values = values.cast(pa.timestamp("us", kind.tz), safe=kind.unit != "ns")
        values = values.view(pa.timestamp("us", "UTC" if kind.tz else None))
        if kind.tz and temporal.is_common(values):
            # Arrow prints moments with a zone ten times slower than those without.
            return pc.binary_join_element_wise(values.view(pa.timestamp("us")).cast(pa.string()), "+00", "")
    return values if temporal.is_common(values) else temporal.text(values)


def _interval(value: pa.MonthDayNano) -> str:
    return f"{value.months} months {value.days} days {value.nanoseconds // 1000} microseconds"


def _is_bytes(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind)


def _hex(values: pa.Array) -> pa.Array:
    values = pa.concat_arrays([values.cast(pa.large_binary()), pa.array([], pa.large_binary())])
    validity, offsets, data = values.buffers()
    ends = np.frombuffer(offsets, np.int64, len(values) + 1) if len(values) else np.zeros(1, np.int64)
    first, last = int(ends[0]), int(ends[-1])
    digits = binascii.hexlify(memoryview(data)[first:last]) if data is not None and last > first else b""
    doubled = pa.py_buffer(((ends - first) * 2).astype(np.int64).tobytes())
    texts = pa.Array.from_buffers(pa.large_string(), len(values), [validity, doubled, pa.py_buffer(digits)])
    return pc.binary_join_element_wise(pa.scalar("\\x", pa.large_string()), texts, pa.scalar("", pa.large_string()))


def array_literals(values: pa.Array, *, separator: str = ",") -> pa.Array:
    """Lists as PostgreSQL's array literals: `{1,NULL,"a \\"b\\""}`."""
    values = _plain_list(values)
    inner = values.flatten()
    if is_list(inner.type):
        texts = array_literals(inner, separator=separator)
    else:
        texts = _printable(inner)
        is_text = pa.types.is_string(texts.type) or pa.types.is_large_string(texts.type)
        texts = (
            texts.cast(pa.large_string()) if not pa.types.is_temporal(texts.type) else _quoted(texts.cast(pa.string()))
        )
        texts = _quoted(texts) if is_text else texts
    texts = pc.fill_null(texts.cast(pa.large_string()), "NULL")
    lists = pa.LargeListArray.from_arrays(_offsets(values), texts)
    joined = pc.binary_join(lists, pa.scalar(separator, pa.large_string()))
    literals = pc.binary_join_element_wise(
        pa.scalar("{", pa.large_string()), joined, pa.scalar("}", pa.large_string()), pa.scalar("", pa.large_string())
    )
    return pc.if_else(pc.is_null(values), pa.scalar(None, pa.large_string()), literals)


def _plain_list(values: pa.Array) -> pa.Array:
    kind = values.type
    return values.cast(pa.large_list(kind.value_type)) if not pa.types.is_large_list(kind) else values


def _offsets(values: pa.Array) -> pa.Array:
    """Offsets into `flatten()`, which leaves out what null lists hide."""
    lengths = pc.fill_null(pc.list_value_length(values), 0).cast(pa.int64())
    ends = np.concatenate([[0], np.cumsum(lengths.to_numpy(zero_copy_only=False))]).astype(np.int64)
    return pa.array(ends)


def _quoted(texts: pa.Array) -> pa.Array:
    texts = texts.cast(pa.large_string())
    escaped = pc.replace_substring(pc.replace_substring(texts, "\\", "\\\\"), '"', '\\"')
    quote = pa.scalar('"', pa.large_string())
    return pc.binary_join_element_wise(quote, escaped, quote, pa.scalar("", pa.large_string()))


def rows_with_nul(table: pa.Table) -> pa.Array | None:
    """Which rows hold a NUL character in a text, which PostgreSQL cannot store; None if no row does."""
    found: pa.Array | None = None
    for column in table.columns:
        mask = _has_nul(_chunk(column))
        if mask is not None:
            found = mask if found is None else pc.or_(found, mask)
    return found


def _has_nul(values: pa.Array) -> pa.Array | None:
    kind = values.type
    if pa.types.is_dictionary(kind):
        return _has_nul(values.dictionary_decode())
    if is_nested(kind) or is_list(kind):
        if not any(_holds_zero(buffer) for buffer in _text_buffers(values)):
            return None
        return pa.array(["\0" in repr(one) or "\\x00" in repr(one) for one in values.to_pylist()], pa.bool_())
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return None
    data = values.buffers()[2]
    if data is None or not _holds_zero(data):
        return None
    return pa.array([one is not None and "\0" in one for one in values.to_pylist()], pa.bool_())


def _text_buffers(values: pa.Array) -> Iterator[pa.Buffer]:
    kind = values.type
    if is_list(kind):
        yield from _text_buffers(values.flatten())
    elif pa.types.is_struct(kind):
        for index in range(kind.num_fields):
            yield from _text_buffers(values.field(index))
    elif pa.types.is_map(kind):
        yield from _text_buffers(values.keys)
        yield from _text_buffers(values.items)
    elif (pa.types.is_string(kind) or pa.types.is_large_string(kind)) and values.buffers()[2] is not None:
        yield values.buffers()[2]


def _holds_zero(buffer: pa.Buffer) -> bool:
    # The padding after a buffer's end is not looked at: a buffer's size is that of its data.
    return bool((np.frombuffer(buffer, np.uint8) == 0).any())
