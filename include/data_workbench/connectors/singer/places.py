"""Where messages stand: a file, plain or packed, a folder of them, or standard input, read once and kept aside."""

from __future__ import annotations

import atexit
import posixpath
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from data_workbench.connectors.connections import Connection
from data_workbench.connectors.files.client import Root
from data_workbench.connectors.singer.messages import BLOCK, blocks_of
from data_workbench.errors import SchemaConflict, StreamUnknown

if TYPE_CHECKING:
    from data_workbench.settings import Settings

STDIN = "-"
ENDINGS = (".jsonl", ".ndjson", ".json", ".singer", ".txt")
_PACKED = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2"}
_kept: list[Path] = []
"""Standard input, once it was read: it can be read once only, and a run looks at it twice."""


class Place:
    """Messages below a connection's address; files are reached as by the files connector, inside its root."""

    def __init__(self, connection_id: str, address: str, settings: Settings) -> None:
        self._address = _standard_input() if address == STDIN else address
        name = self._address.rstrip("/")
        folder, _, last = name.rpartition("/")
        is_file = any(last.endswith((ending, *(ending + one for one in _PACKED))) for ending in ENDINGS)
        self._only = last if is_file else None
        root = folder if is_file else name
        self._root = Root(Connection(id=connection_id, kind="workbench_files", host=root), settings)

    def paths(self, file: str | None) -> list[str]:
        """The files to read, relative to the root, in the order of their names.

        Raises:
            StreamUnknown: there is none.
        """
        if self._only is not None:
            found = [self._only] if self._root.exists(self._only) else []
        elif file is not None:
            found = self._root.glob(file) if set("*?[") & set(file) else [file] if self._root.exists(file) else []
        else:
            found = [path for path in self._root.glob("*") if _unpacked(path).endswith(ENDINGS)]
        if not found:
            raise StreamUnknown(f"no messages in {self._address}", hint="name the file with `options: {file: …}`")
        return found

    def blocks(self, path: str) -> Iterator[bytes]:
        """A file's content, unpacked.

        Raises:
            SchemaConflict: it is damaged, or not packed as its name says.
        """
        packed = _PACKED.get(posixpath.splitext(path)[1])
        with self._root.open_read(path) as raw:
            if packed is None:
                yield from blocks_of(raw.read)
                return
            try:
                with pa.CompressedInputStream(pa.PythonFile(raw, "r"), packed) as handle:
                    yield from blocks_of(handle.read)
            except (OSError, EOFError) as error:
                raise SchemaConflict(f"{path}: {str(error)[:200]}", hint="the file is damaged or cut off") from error


def _unpacked(path: str) -> str:
    stem, ending = posixpath.splitext(path)
    return stem if ending in _PACKED else path


def _standard_input() -> str:
    if not _kept:
        folder = Path(tempfile.mkdtemp(prefix="workbench-messages-"))  # mode 0700
        path = folder / "stdin.jsonl"
        with path.open("wb") as handle:
            while block := sys.stdin.buffer.read(BLOCK):
                handle.write(block)
        _kept.append(path)
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return f"file://{_kept[0]}"
