"""Files of JSON lines through zstd: written in memory, read with their size bounded by what the manifest says."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any, Literal

import zstandard

from data_workbench.archive.manifest import ExtraFacts, Manifest
from data_workbench.archive.shelf import Shelf
from data_workbench.errors import StateError
from data_workbench.mapping.lossless_values import to_line

_LEVEL = 9


class LineFile:
    """Lines being written."""

    def __init__(self, kind: Literal["graph", "vectors"]) -> None:
        self.kind: Literal["graph", "vectors"] = kind
        self._sink = io.BytesIO()
        self._packer = zstandard.ZstdCompressor(level=_LEVEL).stream_writer(self._sink, closefd=False)
        self._lines = self._size = 0

    def add(self, document: dict[str, Any]) -> None:
        """Write a line."""
        line = to_line(document) + b"\n"
        self._packer.write(line)
        self._lines, self._size = self._lines + 1, self._size + len(line)

    def put(self, shelf: Shelf, policy: str, archive: str) -> ExtraFacts:
        """Put the file on the shelf."""
        self._packer.close()
        content = self._sink.getvalue()
        name = shelf.put_extra(policy, archive, content)
        return ExtraFacts(kind=self.kind, sha256=name, bytes=len(content), lines=self._lines, size=self._size)


def read_lines(shelf: Shelf, manifest: Manifest, kind: str) -> Iterator[dict[str, Any]]:
    """The lines of an archive's file of a kind, none where it has none. Raises StateError for a damaged one."""
    for facts in manifest.extras:
        if facts.kind == kind:
            yield from _unpacked(shelf.lines(manifest.policy, manifest.archive, facts), facts)


def _unpacked(content: bytes, facts: ExtraFacts) -> Iterator[dict[str, Any]]:
    count = size = 0
    try:
        with zstandard.ZstdDecompressor().stream_reader(content) as stream:
            for line in io.TextIOWrapper(stream, encoding="utf-8"):
                count, size = count + 1, size + len(line.encode())
                if size > facts.size:
                    break
                yield json.loads(line)
    except (zstandard.ZstdError, ValueError) as error:
        raise StateError(
            f"file {facts.sha256[:16]}… cannot be read ({type(error).__name__})", hint="archive verify"
        ) from None
    if (count, size) != (facts.lines, facts.size):
        raise StateError(f"file {facts.sha256[:16]}… has other lines than its manifest says", hint="archive verify")
