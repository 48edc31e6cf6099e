"""Parquet through pyarrow: types, nesting and metadata as they are."""

from __future__ import annotations

from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from data_workbench.connectors.files.formats.arrow import Lazily, seekable
from data_workbench.connectors.files.formats.opening import Batches, Encoder, Opening

ROW_GROUP_ROWS = 131_072


def read(opening: Opening) -> Batches:
    """Row groups in batches bounded by rows and bytes."""
    handle = seekable(opening)
    file = opening.stack.enter_context(pq.ParquetFile(handle, pre_buffer=False))
    metadata, settings = file.metadata, opening.settings
    opening.estimated_rows = metadata.num_rows
    size = sum(metadata.row_group(index).total_byte_size for index in range(metadata.num_row_groups))
    rows = max(1, min(settings.batch_rows, settings.batch_bytes * metadata.num_rows // max(size, 1)))
    names = file.schema_arrow.names
    columns = [name for name in names if name in opening.columns] if opening.columns is not None else None
    schema = pa.schema([file.schema_arrow.field(name) for name in columns]) if columns else file.schema_arrow
    return Lazily(schema, lambda: file.iter_batches(batch_size=rows, columns=columns, use_threads=True))


def write(handle: IO[bytes], schema: pa.Schema) -> Encoder:
    """Row groups of zstd."""
    return _Parquet(handle, schema)


class _Parquet:
    def __init__(self, handle: IO[bytes], schema: pa.Schema) -> None:
        self._writer = pq.ParquetWriter(handle, schema, compression="zstd", compression_level=1)

    def write(self, table: pa.Table) -> None:
        self._writer.write_table(table, row_group_size=ROW_GROUP_ROWS)

    def close(self) -> None:
        self._writer.close()
