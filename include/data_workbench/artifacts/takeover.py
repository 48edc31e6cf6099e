"""Taking Parquet files into an artifact as they are: their bytes are copied, their rows decoded once, none encoded.

Decoding finds every damaged page before a row is loaded, and tells where the parts are cut, which are read at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import IO, TYPE_CHECKING

import pyarrow as pa

from data_workbench.artifacts.manifest import Manifest, Part
from data_workbench.artifacts.sinks import CheckedSink, unwritable
from data_workbench.records.parquet import rows_at_once

if TYPE_CHECKING:
    from collections.abc import Callable

    from data_workbench.artifacts.encoder import Limits

_BLOCK = 4 * 1024**2
_BLOCKS_A_LOOK = 16
"""A look at what is free on the disk every 64 MiB."""


class Takeover:
    """Files taken so far, in their order. The artifact lies on this machine: a file is read again once it is copied."""

    def __init__(self, manifest: Manifest, limits: Limits, guard: Callable[[], None]) -> None:
        self._manifest = manifest
        self._limits = limits
        self._guard = guard
        self._parts: list[Part] = []
        self._files = 0
        self._closing: ThreadPoolExecutor | None = None
        self._coming: list[Future[None]] = []

    def take(self, stream: IO[bytes], seen: Callable[[pa.RecordBatch], None]) -> None:
        """Take the next file; `seen` is told each of its batches.

        Raises:
            pyarrow.ArrowInvalid, OSError: the file is damaged.
            ResourceExhausted: the disk is nearly full.
            StateError: it cannot be written.
        """
        file = f"file-{self._files:05d}.parquet"
        self._files += 1
        sink = self._copied(file, stream)
        if self._closing is None:
            self._closing = ThreadPoolExecutor(1, "stage, to disk")
        self._coming.append(self._closing.submit(sink.close))  # waiting for the disk while the rows are decoded
        whole = Part(file, 0, sink.size, sink.crc32)
        self._parts.extend(replace(whole, rows=rows, offset=offset) for offset, rows in self._cuts(file, seen))

    def finish(self) -> list[Part]:
        """Wait until all is on the disk; the parts, in order."""
        try:
            for one in self._coming:
                with self._told():
                    one.result()
        finally:
            self.abandon()
        return self._parts

    def abandon(self) -> None:
        """Wait until nothing is written any more; safe to call twice and after `finish`."""
        if self._closing is not None:
            self._closing.shutdown()
        self._closing = None

    def _copied(self, file: str, stream: IO[bytes]) -> CheckedSink:
        """The bytes in a file of the artifact, flushed and still open."""
        sink = CheckedSink(self._manifest.place.create(f"{self._manifest.folder}/{file}"))
        try:
            number = 0
            while block := stream.read(_BLOCK):
                if number % _BLOCKS_A_LOOK == 0:
                    self._guard()
                number += 1
                with self._told():
                    sink.write(block)
            with self._told():
                sink.flush()
        except BaseException:
            sink.close()
            raise
        return sink

    @contextmanager
    def _told(self) -> Iterator[None]:
        """A failure to write, in words of ours: one to read is the source's."""
        try:
            yield
        except OSError as error:
            raise unwritable(self._manifest, error) from error

    def _cuts(self, file: str, seen: Callable[[pa.RecordBatch], None]) -> Iterator[tuple[int, int]]:
        """The offset and rows of each part, by decoding all."""
        import pyarrow.parquet as pq

        limits = self._limits
        reader = pq.ParquetFile(pa.BufferReader(self._manifest.place.map(f"{self._manifest.folder}/{file}")))
        at_once = rows_at_once(reader.metadata, rows=limits.group_rows, size=limits.part_bytes)
        offset = rows = size = 0
        for batch in reader.iter_batches(at_once, use_threads=True):
            seen(batch)
            rows, size = rows + batch.num_rows, size + batch.nbytes
            while rows >= limits.part_rows or (rows and size >= limits.part_bytes):
                cut = min(rows, limits.part_rows)
                yield offset, cut
                offset, rows, size = offset + cut, rows - cut, size * (rows - cut) // rows
        if rows:
            yield offset, rows
