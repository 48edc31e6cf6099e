"""The files themselves as rows: what is there, how long it is, and the hash of its bytes, whatever they hold.

`options: {inventory: true}` makes it of a stream that is a file or a pattern. Bytes are read only where their hash is
asked for.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import Any, Final

import pyarrow as pa

from data_workbench.connectors.base import Reading, ReadRequest
from data_workbench.connectors.files.client import Root, content_hash
from data_workbench.connectors.files.streams import files_of
from data_workbench.connectors.selection import Selection
from data_workbench.errors import StreamUnknown

SCHEMA: Final = pa.schema(
    [
        pa.field("path", pa.string()),
        pa.field("name", pa.string()),
        pa.field("bytes", pa.int64()),
        pa.field("modified", pa.timestamp("us", "UTC")),
        pa.field("sha256", pa.string()),
    ]
)
_PAGE: Final = 500


class Inventory(Reading):
    """One look at the files; one that goes meanwhile is left out."""

    def __init__(self, root: Root, request: ReadRequest) -> None:
        self._root, self._request = root, request
        self._selection = Selection(request, SCHEMA)
        self.schema = self._selection.schema

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        names = self._selection.read_columns
        schema = pa.schema([SCHEMA.field(name) for name in names])
        paths = files_of(self._root, self._request.stream)
        for start in range(0, len(paths), _PAGE):
            rows = [row for path in paths[start : start + _PAGE] if (row := self._row(path, names)) is not None]
            yield self._selection.apply(pa.RecordBatch.from_pylist(rows, schema=schema))
            if self._selection.exhausted:
                return

    def position(self) -> dict[str, Any] | None:
        return self._selection.position()

    def _row(self, path: str, names: tuple[str, ...] | list[str]) -> dict[str, Any] | None:
        try:
            facts = self._root.facts(path)
            hashed = content_hash(self._root, path) if "sha256" in names else None
        except StreamUnknown:
            return None
        told = {
            "path": path,
            "name": posixpath.basename(path),
            "bytes": facts.size,
            "modified": facts.modified,
            "sha256": hashed,
        }
        return {name: told[name] for name in names}
