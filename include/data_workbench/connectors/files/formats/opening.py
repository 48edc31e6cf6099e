"""What every reader is given and what it gives, whatever the format."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from data_workbench.connectors.base import Rejection
from data_workbench.connectors.files.formats.table import FORMATS, Format
from data_workbench.connectors.files.options import FileOptions
from data_workbench.errors import ResourceExhausted, Unsupported

if TYPE_CHECKING:
    import pyarrow as pa

    from data_workbench.settings import Settings


class Batches(Protocol):
    """What every format gives: its schema at once, batches by iterating."""

    schema: pa.Schema

    def __iter__(self) -> Iterator[pa.RecordBatch]: ...


class Encoder(Protocol):
    """Writes tables of one schema to a handle."""

    def write(self, table: pa.Table) -> None:
        """Write rows."""

    def close(self) -> None:
        """Write what ends the file; the handle stays open."""


class Rejections(list[Rejection]):
    """Records that fit no row, as many as are asked to be kept; one more ends the read.

    They are held in memory until the quarantine takes them, so their number must end somewhere.
    """

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def append(self, item: Rejection) -> None:
        if len(self) >= self._limit:
            raise ResourceExhausted(
                f"{item.key.get('file')}: more than {self._limit} records fit no row; the last: {item.reason[:200]}",
                hint="the file is likely of another shape than it is read as; or raise `options: {max_rejected: …}`",
            )
        super().append(item)


@dataclass
class Opening:
    """One file, member or sheet to be read.

    Args:
        name: for messages and rejections: the path, with `!member` and `!part`.
        open: the bytes, decompressed and (of text formats) in UTF-8; a fresh handle for each pass.
        local: the file itself, where it lies on this machine as it is.
        part: sheet or record path.
        schema: what the file is known to hold (reading back); otherwise its own schema is found out.
        columns: those that are wanted, for formats that can leave the others unread.
        stack: closes what the reader opens.
    """

    name: str
    open: Callable[[], IO[bytes]]
    options: FileOptions
    settings: Settings
    stack: ExitStack
    local: Path | None = None
    part: str | None = None
    schema: pa.Schema | None = None
    columns: list[str] | None = None
    rejections: list[Rejection] = field(default_factory=list)
    estimated_rows: int | None = None

    def handle(self) -> Any:
        """A handle that is closed with the reading."""
        return self.stack.enter_context(self.open())

    def reject(self, key: dict[str, Any], rule: str, reason: str) -> None:
        """Note a record that fits no row."""
        self.rejections.append(Rejection(key={"file": self.name, **key}, rule=rule, reason=reason))


def read(form: Format, opening: Opening) -> Batches:
    """Begin to read a file of this format."""
    batches: Batches = import_module(form.module).read(opening)
    return batches


def open_encoder(kind: str, handle: IO[bytes], schema: pa.Schema) -> Encoder:
    """The encoder of a format.

    Raises:
        Unsupported: it is not written, or cannot hold a column's type.
    """
    form = FORMATS[kind]
    if not form.is_written:
        raise Unsupported(f"{form.title} is read, not written", hint="choose another format")
    encoder: Encoder = import_module(form.module).write(handle, schema)
    return encoder
