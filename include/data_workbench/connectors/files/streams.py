"""From a stream's name to files, members of archives, and parts of files.

incoming/parts-*.csv             files
drops/*.zip!orders/*.csv         members of archives
book.xlsx!Prices                 a sheet
orders.json!orders/lines         a list in a document
drops/a.zip!book.xlsx!Prices     a sheet of a member
"""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from data_workbench.connectors.files.client import MAGIC, Root
from data_workbench.connectors.files.folder import current_parts
from data_workbench.connectors.files.formats.table import is_known
from data_workbench.connectors.files.options import FileOptions, compression_for
from data_workbench.connectors.files.packing import Archive
from data_workbench.errors import StreamUnknown

if TYPE_CHECKING:
    from collections.abc import Iterator

SEPARATOR = "!"
_LISTED = 1000


@dataclass(frozen=True)
class Place:
    """One thing to read: a file, perhaps a member of it, perhaps a part of that."""

    path: str
    member: str | None = None
    part: str | None = None

    @property
    def name(self) -> str:
        """As a stream's name would say it."""
        return SEPARATOR.join(item for item in (self.path, self.member, self.part) if item is not None)


def places_of(root: Root, stream: str, options: FileOptions, *, owner: str = "") -> list[Place]:
    """What a stream's name stands for.

    Raises:
        StreamUnknown: nothing, with near names.
    """
    if SEPARATOR in stream and root.exists(stream):
        return [Place(stream)]
    head, *rest = stream.split(SEPARATOR, 1)
    found = [place for path in files_of(root, head) for place in _within(root, path, rest, options)]
    if not found:
        near = get_close_matches(stream, list(listed(root, "*")), n=3, cutoff=0.5) if owner else []
        hint = f"did you mean {' or '.join(near)}?" if near else f"look below {root.config.url}"
        whose = f" in connection {owner!r}" if owner else ""
        raise StreamUnknown(f"no file {stream!r}{whose}", hint=hint)
    return found


def files_of(root: Root, head: str) -> list[str]:
    """The files a path, a pattern, or a folder of ours names."""
    if MAGIC & set(head) and (root.config.driver.name == "http" or not root.exists(head)):
        return root.glob(head)
    if root.is_folder(head):
        return current_parts(root, head)
    return [head] if root.exists(head) else []


def _within(root: Root, path: str, rest: list[str], options: FileOptions) -> Iterator[Place]:
    if not rest:
        yield Place(path)
    elif compression_for(path, options) == "zip":
        pattern, _, part = rest[0].partition(SEPARATOR)
        archive = Archive(path, root.open_read(path))
        try:
            members = archive.members()
        finally:
            archive.close()
        for member in members:
            if member == pattern or fnmatch.fnmatchcase(member, pattern):
                yield Place(path, member, part or None)
    else:
        yield Place(path, None, rest[0])


def listed(root: Root, pattern: str) -> list[str]:
    """Files of known formats, three folders deep, at most a thousand."""
    found = [path for depth in ("*", "*/*", "*/*/*") for path in root.glob(depth)]
    known = [path for path in found if is_known(path)]
    return [path for path in sorted(known) if fnmatch.fnmatchcase(path, pattern)][:_LISTED]
