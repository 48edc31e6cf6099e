"""Avro containers to Arrow and back: logical types kept, decimals exact.

The container is read here, block by block within the limits; fastavro decodes what a block holds. See avro_types.py.
"""

from __future__ import annotations

import bz2
import io
import json
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import pyarrow as pa

from data_workbench.connectors.column_types import field_of
from data_workbench.connectors.files.formats import avro_types as types
from data_workbench.connectors.files.formats.opening import Batches, Encoder, Opening
from data_workbench.errors import ResourceExhausted, SchemaConflict, Unsupported

_HEADER = {
    "type": "record",
    "name": "header",
    "fields": [
        {"name": "magic", "type": {"type": "fixed", "name": "magic", "size": 4}},
        {"name": "meta", "type": {"type": "map", "values": "bytes"}},
        {"name": "sync", "type": {"type": "fixed", "name": "sync", "size": 16}},
    ],
}
_BLOCK_RATIO = 16
"""A block unpacks to at most so many times `max_row_bytes`."""
_ROWS = 8192
_SYNC_INTERVAL = 64 * 1024


def read(opening: Opening) -> Batches:
    """The schema from the header, then all blocks."""
    return _Container(opening)


class _Container:
    def __init__(self, opening: Opening) -> None:
        import fastavro

        self._opening = opening
        self._handle = _Exactly(opening.handle())
        source: Any = self._handle
        with _explained(opening):
            header: Any = fastavro.schemaless_reader(source, fastavro.parse_schema(_HEADER), None)
            if header["magic"] != b"Obj\x01":
                raise SchemaConflict(f"{opening.name}: not an Avro file", hint="check its ending, or name its `format`")
            written = json.loads(header["meta"]["avro.schema"])
        self._sync = header["sync"]
        self._codec = header["meta"].get("avro.codec", b"null").decode("ascii", "replace")
        self._unpack = _unpacker(opening.name, self._codec)
        columns = types.columns_of(written, opening.name)
        self._flat = opening.options.flatten and opening.schema is None
        wanted = None if self._flat else opening.columns
        self._columns = [one for one in columns if wanted is None or one.field.name in wanted]
        self._parsed = fastavro.parse_schema(types.without_logical(written))
        declared = {name: field_of(name, kind) for name, kind in opening.options.types.items()}
        known = {item.name: item for item in opening.schema or ()}
        fields = [(known | declared).get(one.field.name, one.field) for one in self._columns]
        self.schema = _flat_schema(pa.schema(fields)) if self._flat else pa.schema(fields)
        self._fields = fields

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        rows: list[dict[str, Any]] = []
        for record in self._records():
            rows.append(record)
            if len(rows) >= _ROWS:
                yield self._batch(rows)
                rows = []
        if rows:
            yield self._batch(rows)

    def _records(self) -> Iterator[dict[str, Any]]:
        import fastavro

        with _explained(self._opening):
            while (count := self._handle.long()) is not None:
                packed = self._handle.exactly(self._handle.size(self._opening.options.max_row_bytes))
                if self._handle.exactly(16) != self._sync:
                    raise SchemaConflict(f"{self._opening.name}: a block is damaged: its end mark is missing")
                block = io.BytesIO(self._unpack(packed, _BLOCK_RATIO * self._opening.options.max_row_bytes))
                for _ in range(count):
                    record: Any = fastavro.schemaless_reader(block, self._parsed, None)
                    yield record

    def _batch(self, rows: list[dict[str, Any]]) -> pa.RecordBatch:
        arrays = []
        with _explained(self._opening):
            for one, item in zip(self._columns, self._fields, strict=True):
                arrays.append(one.array([row[one.key] for row in rows], item.type))
        batch = pa.RecordBatch.from_arrays(arrays, schema=pa.schema(self._fields))
        if not self._flat:
            return batch
        flat = pa.Table.from_batches([batch])
        while any(pa.types.is_struct(kind) for kind in flat.schema.types):
            flat = _named(flat)
        return flat.combine_chunks().cast(self.schema).to_batches()[0]


def _named(table: pa.Table) -> pa.Table:
    return table.flatten().rename_columns(_flat_schema(table.schema, once=True).names)


def _flat_schema(schema: pa.Schema, *, once: bool = False) -> pa.Schema:
    fields: list[pa.Field] = []
    for item in schema:
        if pa.types.is_struct(item.type):
            inner = [item.type.field(place) for place in range(item.type.num_fields)]
            fields += [one.with_name(f"{item.name}_{one.name}").with_nullable(True) for one in inner]
        else:
            fields.append(item)
    flat = pa.schema(fields)
    return flat if once or not any(pa.types.is_struct(one) for one in flat.types) else _flat_schema(flat)


class _Exactly:
    """Reads as many bytes as asked for, or says that the file is cut short."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    def read(self, size: int = -1) -> bytes:
        data: bytes = self._handle.read(size)
        return data

    def exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self._handle.read(size - len(data))
            if not more:
                raise EOFError("cut short")
            data += more
        return data

    def long(self) -> int | None:
        """A zigzag number; None at the end of the file."""
        number, shift = 0, 0
        while True:
            byte = self._handle.read(1)
            if not byte:
                if shift:
                    raise EOFError("cut short")
                return None
            number |= (byte[0] & 0x7F) << shift
            if byte[0] < 0x80:
                return (number >> 1) ^ -(number & 1)
            shift += 7
            if shift > 63:
                raise ValueError("a number has no end")

    def size(self, most: int) -> int:
        """The length of a block."""
        size = self.long()
        if size is None or not size >= 0:
            raise EOFError("cut short")
        if size > most:
            raise ResourceExhausted(
                f"a block of {size} bytes is larger than {most}", hint="raise `options: {max_row_bytes: …}`"
            )
        return size


def _unpacker(name: str, codec: str) -> Any:
    makers = {"null": _as_it_is, "deflate": _inflate, "bzip2": _bzip2, "xz": _xz, "snappy": _snappy, "zstandard": _zstd}
    if codec not in makers:
        raise Unsupported(f"{name}: its codec {codec[:40]!r} is not read", hint=f"known are {', '.join(makers)}")

    def unpack(data: bytes, most: int) -> bytes:
        content: bytes = makers[codec](data, most + 1)
        if len(content) > most:
            raise ResourceExhausted(
                f"{name}: a block unpacks to more than {most} bytes", hint="raise `options: {max_row_bytes: …}`"
            )
        return content

    return unpack


def _as_it_is(data: bytes, _most: int) -> bytes:
    return data


def _inflate(data: bytes, most: int) -> bytes:
    return zlib.decompressobj(-15).decompress(data, most)


def _bzip2(data: bytes, most: int) -> bytes:
    return bz2.BZ2Decompressor().decompress(data, most)


def _xz(data: bytes, most: int) -> bytes:
    return lzma.LZMADecompressor().decompress(data, most)


def _zstd(data: bytes, most: int) -> bytes:
    import zstandard

    with zstandard.ZstdDecompressor().stream_reader(data) as stream:
        content: bytes = stream.read(most)
    return content


def _snappy(data: bytes, most: int) -> bytes:
    import cramjam

    packed = data[:-4]  # a checksum follows
    if cramjam.snappy.decompress_raw_len(packed) > most:
        return b"\0" * most
    return bytes(cramjam.snappy.decompress_raw(packed))


@contextmanager
def _explained(opening: Opening) -> Iterator[None]:
    try:
        yield
    except (EOFError, ValueError, KeyError, IndexError, TypeError, OverflowError, RecursionError, MemoryError) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise SchemaConflict(
            f"{opening.name}: no Avro file, or a damaged one: {said}", hint="fetch the file again"
        ) from error
    except (zlib.error, lzma.LZMAError, OSError, ArithmeticError) as error:
        raise SchemaConflict(f"{opening.name}: a block is damaged ({error})", hint="fetch the file again") from error


# ------------------------------------------------------------------------------------------------------ writing


def write(handle: IO[bytes], schema: pa.Schema) -> Encoder:
    """A container with deflated blocks."""
    return _Avro(handle, schema)


class _Avro:
    def __init__(self, handle: IO[bytes], schema: pa.Schema) -> None:
        from fastavro.write import Writer

        self._names = types.avro_names(schema.names)
        self._writer: Any = Writer(handle, types.avro_schema(schema), codec="deflate", sync_interval=_SYNC_INTERVAL)

    def write(self, table: pa.Table) -> None:
        for batch in table.to_batches(max_chunksize=_ROWS):
            columns = [types.raw_values(column) for column in batch.columns]
            for row in zip(*columns, strict=True):
                self._writer.write(dict(zip(self._names, row, strict=True)))

    def close(self) -> None:
        self._writer.flush()
