"""Files of a set as chunks: written side by side with what produces them, read back with every hash checked."""

from __future__ import annotations

import base64
import hashlib
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import zstandard

from data_workbench.backup.chunking import chunks
from data_workbench.backup.keys import Keyring
from data_workbench.backup.manifest import ChunkFacts, Manifest, StoredFile
from data_workbench.backup.pace import Pace
from data_workbench.backup.vault import Vault
from data_workbench.errors import StateError
from data_workbench.events import emit

_LEVEL = 3
"""Higher levels take several times as long for a few hundredths (https://github.com/facebook/zstd#benchmarks)."""
_WORKERS = 2
_WAITING = 6
"""Chunks on their way at once: what writing holds in memory."""


@dataclass
class Writer:
    """Writes the files of one set; use as a context manager.

    Args:
        known: chunks of earlier finished sets, encrypted for the same recipients: those still there are not written
            again. What a set that was never finished left behind is not trusted, and written anew.
    """

    vault: Vault
    keyring: Keyring
    known: dict[str, ChunkFacts]
    pace: Pace = field(default_factory=lambda: Pace(0))
    written: dict[str, ChunkFacts] = field(default_factory=dict)
    new_bytes: int = 0
    _sent: set[str] = field(default_factory=set)

    def __enter__(self) -> Self:
        self._pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="backup")
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        self._pool.shutdown(cancel_futures=kind is not None)

    def write(self, path: str, blocks: Iterable[bytes]) -> StoredFile:
        """Store a file; it is whole in the repository when this returns."""
        names: list[str] = []
        digest, size = hashlib.sha256(), 0
        waiting: deque[Future[tuple[str, ChunkFacts, int]]] = deque()
        for content in chunks(blocks):
            digest.update(content)
            size += len(content)
            name = hashlib.sha256(content).hexdigest()
            names.append(name)
            if name not in self._sent:
                self._sent.add(name)
                waiting.append(self._pool.submit(self._store, name, content))
            if len(waiting) >= _WAITING:
                self._take(waiting.popleft())
            emit("backup.stored", path=path, bytes=len(content))
        while waiting:
            self._take(waiting.popleft())
        return StoredFile(path=path, size=size, sha256=digest.hexdigest(), chunks=tuple(names))

    def adopt(self, files: Iterable[StoredFile]) -> bool:
        """Take in files of an earlier set as they lie there; False, and nothing is, if one is not whole any more."""
        wanted = {name for file in files for name in file.chunks}
        if not wanted <= self.known.keys():
            return False
        if not all(self._pool.map(lambda name: self.vault.keep_chunk(name, self.known[name].stored), wanted)):
            return False
        self.written |= {name: self.known[name] for name in wanted}
        return True

    def _take(self, done: Future[tuple[str, ChunkFacts, int]]) -> None:
        name, facts, new = done.result()
        self.written[name] = facts
        self.new_bytes += new

    def _store(self, name: str, content: bytes) -> tuple[str, ChunkFacts, int]:
        known = self.known.get(name)
        if known is not None and known.size == len(content) and self.vault.keep_chunk(name, known.stored):
            return name, known, 0
        sealed = self.keyring.seal(zstandard.ZstdCompressor(level=_LEVEL).compress(content))
        self.pace.take(len(sealed))
        self.vault.put_chunk(name, sealed)
        facts = ChunkFacts(sha256=hashlib.sha256(sealed).hexdigest(), stored=len(sealed), size=len(content))
        return name, facts, len(sealed)


@dataclass(frozen=True)
class Reader:
    """Reads the files of one set."""

    vault: Vault
    keyring: Keyring
    manifest: Manifest

    def require_key(self) -> None:
        """Raise AccessDenied unless the identity opens this set: asked before anything is touched."""
        opened = self.keyring.open(base64.b64decode(self.manifest.key_check))
        if opened != self.manifest.set.encode():
            raise StateError(f"the key check of set {self.manifest.set} is damaged", hint="workbench backup list")

    def chunk(self, name: str) -> bytes:
        """The content of a chunk; one that was damaged and written again by a later set is as good.

        Raises:
            StateError: it is lost, cut off or damaged.
        """
        content = self.unsealed(name, self.manifest.chunks[name], self.vault.chunk(name))
        emit("backup.read", bytes=len(content))
        return content

    def sealed(self, name: str, facts: ChunkFacts) -> bytes:
        """A chunk as it lies there, its hash checked: no key is needed for this."""
        found = self.vault.chunk(name)
        if len(found) != facts.stored or hashlib.sha256(found).hexdigest() != facts.sha256:
            raise StateError(f"chunk {name[:16]}… is damaged", hint="take another set: workbench backup list")
        return found

    def unsealed(self, name: str, facts: ChunkFacts, sealed: bytes) -> bytes:
        """What is in a chunk, decrypted and checked."""
        try:
            # The size is bounded before anything is unpacked: a frame may claim what it likes.
            packed = self.keyring.open(sealed)
            content = zstandard.ZstdDecompressor().decompress(packed, max_output_size=facts.size or 1)
        except zstandard.ZstdError as error:
            raise StateError(f"chunk {name[:16]}… cannot be unpacked ({error})", hint="take another set") from None
        except StateError as error:
            raise StateError(f"chunk {name[:16]}… is damaged: {error.message}", hint="take another set") from None
        if hashlib.sha256(content).hexdigest() != name:
            raise StateError(f"chunk {name[:16]}… is damaged", hint="take another set: workbench backup list")
        return content

    def blocks(self, file: StoredFile) -> Iterator[bytes]:
        """A file from its beginning to its end.

        Raises:
            StateError: it is not what was stored.
        """
        digest = hashlib.sha256()
        for name in file.chunks:
            content = self.chunk(name)
            digest.update(content)
            yield content
        if digest.hexdigest() != file.sha256:
            raise StateError(f"file {file.path} is not what was stored", hint="take another set: workbench backup list")

    def lines(self, file: StoredFile) -> Iterator[bytes]:
        """The lines of a text file, without their ends."""
        rest = b""
        for block in self.blocks(file):
            *whole, rest = (rest + block).split(b"\n")
            yield from whole
        if rest:
            yield rest


def key_check(keyring: Keyring, set_id: str) -> str:
    """What tells a right identity from a wrong one without touching a chunk."""
    return base64.b64encode(keyring.seal(set_id.encode())).decode()
