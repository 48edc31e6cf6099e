"""Parquet through pyarrow: types, nesting and metadata as they are."""

from __future__ import annotations

from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from data_workbench.connectors.files.formats.arrow import Lazily, seekable
from data_workbench.connectors.files.formats.opening import Batches, Encoder, Opening
from data_workbench.records.parquet import rows_at_once

ROW_GROUP_ROWS = 131_072
_ARROW = "parquet-cpp-arrow version "


def read(opening: Opening) -> Batches:
    """Row groups in batches bounded by rows and bytes."""
    handle = seekable(opening)
    file = opening.stack.enter_context(pq.ParquetFile(handle, pre_buffer=False))
    opening.estimated_rows = file.metadata.num_rows
    rows = rows_at_once(file.metadata, rows=opening.settings.batch_rows, size=opening.settings.batch_bytes)
    names = file.schema_arrow.names
    columns = [name for name in names if name in opening.columns] if opening.columns is not None else None
    schema = pa.schema([file.schema_arrow.field(name) for name in columns]) if columns else file.schema_arrow
    return Lazily(schema, lambda: file.iter_batches(batch_size=rows, columns=columns, use_threads=True))


def is_as_we_write(handle: IO[bytes], schema: pa.Schema) -> bool:
    """Whether a file with rows of this schema is what we would write: by Arrow's library, with no obsolete type."""
    with pq.ParquetFile(handle) as file:
        footer = file.metadata
        columns = [footer.schema.column(index) for index in range(len(footer.schema))]
        return (
            str(footer.created_by).startswith(_ARROW)
            and all(column.physical_type != "INT96" for column in columns)
            and file.schema_arrow.equals(schema)
        )


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
