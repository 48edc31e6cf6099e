"""Arrow tables into the bytes of a file.

CSV: `to_text` of text_values.py, text quoted so that an empty text differs from a null. JSONL: `payload_values.py`.
Parquet and Arrow keep the Arrow schema, native types and all.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import IO, Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.ipc as ipc
import pyarrow.parquet as pq

from data_workbench.mapping.payload_values import to_payload
from data_workbench.mapping.text_values import is_text, to_text

ROW_GROUP_ROWS = 131_072


class Encoder(Protocol):
    """Writes tables of one schema to a handle."""

    def write(self, table: pa.Table) -> None:
        """Write rows."""

    def close(self) -> None:
        """Write what ends the file; the handle stays open."""


def open_encoder(kind: str, handle: IO[bytes], schema: pa.Schema) -> Encoder:
    """The encoder of a format."""
    makers: dict[str, Callable[[IO[bytes], pa.Schema], Encoder]] = {
        "parquet": _Parquet,
        "arrow": _Arrow,
        "csv": _Csv,
        "jsonl": _Jsonl,
    }
    return makers[kind](handle, schema)


class _Parquet:
    def __init__(self, handle: IO[bytes], schema: pa.Schema) -> None:
        self._writer = pq.ParquetWriter(handle, schema, compression="zstd", compression_level=1)

    def write(self, table: pa.Table) -> None:
        self._writer.write_table(table, row_group_size=ROW_GROUP_ROWS)

    def close(self) -> None:
        self._writer.close()


class _Arrow:
    def __init__(self, handle: IO[bytes], schema: pa.Schema) -> None:
        self._writer = ipc.new_file(handle, schema)

    def write(self, table: pa.Table) -> None:
        self._writer.write_table(table)

    def close(self) -> None:
        self._writer.close()


class _Csv:
    def __init__(self, handle: IO[bytes], schema: pa.Schema) -> None:
        self._schema = pa.schema([pa.field(item.name, _csv_type(item.type)) for item in schema])
        self._writer = pacsv.CSVWriter(handle, self._schema, write_options=pacsv.WriteOptions(quoting_style="needed"))

    def write(self, table: pa.Table) -> None:
        for batch in table.to_batches(max_chunksize=8192):
            columns = [
                values if item.type == values.type else to_text(values)
                for item, values in zip(self._schema, batch.columns, strict=True)
            ]
            self._writer.write(pa.RecordBatch.from_arrays(columns, schema=self._schema))

    def close(self) -> None:
        self._writer.close()


def _csv_type(kind: pa.DataType) -> pa.DataType:
    plain = pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_string(kind)
    return kind if plain else pa.large_string()


class _Jsonl:
    def __init__(self, handle: IO[bytes], schema: pa.Schema) -> None:
        import duckdb

        self._handle, self._names = handle, schema.names
        self._duckdb = duckdb.connect(config={"enable_external_access": "false"})

    def write(self, table: pa.Table) -> None:
        for batch in table.to_batches(max_chunksize=8192):
            self._write(batch)

    def close(self) -> None:
        self._duckdb.close()

    def _write(self, batch: pa.RecordBatch) -> None:
        pairs = [_json_column(column) for column in batch.columns]
        names = [f"c{index}" for index in range(len(pairs))]
        rows = pa.table([column for column, _ in pairs], names=names)
        members = ", ".join(
            f"{_literal(name)}, {place}{'::JSON' if is_document else ''}"
            for name, place, (_, is_document) in zip(self._names, names, pairs, strict=True)
        )
        self._duckdb.register("batch", rows)
        lines = self._duckdb.sql(f"SELECT json_object({members}) || chr(10) AS line FROM batch").to_arrow_table()
        self._duckdb.unregister("batch")
        for chunk in lines.column("line").cast(pa.large_string()).chunks:
            self._handle.write(_bytes_of(chunk))


def _bytes_of(texts: pa.Array) -> Any:
    """All texts of an array without nulls, one after the other, as they lie in memory."""
    if len(texts) == 0:
        return b""
    offsets = pa.Array.from_buffers(pa.int64(), len(texts) + 1, [None, texts.buffers()[1]], offset=texts.offset)
    start, end = offsets[0].as_py(), offsets[len(texts)].as_py()
    return memoryview(texts.buffers()[2])[start:end]


def _literal(name: str) -> str:
    return "'" + name.replace("'", "''") + "'"


def _json_column(values: pa.Array) -> tuple[pa.Array, bool]:
    """A column whose values DuckDB writes as JSON rightly, and whether they are JSON documents already."""
    kind = values.type
    if is_text(kind) or pa.types.is_boolean(kind) or (pa.types.is_integer(kind) and not pa.types.is_uint64(kind)):
        return values, False
    if pa.types.is_floating(kind) and pc.all(pc.is_finite(values)).as_py() is not False:
        return values.cast(pa.float64()), False
    if pa.types.is_decimal(kind) or pa.types.is_date(kind) or pa.types.is_time(kind):
        return to_text(values), False
    if pa.types.is_timestamp(kind):
        return pc.replace_substring(to_text(values), " ", "T", max_replacements=1), False
    texts = [None if value is None else json.dumps(value, ensure_ascii=False) for value in to_payload(values)]
    return pa.array(texts, pa.large_string()), True
