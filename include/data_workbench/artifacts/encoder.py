"""Turning rows into Parquet parts, in threads of their own while the caller fetches the next batches.

Measured on two cores (16 mixed columns), each thread: lz4 encodes 1.4-2 M rows/s, snappy 1.1-1.9 M, zstd level 1
1.0-1.1 M; dictionaries on columns of many values cost a third of that, so they are chosen by a look at the first rows;
the checksum taken on the way costs 5 % of the encoding. A quick source, such as a CSV file, outruns one thread.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from data_workbench.artifacts.manifest import Manifest, Part
from data_workbench.artifacts.sinks import CheckedSink, unwritable
from data_workbench.errors import Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# By name the level; None where there is but one. Higher ones are slower than the servers that are read.
_LEVELS: Final = {"lz4": None, "zstd": 1}
_SAMPLE: Final = 2048


@dataclass(frozen=True)
class Limits:
    """Where row groups and parts are cut, and how many parts are encoded at the same time."""

    part_rows: int
    group_rows: int
    part_bytes: int
    compression: str = "lz4"
    threads: int = 2


class Encoder:
    """Threads that turn parts into files, as many at the same time as there are threads: the next one has to wait.

    One thread more makes the files durable, since a thread that waits for the disk encodes nothing.
    """

    def __init__(self, manifest: Manifest, limits: Limits, guard: Callable[[], None], prefix: str = "") -> None:
        self._prefix = prefix
        self._manifest = manifest
        self._limits = limits
        self._guard = guard
        self._threads: ThreadPoolExecutor | None = None
        self._closing: ThreadPoolExecutor | None = None
        self._free = threading.Semaphore(limits.threads)
        self._coming: list[Future[Future[Part]]] = []
        self._failed = False
        self._dictionary: list[str] | None = None

    def put(self, rows: pa.Table) -> None:
        """Encode the rows as the next part.

        Raises:
            ResourceExhausted: the disk is nearly full, or was while an earlier part was written.
            Unsupported: Parquet has no such type.
        """
        self._free.acquire()
        if self._failed:
            self._free.release()
            self._parts()
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._limits.threads, f"stage {self._manifest.name}")
            self._closing = ThreadPoolExecutor(1, "stage, to disk")
            self._dictionary = _worth_a_dictionary(rows)
        file = f"{self._prefix}part-{len(self._coming):05d}.parquet"
        self._coming.append(self._threads.submit(self._encode, file, rows))

    def finish(self) -> list[Part]:
        """Wait for the parts; they stand in the order in which they were put."""
        try:
            return self._parts()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Wait until no part is written any more; safe to call twice and after `finish`."""
        for pool in (self._threads, self._closing):
            if pool is not None:
                pool.shutdown()
        self._threads = self._closing = None

    def _parts(self) -> list[Part]:
        return [one.result().result() for one in self._coming]

    def _encode(self, file: str, rows: pa.Table) -> Future[Part]:
        try:
            with self._told():
                self._guard()
                sink = self._written(file, rows)
        finally:
            self._free.release()
        assert self._closing is not None
        return self._closing.submit(self._closed, Part(file, rows.num_rows, sink.size, sink.crc32), sink)

    def _closed(self, part: Part, sink: CheckedSink) -> Part:
        with self._told():
            sink.close()
        return part

    def _written(self, file: str, rows: pa.Table) -> CheckedSink:
        """The file with the rows, still open."""
        import pyarrow.parquet as pq

        manifest, compression = self._manifest, self._limits.compression
        sink = CheckedSink(manifest.place.create(f"{manifest.folder}/{file}"))
        try:
            with pq.ParquetWriter(
                sink,
                manifest.schema,
                compression=compression,
                compression_level=_LEVELS[compression],
                use_dictionary=self._dictionary or False,
                write_statistics=False,  # minima and maxima cost 14 % of the encoding and nobody here asks for them
            ) as writer:
                writer.write_table(rows, row_group_size=self._limits.group_rows)
        except BaseException:
            sink.close()
            raise
        return sink

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Note a failure, in words of ours; the caller's thread meets it with the next part, or at the end."""
        try:
            yield
        except BaseException as error:
            self._failed = True
            if isinstance(error, pa.ArrowNotImplementedError):
                raise _unstorable(self._manifest, error) from error
            if isinstance(error, OSError):
                raise unwritable(self._manifest, error) from error
            raise


def _worth_a_dictionary(group: pa.Table) -> list[str]:
    """Text columns whose first rows hold few distinct values."""
    sample = group.slice(0, _SAMPLE)
    names = []
    for item in sample.schema:
        if pa.types.is_string(item.type) or pa.types.is_large_string(item.type):
            distinct = pc.count_distinct(sample.column(item.name)).as_py()
            if sample.num_rows >= 16 and distinct <= sample.num_rows // 8:
                names.append(item.name)
    return names


def _unstorable(manifest: Manifest, error: Exception) -> Unsupported:
    return Unsupported(
        f"artifact {manifest.name!r} cannot be staged as Parquet: {error}",
        hint="cast the column to text in a step",
        run_id=manifest.run_id,
    )
