"""Text of any encoding as UTF-8: by the byte order mark, or as the options say."""

from __future__ import annotations

import codecs
import io
from typing import IO, Any

from data_workbench.errors import SchemaConflict, UsageError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_BLOCK = 1024**2


def as_utf8(name: str, handle: IO[bytes], encoding: str | None) -> IO[bytes]:
    """The bytes in UTF-8 without a mark. What is UTF-8 already is handed on as it is, whether valid or not.

    Raises:
        UsageError: no such encoding.
    """
    try:
        wanted = codecs.lookup(encoding).name if encoding else None
    except LookupError:
        raise UsageError(
            f"{name}: unknown encoding {encoding!r}", hint="use utf-8, utf-16, latin-1, cp1252, …"
        ) from None
    head = _head(handle, 4)
    mark, marked = next(((mark, kind) for mark, kind in _MARKS if head.startswith(mark)), (b"", None))
    if wanted in (None, "utf-8", "utf-8-sig") and marked in (None, "utf-8"):
        return handle if not head else Prefixed(head[len(mark) :], handle)  # type: ignore[return-value]
    # An encoding that begins with its mark (utf-16) is what the mark says; latin-1 may begin with any bytes.
    follows_mark = wanted is None or (marked is not None and marked.startswith(wanted))
    if follows_mark and marked is not None:
        return Recoded(name, Prefixed(head[len(mark) :], handle), marked)  # type: ignore[return-value]
    return Recoded(name, Prefixed(head, handle), str(wanted))  # type: ignore[return-value]


def _head(handle: IO[bytes], size: int) -> bytes:
    head = b""
    while len(head) < size and (more := handle.read(size - len(head))):
        head += more
    return head


class Prefixed(io.RawIOBase):
    """Bytes that were looked at, then the rest."""

    def __init__(self, head: bytes, handle: IO[bytes]) -> None:
        self._head, self._handle = head, handle

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if not self._head:
            return self._handle.read(size)
        if size is None or size < 0:
            data, self._head = self._head + self._handle.read(), b""
            return data
        data, self._head = self._head[:size], self._head[size:]
        return data + self._handle.read(size - len(data)) if len(data) < size else data

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._handle.close()
        super().close()


class Recoded(io.RawIOBase):
    """Text of another encoding as UTF-8."""

    def __init__(self, name: str, handle: Any, encoding: str) -> None:
        self._name, self._handle, self._encoding = name, handle, encoding
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._ready = b""
        self._ended = False

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if size is None or size < 0:
            return b"".join(iter(lambda: self.read(_BLOCK), b""))
        while len(self._ready) < size and not self._ended:
            block = self._handle.read(_BLOCK)
            self._ended = not block
            try:
                self._ready += self._decoder.decode(block, final=self._ended).encode("utf-8")
            except UnicodeError as error:
                raise SchemaConflict(
                    f"{self._name}: bytes that are not {self._encoding}",
                    hint="name the encoding: `options: {encoding: latin-1}`",
                ) from error
        data, self._ready = self._ready[:size], self._ready[size:]
        return data

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._handle.close()
        super().close()
