"""Arrow's own files and streams."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import IO, Any

import pyarrow as pa
import pyarrow.ipc as ipc

from data_workbench.connectors.files.formats.opening import Batches, Encoder, Opening


class Lazily:
    """Batches that are asked for when the first one is wanted."""

    def __init__(self, schema: pa.Schema, batches: Callable[[], Iterator[pa.RecordBatch]]) -> None:
        self.schema, self._batches = schema, batches

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return self._batches()


def seekable(opening: Opening) -> Any:
    """A handle that can be sought in. Files are not mapped into memory: one cut short meanwhile kills the process."""
    if opening.local is not None:
        return opening.stack.enter_context(pa.OSFile(str(opening.local), "rb"))
    return opening.handle()


def read(opening: Opening) -> Batches:
    """A file with an index, or a stream."""
    handle = seekable(opening)
    is_file = handle.read(6) == b"ARROW1"
    handle.seek(0)
    if not is_file:
        stream = opening.stack.enter_context(ipc.open_stream(handle))
        return Lazily(stream.schema, lambda: iter(stream))
    file = opening.stack.enter_context(ipc.open_file(handle))
    return Lazily(file.schema, lambda: (file.get_batch(index) for index in range(file.num_record_batches)))


def write(handle: IO[bytes], schema: pa.Schema) -> Encoder:
    """A file with an index."""
    return _Arrow(handle, schema)


class _Arrow:
    def __init__(self, handle: IO[bytes], schema: pa.Schema) -> None:
        self._writer = ipc.new_file(handle, schema)

    def write(self, table: pa.Table) -> None:
        self._writer.write_table(table)

    def close(self) -> None:
        self._writer.close()
