"""Landed files as views of the engine, each row with its ordinal.

Files are read by DuckDB's own Parquet reader: it streams in parallel, keeps the order, and tells each row's place.
What it would change on the way (decimals of more than 38 digits become floats, float16) is written again as text first.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from data_workbench.records.marks import ORDINAL
from data_workbench.records.names import literal
from data_workbench.transforms.text import listing

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

FILE_SHIFT = 1 << 36  # rows a file can have; 2**27 files fit beside it


def land(
    engine: duckdb.DuckDBPyConnection, view: str, schema: pa.Schema, files: Sequence[Path], *, work_folder: Path
) -> None:
    """Create a view over landed Parquet files with the schema's columns and ORDINAL."""
    lands_itself = getattr(engine, "land", None)
    if lands_itself is not None:  # another engine than DuckDB
        lands_itself(view, readable_schema(schema), [_readable(file, schema, work_folder) for file in files])
        return
    found = [_readable(file, schema, work_folder) for file in files] or [_empty(view, schema, work_folder)]
    paths = ", ".join(literal(str(path.resolve())) for path in found)
    columns = [name for name in schema.names if name != ORDINAL]
    ordinal = ORDINAL if ORDINAL in schema.names else f"CAST(file_index AS BIGINT) * {FILE_SHIFT} + file_row_number"
    names = f"{listing(columns)}, " if columns else ""
    engine.execute(
        f"CREATE OR REPLACE TEMP VIEW {view} AS SELECT {names}{ordinal} AS {ORDINAL} "
        f"FROM read_parquet([{paths}], hive_partitioning = false)"
    )


def _empty(view: str, schema: pa.Schema, work_folder: Path) -> Path:
    import pyarrow.parquet as pq

    path = work_folder / f"empty-{zlib.crc32(view.encode()):x}.parquet"
    pq.ParquetWriter(path, readable_schema(schema)).close()  # no array is made: that would import pandas (1.3 s)
    return path


def readable_schema(schema: pa.Schema) -> pa.Schema:
    """The schema with text for what DuckDB cannot hold."""
    import pyarrow as pa

    return pa.schema([item.with_type(pa.string()) if _is_foreign(item.type) else item for item in schema])


def _is_foreign(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_decimal256(kind) and kind.precision > 38)


def _readable(file: Path, schema: pa.Schema, work_folder: Path) -> Path:
    """The file, or a copy of it with text for what DuckDB cannot hold."""
    import pyarrow.parquet as pq

    wanted = readable_schema(schema)
    if wanted.equals(schema):
        return file
    copy = work_folder / f"readable-{file.stem}-{zlib.crc32(str(file).encode()):x}.parquet"
    with pq.ParquetFile(file) as reader, pq.ParquetWriter(copy, wanted) as writer:
        for batch in reader.iter_batches(batch_size=65_536):
            writer.write_batch(batch.cast(wanted))
    return copy


def rows_in(files: Sequence[Path]) -> int:
    """Rows in Parquet files, from their footers."""
    import pyarrow.parquet as pq

    return sum(pq.read_metadata(file).num_rows for file in files)


def bytes_per_row(files: Sequence[Path]) -> float:
    """Uncompressed bytes of an average row, from the footers; 0 if there are none."""
    size = rows = 0
    for metadata in _footers(files):
        rows += metadata.num_rows
        size += sum(metadata.row_group(index).total_byte_size for index in range(metadata.num_row_groups))
    return size / rows if rows else 0.0


def _footers(files: Sequence[Path]) -> Iterator[pa.parquet.FileMetaData]:
    import pyarrow.parquet as pq

    for file in files:
        yield pq.read_metadata(file)
