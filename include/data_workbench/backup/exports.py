"""What every kind of store gives to a set: marks under the fence, then its files and what they hold."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar

from data_workbench.backup.fingerprints import Multiset
from data_workbench.backup.manifest import Content, StoredFile, StoredStore, StoreKind

if TYPE_CHECKING:
    from concurrent.futures import Future

    from data_workbench.backup.content import Writer

_BLOCK = 1024**2
Listing = TypeVar("Listing")


class Export(ABC):
    """A store on its way into a set; a context manager that holds what the store must keep meanwhile.

    The order is: `open` (connect, ask for everything that takes time), `mark` (under the fence: as quick as can be),
    `write` (after it).
    """

    name: str

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        self.close()

    @abstractmethod
    def open(self) -> None:
        """Connect. Raises StoreUnavailable and its like."""

    @abstractmethod
    def mark(self) -> dict[str, Any]:
        """Note the moment, and what the store says of it."""

    @abstractmethod
    def write(self, writer: Writer) -> StoredStore:
        """Store everything."""

    def close(self) -> None:  # noqa: B027  # a folder of files has nothing to let go of
        """Let go of the store; safe to call twice."""


class ListedExport(Export, Generic[Listing]):
    """A store without snapshots, which tells where it stands by listing what it has.

    A bucket with a million files takes its time for that, so it begins under the fence, which does not wait for it.
    """

    def __init__(self) -> None:
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="listing")
        self._listing: Future[Listing] | None = None

    @abstractmethod
    def now(self) -> Listing:
        """What the store has now."""

    def mark(self) -> dict[str, Any]:
        self._listing = self._beside.submit(self.now)
        return {}

    def marked(self) -> Listing:
        """What it had at the mark. Raises what asking it raised."""
        assert self._listing is not None
        return self._listing.result()

    def close(self) -> None:
        self._beside.shutdown(cancel_futures=True)


class CountedExport(ListedExport[dict[str, int]]):
    """A store that is read stream by stream; one whose counts are others than at the mark has moved."""

    kind: ClassVar[StoreKind]
    ending: ClassVar[str]
    """Of its files."""

    def open(self) -> None:
        self._version = self.version()

    @abstractmethod
    def version(self) -> str | None:
        """The server's."""

    @abstractmethod
    def read(self, stream: str, seen: Multiset) -> Iterable[bytes]:
        """A stream in blocks, everything in it told to `seen`."""

    @abstractmethod
    def details(self, paths: Mapping[str, str]) -> dict[str, Any]:
        """What else is to be known, the file of each stream among it; asked before they are read."""

    def write(self, writer: Writer) -> StoredStore:
        started = time.monotonic()
        before = self.now()  # a stream of the mark may be gone: pipelines replace whole ones
        # By number: a stream's name may hold what no path may.
        paths = {name: f"{number:06}.{self.ending}" for number, name in enumerate(sorted(before))}
        details = self.details(paths)
        told = [(name, *self._stored(writer, name, path)) for name, path in paths.items()]
        read, after = {name: content.count for name, _, content in told}, self.now()
        return StoredStore(
            kind=self.kind,
            connection=self.name,
            version=self._version,
            moved=any(counts != after for counts in (self.marked(), before, read)),
            seconds=round(time.monotonic() - started, 3),
            streams={name: content for name, _, content in told},
            files=tuple(file for _, file, _ in told),
            details=details,
        )

    def _stored(self, writer: Writer, name: str, path: str) -> tuple[StoredFile, Content]:
        seen = Multiset()
        file = writer.write(path, self.read(name, seen))
        return file, Content(count=seen.count, fingerprint=seen.fingerprint)


def joined(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Lines as blocks."""
    waiting: list[bytes] = []
    size = 0
    for line in lines:
        waiting.append(line)
        size += len(line)
        if size >= _BLOCK:
            yield b"\n".join(waiting) + b"\n"
            waiting, size = [], 0
    if waiting:
        yield b"\n".join(waiting) + b"\n"
