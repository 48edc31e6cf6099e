"""One way to read any file: opened, unpacked, decoded, in batches of one schema."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import IO, TYPE_CHECKING, Any

import pyarrow as pa

from data_workbench.connectors.base import Rejection
from data_workbench.connectors.files.encodings import as_utf8
from data_workbench.connectors.files.failures import translated
from data_workbench.connectors.files.formats.opening import Batches, Opening, read
from data_workbench.connectors.files.formats.table import FORMATS, Format, format_of
from data_workbench.connectors.files.options import FileOptions, compression_for, format_for
from data_workbench.connectors.files.packing import Archive, expanded, only_member, spooled
from data_workbench.errors import SchemaConflict, StoreBusy, StreamUnknown, UsageError

if TYPE_CHECKING:
    from data_workbench.connectors.files.client import Facts, Root
    from data_workbench.connectors.files.streams import Place
    from data_workbench.settings import Settings


class FileReader:
    """One file under way: `schema` at once, batches by iterating, `close` when done.

    Args:
        schema: what the file is known to hold (reading back); otherwise its own schema is found out.
        rejections: records the file holds and Arrow cannot take are appended here while iterating.
    """

    def __init__(
        self,
        root: Root,
        place: Place,
        options: FileOptions,
        settings: Settings,
        *,
        schema: pa.Schema | None = None,
        columns: list[str] | None = None,
        rejections: list[Rejection] | None = None,
    ) -> None:
        self.place = place
        self._root, self._options = root, options
        self._stack = ExitStack()
        self._compression = compression_for(place.path, options)
        self._member = place.member
        try:
            with self._explained():
                self.format = self._format()
                self._opening = Opening(
                    name=place.name,
                    open=self._open,
                    options=options,
                    settings=settings,
                    stack=self._stack,
                    local=root.local(place.path) if self._compression is None else None,
                    part=place.part,
                    schema=schema,
                    columns=columns,
                    rejections=rejections if rejections is not None else [],
                )
                self._batches: Batches = read(self.format, self._opening)
        except BaseException:
            self.close()
            raise
        self.schema = self._batches.schema
        self.estimated_rows = self._opening.estimated_rows

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        try:
            with self._explained():
                yield from self._batches
        finally:
            self.close()

    def close(self) -> None:
        """Give handles back; safe to call twice."""
        self._stack.close()

    def _format(self) -> Format:
        if self._compression == "zip":
            archive = Archive(self.place.path, self._root.open_read(self.place.path))
            try:
                self._member = self._member or only_member(archive)
            finally:
                archive.close()
            name = self._options.format or format_of(self._member) or format_of(self.place.path)
            return FORMATS[name] if name else format_for(self._member, self._options)
        found = format_for(self.place.path, self._options)
        if self._compression and not found.is_text:
            raise UsageError(f"{self.place.name}: {found.title} files compress inside", hint="unpack it first")
        return found

    def _open(self) -> IO[bytes]:
        """The content: unpacked, and text as UTF-8."""
        name, raw = self.place.name, self._root.open_read(self.place.path)
        if self._compression == "zip":
            content: Any = Archive(self.place.path, raw).open(str(self._member), self._options)
            if not self.format.is_text:
                return spooled(content)
        else:
            content = expanded(name, raw, self._compression, self._options) if self._compression else raw
        return as_utf8(name, content, self._options.encoding) if self.format.is_text else content

    def _explained(self) -> Any:
        return explained(self.place.name)


class explained:  # noqa: N801  # used as a context manager only
    """Turns what Arrow and the file system raise into our errors."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._translated = translated(name)

    def __enter__(self) -> None:
        self._translated.__enter__()

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> bool | None:
        # Arrow says damage in an OSError, too, but with no number of the system's.
        is_arrow_word = type(error) is OSError and error.errno is None
        if error is not None and (is_arrow_word or isinstance(error, pa.ArrowException)):
            raise damaged(self._name, error) from error
        return self._translated.__exit__(kind, error, trace)


def require_unchanged(root: Root, path: str, before: Facts) -> None:
    """Hold a file that was read to its end against what it was before.

    Raises:
        StoreBusy: it changed in the meantime.
    """
    try:
        after = root.facts(path)
    except StreamUnknown:
        return  # gone since
    if after != before:
        raise StoreBusy(f"{path} changed while it was read", hint="write files aside and rename them when complete")


def damaged(name: str, error: BaseException) -> SchemaConflict:
    """A file that does not hold what its format asks for."""
    said = (str(error).splitlines() or [type(error).__name__])[0][:300]
    return SchemaConflict(f"{name}: {said}", hint="the file is damaged, or of another format than its ending says")
