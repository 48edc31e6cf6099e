"""The keys of an entry as bytes: an Arrow stream with zstd, which any Arrow library reads."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import pyarrow as pa

from data_workbench.errors import StateError
from data_workbench.records.marks import HIDDEN, OP, UPSERT
from data_workbench.records.values import dumps, rows_of

AFTER: Final = "_wb_after"
"""Column of an entry of cause `compare`: the hash of the row that stands there."""
ROW: Final = "_wb_row"
"""Column of an entry of a pipeline with `journal: values`: the row as it was written, as JSON; null for a deletion."""
_OPTIONS: Final = pa.ipc.IpcWriteOptions(compression="zstd")


def keys_of(
    rows: pa.Table,
    key: Sequence[str],
    *,
    mark: str | None = None,
    values: Sequence[str] = (),
    hidden: Collection[str] = (),
) -> bytes | None:
    """Keys and operations of rows that are about to be written; None for rows without a key.

    Args:
        mark: the operation of all of them, instead of the one they carry.
        values: columns whose values are noted, too, those of `hidden` not.
    """
    if not key:
        return None
    kept = rows.select(list(key))
    marked = mark is None and OP in rows.column_names
    marks = rows.column(OP) if marked else pa.repeat(pa.scalar(mark or UPSERT), rows.num_rows)
    kept = kept.append_column(OP, marks)
    if values:
        kept = kept.append_column(ROW, _texts(rows.select(list(values)), marks, hidden))
    return encode(kept)


def _texts(rows: pa.Table, marks: pa.ChunkedArray | pa.Array, hidden: Collection[str]) -> pa.Array:
    told = zip(rows_of(rows), marks.to_pylist(), strict=True)
    texts = [dumps(masked(row, hidden)) if mark == UPSERT else None for row, mark in told]
    return pa.array(texts, pa.string())


def masked(row: Mapping[str, Any], hidden: Collection[str]) -> dict[str, Any]:
    """A row without the values of some columns; that they are null is told."""
    return {name: HIDDEN if name in hidden and value is not None else value for name, value in row.items()}


def encode(table: pa.Table) -> bytes:
    """A table as bytes; a short text of few values, as operations are, takes nearly nothing."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=_OPTIONS) as writer:
        writer.write_table(table.combine_chunks())
    return bytes(sink.getvalue())


def decode(content: bytes) -> pa.Table:
    """The reverse of `encode`.

    Raises:
        StateError: it is damaged.
    """
    try:
        with pa.ipc.open_stream(pa.py_buffer(content)) as reader:
            return reader.read_all()
    except pa.ArrowInvalid as error:
        raise StateError(f"an entry of the journal is damaged: {error}", hint="restore the metastore") from error
