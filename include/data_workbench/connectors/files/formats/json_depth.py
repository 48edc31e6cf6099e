"""How deep objects and lists lie in one another, told from the bytes, before a parser goes down with them.

A parser that names the way to each value needs memory with the square of the depth: 100 kB of brackets are 50 GB.
"""

from __future__ import annotations

import re

import numpy as np

_STRINGS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_END = re.compile(rb'[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)


class Depth:
    """Fed with a document's bytes in order."""

    def __init__(self) -> None:
        self._depth = 0
        self._in_text = False
        self._is_escaped = False

    def after(self, data: bytes) -> int:
        """The greatest depth within these bytes."""
        if self._in_text:
            data = self._rest(data)
        bare = _STRINGS.sub(b"", data)
        opened = bare.find(b'"')
        if opened >= 0:
            self._leave_open(bare[opened + 1 :])
            bare = bare[:opened]
        if not bare:
            return self._depth
        values = np.frombuffer(bare, np.uint8)
        steps = np.isin(values, (91, 123)).astype(np.int64) - np.isin(values, (93, 125))
        depths = self._depth + np.cumsum(steps)
        self._depth = int(depths[-1])
        return int(depths.max())

    def _rest(self, data: bytes) -> bytes:
        """What follows the text that was open."""
        if self._is_escaped:
            data, self._is_escaped = data[1:], not data
        ended = _END.match(data)
        if ended is None:
            self._leave_open(data)
            return b""
        self._in_text = False
        return data[ended.end() :]

    def _leave_open(self, text: bytes) -> None:
        self._in_text = True
        self._is_escaped = (len(text) - len(text.rstrip(b"\\"))) % 2 == 1
