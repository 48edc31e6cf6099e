"""What every kind of store gives to a set: marks under the fence, then its files and what they hold."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from data_workbench.backup.content import Writer
    from data_workbench.backup.manifest import StoredStore


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
