"""One way to read any file: opened, decompressed, in batches of one schema."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import IO, TYPE_CHECKING, Any, Protocol

import pyarrow as pa
import pyarrow.ipc as ipc
import pyarrow.parquet as pq

from data_workbench.connectors.base import Rejection
from data_workbench.connectors.files.csv_reading import CsvBatches, CsvLayout
from data_workbench.connectors.files.formats import FileOptions, Shape, shape_of
from data_workbench.connectors.files.json_reading import JsonBatches, JsonLayout
from data_workbench.errors import SchemaConflict, UsageError

if TYPE_CHECKING:
    from data_workbench.connectors.files.client import Root
    from data_workbench.settings import Settings


class Batches(Protocol):
    """What every format gives."""

    schema: pa.Schema

    def __iter__(self) -> Iterator[pa.RecordBatch]: ...


class FileReader:
    """One file under way: `schema` at once, batches by iterating, `close` when done.

    Args:
        schema: what the file is known to hold (reading back); otherwise its own schema is found out.
        rejections: records the file holds and Arrow cannot take are appended here while iterating.
    """

    def __init__(
        self,
        root: Root,
        path: str,
        options: FileOptions,
        settings: Settings,
        *,
        schema: pa.Schema | None = None,
        columns: list[str] | None = None,
        rejections: list[Rejection] | None = None,
    ) -> None:
        self.path = path
        self._root, self._settings, self._columns = root, settings, columns
        self._rejections = rejections if rejections is not None else []
        self._open = ExitStack()
        self.estimated_rows: int | None = None
        try:
            self._batches: Batches = self._begin(shape_of(path, options), options, schema)
        except BaseException:
            self.close()
            raise
        self.schema = self._batches.schema

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        try:
            yield from self._batches
        except pa.ArrowException as error:
            raise _damaged(self.path, error) from error
        finally:
            self.close()

    def close(self) -> None:
        """Give handles back; safe to call twice."""
        self._open.close()

    def _begin(self, shape: Shape, options: FileOptions, schema: pa.Schema | None) -> Batches:
        if shape.format in ("parquet", "arrow"):
            if shape.compression:
                raise UsageError(f"{self.path}: {shape.format} files compress inside", hint="unpack it first")
            try:
                return self._parquet() if shape.format == "parquet" else self._arrow()
            except pa.ArrowException as error:
                raise _damaged(self.path, error) from error

        def opener() -> IO[bytes] | pa.NativeFile:
            return self._decompressed(shape.compression)

        if shape.format == "csv":
            layout = CsvLayout(self.path, opener, options, schema)
            return CsvBatches(layout, self._open.enter_context(opener()), self._rejections)
        lines = JsonLayout(self.path, opener, options, schema)
        return JsonBatches(lines, self._open.enter_context(opener()), self._rejections)

    def _source(self, *, mapped: bool = False) -> Any:
        place = self._root.local(self.path)
        if place is None or not place.is_file():
            return self._root.open_read(self.path)
        return pa.memory_map(str(place)) if mapped and place.stat().st_size else self._root.open_read(self.path)

    def _decompressed(self, compression: str | None) -> IO[bytes] | pa.NativeFile:
        raw = self._source()
        if compression is None:
            handle: IO[bytes] = raw
            return handle
        if compression == "zip":
            return _only_member(self.path, raw)
        return pa.CompressedInputStream(pa.PythonFile(raw, "r"), compression)

    def _parquet(self) -> Batches:
        handle = self._open.enter_context(self._source(mapped=True))
        file = self._open.enter_context(pq.ParquetFile(handle, pre_buffer=False))
        metadata = file.metadata
        self.estimated_rows = metadata.num_rows
        size = sum(metadata.row_group(index).total_byte_size for index in range(metadata.num_row_groups))
        rows = max(1, min(self._settings.batch_rows, self._settings.batch_bytes * metadata.num_rows // max(size, 1)))
        names = file.schema_arrow.names
        columns = [name for name in names if name in self._columns] if self._columns is not None else None
        schema = pa.schema([file.schema_arrow.field(name) for name in columns]) if columns else file.schema_arrow
        return _Lazily(schema, lambda: file.iter_batches(batch_size=rows, columns=columns, use_threads=True))

    def _arrow(self) -> Batches:
        handle = self._open.enter_context(self._source(mapped=True))
        is_file = handle.read(6) == b"ARROW1"
        handle.seek(0)
        if not is_file:
            stream = self._open.enter_context(ipc.open_stream(handle))
            return _Lazily(stream.schema, lambda: iter(stream))
        file = self._open.enter_context(ipc.open_file(handle))
        return _Lazily(file.schema, lambda: (file.get_batch(index) for index in range(file.num_record_batches)))


class _Lazily:
    def __init__(self, schema: pa.Schema, batches: Callable[[], Iterator[pa.RecordBatch]]) -> None:
        self.schema, self._batches = schema, batches

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return self._batches()


def _only_member(path: str, raw: IO[bytes]) -> IO[bytes]:
    try:
        archive = zipfile.ZipFile(raw)
        members = [item for item in archive.infolist() if not item.is_dir()]
        if len(members) != 1:
            raise UsageError(f"{path} holds {len(members)} files, one is wanted", hint="unpack it, then use a glob")
        return archive.open(members[0])
    except zipfile.BadZipFile as error:
        raise SchemaConflict(f"{path}: not a zip archive", hint="check `compression`") from error


def _damaged(path: str, error: pa.ArrowException) -> SchemaConflict:
    return SchemaConflict(
        f"{path}: {str(error).splitlines()[0][:300]}",
        hint="the file is damaged, or of another format than its ending says",
    )
