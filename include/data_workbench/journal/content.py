"""The keys of an entry as bytes: an Arrow stream with zstd, which any Arrow library reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pyarrow as pa

from data_workbench.errors import StateError
from data_workbench.records.marks import OP, UPSERT

AFTER: Final = "_wb_after"
"""Column of an entry of cause `compare`: the hash of the row that stands there."""
_OPTIONS: Final = pa.ipc.IpcWriteOptions(compression="zstd")


def keys_of(rows: pa.Table, key: Sequence[str], *, mark: str | None = None) -> bytes | None:
    """Keys and operations of rows that are about to be written; None for rows without a key.

    Args:
        mark: the operation of all of them, instead of the one they carry.
    """
    if not key:
        return None
    kept = rows.select(list(key))
    marked = mark is None and OP in rows.column_names
    marks = rows.column(OP) if marked else pa.repeat(pa.scalar(mark or UPSERT), rows.num_rows)
    return encode(kept.append_column(OP, marks))


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
