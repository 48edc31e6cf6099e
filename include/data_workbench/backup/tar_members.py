"""Small members of a tar stream, taken out of it while it passes."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

_RECORD: Final = 512


class TarMembers:
    """Looks at a stream block by block and keeps the content of some members.

    Headers are those of POSIX ustar, which PostgreSQL writes: name, and size in octal or, above 8 GB, as a number.
    https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html#tag_20_94_13_06

    Args:
        wanted: names of members.
    """

    def __init__(self, wanted: Collection[str]) -> None:
        self._wanted = {name.encode() for name in wanted}
        self._header = bytearray()
        self._kept: bytearray | None = None
        self._left = self._padding = 0
        self.content: dict[str, bytearray] = {}
        """By name, as far as it has passed."""

    def pass_by(self, block: bytes) -> None:
        """Look at the next bytes of the stream."""
        view = memoryview(block)
        while view:
            if self._left:
                taken = min(len(view), self._left)
                if self._kept is not None:
                    self._kept += view[:taken]
                self._left -= taken
            elif self._padding:
                taken = min(len(view), self._padding)
                self._padding -= taken
            else:
                taken = min(len(view), _RECORD - len(self._header))
                self._header += view[:taken]
                if len(self._header) == _RECORD:
                    self._begin(bytes(self._header))
                    self._header.clear()
            view = view[taken:]

    def _begin(self, header: bytes) -> None:
        name, size = header[:100].partition(b"\0")[0], header[124:136]
        self._left = int.from_bytes(size[1:], "big") if size[0] & 0x80 else int(size.strip(b"\0 ") or b"0", 8)
        self._padding = -self._left % _RECORD
        self._kept = self.content.setdefault(name.decode(), bytearray()) if name in self._wanted else None
