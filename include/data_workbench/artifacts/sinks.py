"""Where an artifact's bytes go: counted, summed up and made durable."""

from __future__ import annotations

import io
import os
import zlib
from typing import IO, TYPE_CHECKING, Any

from data_workbench.errors import ResourceExhausted, StateError

if TYPE_CHECKING:
    from data_workbench.artifacts.manifest import Manifest


class CheckedSink(io.RawIOBase):
    """Passes bytes on, with their count and checksum."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.size = 0
        self.crc32 = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.crc32 = zlib.crc32(data, self.crc32)
        size = memoryview(data).nbytes
        self.size += size
        self._stream.write(data)
        return size

    def tell(self) -> int:
        return self.size

    def flush(self) -> None:
        if not self._stream.closed:  # closing flushes once more
            self._stream.flush()

    def close(self) -> None:
        if not self.closed:
            _make_durable(self._stream)
            self._stream.close()
        super().close()


def _make_durable(stream: IO[bytes]) -> None:
    """A manifest may name only what survives a power cut (15 ms a part, while others are encoded)."""
    stream.flush()
    try:
        handle = stream.fileno()
    except OSError:  # io.UnsupportedOperation: an object store has no such thing
        return
    os.fsync(handle)


def unwritable(manifest: Manifest, error: OSError) -> Exception:
    """What a failure to write an artifact's file is raised as."""
    if error.errno in (28, 122):  # ENOSPC, EDQUOT
        return ResourceExhausted(
            f"no room left in the artifact store {manifest.place.root} ({error.strerror})",
            hint="free space there, set WORKBENCH_ARTIFACTS elsewhere, then run again: the run goes on",
            run_id=manifest.run_id,
        )
    return StateError(
        f"the staged file below {manifest.address} could not be written: {error.strerror or error}",
        hint="check the folder and its rights, then run again",
        run_id=manifest.run_id,
    )
