"""Parquet files that can be staged as they are: nothing is chosen, filtered or changed in them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from data_workbench.connectors.files.formats.parquet import is_as_we_write
from data_workbench.connectors.files.formats.table import format_of
from data_workbench.connectors.files.reading import explained, require_unchanged

if TYPE_CHECKING:
    import pyarrow as pa

    from data_workbench.connectors.base import ReadRequest
    from data_workbench.connectors.files.client import Root
    from data_workbench.connectors.files.options import FileOptions
    from data_workbench.connectors.files.streams import Place


@dataclass(frozen=True)
class ParquetFile:
    """One of them."""

    root: Root
    path: str

    @contextmanager
    def opened(self) -> Iterator[IO[bytes]]:
        """Its bytes; see `WholeFile`."""
        before = self.root.facts(self.path)
        with explained(self.path), closing(self.root.open_read(self.path)) as stream:
            yield stream
        require_unchanged(self.root, self.path, before)


def whole_files(
    root: Root, places: list[Place], request: ReadRequest, options: FileOptions, schema: pa.Schema
) -> list[ParquetFile] | None:
    """The files of these places if all rows of all of them are read as they are; otherwise None."""
    narrowed = (request.where, request.cursor, request.keys, request.limit, request.partition)
    if any(one is not None for one in narrowed) or list(request.columns or ()) != schema.names:
        return None
    if options.model_fields_set - {"format"}:
        return None
    if not all(_is_plain(place, options) and _fits(root, place, schema) for place in places):
        return None
    return [ParquetFile(root, place.path) for place in places]


def _is_plain(place: Place, options: FileOptions) -> bool:
    found = options.format or format_of(place.path)
    return place.member is None and place.part is None and found == "parquet"


def _fits(root: Root, place: Place, schema: pa.Schema) -> bool:
    with explained(place.path), closing(root.open_read(place.path)) as handle:
        return is_as_we_write(handle, schema)
