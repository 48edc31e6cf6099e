"""Reading files: one, those a pattern names, members of archives, a folder of ours, sheets and lists in files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from data_workbench.connectors.base import (
    Health,
    Reading,
    ReadRequest,
    Source,
    SourceCapabilities,
    Stream,
    Vital,
)
from data_workbench.connectors.files.changes import FILE, MODIFIED, Changes
from data_workbench.connectors.files.client import MAGIC, Root
from data_workbench.connectors.files.formats.opening import Rejections
from data_workbench.connectors.files.formats.table import format_of
from data_workbench.connectors.files.inventory import SCHEMA as INVENTORY
from data_workbench.connectors.files.inventory import Inventory
from data_workbench.connectors.files.options import FileOptions, options_of
from data_workbench.connectors.files.reading import FileReader, require_unchanged
from data_workbench.connectors.files.streams import SEPARATOR, Place, listed, places_of
from data_workbench.connectors.files.whole import ParquetFile, whole_files
from data_workbench.connectors.powers import CanGiveFiles, CanTellVitals
from data_workbench.connectors.selection import Selection, bounded
from data_workbench.errors import SchemaConflict, StoreBusy, StreamUnknown, WorkbenchError
from data_workbench.records.names import near_names

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connection
    from data_workbench.settings import Settings

_ADDED = (pa.field(FILE, pa.string()), pa.field(MODIFIED, pa.timestamp("us", "UTC")))


class FilesSource(Source, CanTellVitals, CanGiveFiles):
    """Reads the formats of `formats/table.py` below the connection's root. A cursor filters what was read; one on
    `_file_modified` leaves out files that have not changed."""

    capabilities = SourceCapabilities(cursor=True)

    def __init__(self, connection: Connection, settings: Settings) -> None:
        super().__init__(connection, settings)
        self._root = Root(connection, settings)

    def check(self) -> Health:
        url = self._root.config.url
        try:
            there = self._root.is_folder("")
        except StreamUnknown:
            there = False
        except WorkbenchError as error:
            return Health(ok=False, detail=error.message)
        if not there and self._root.config.driver.name == "http":
            return Health(ok=True, detail=f"{url} answers, and lists no files")
        return Health(ok=there, detail=url if there else f"no folder {url}")

    def vitals(self) -> list[Vital]:
        """Room left and rights of a local folder; a remote store tells neither beforehand."""
        free = self._root.free_bytes
        if free is None:
            return [] if self._root.config.driver.publishes else [Vital("can write", False)]
        least = self.settings.min_free_disk
        trouble = (
            None if free >= least else f"{free / 1e9:.1f} GB left: free some disk (runs stop below {least / 1e9:.1f})"
        )
        return [Vital("can write", self._root.is_writable), Vital("room left", float(free), "bytes", trouble)]

    def discover(self, pattern: str | None = None) -> list[Stream]:
        """Every file of a known format and every sheet, three folders deep, at most a thousand; those that cannot be
        read are left out."""
        streams = []
        for path in listed(self._root, pattern or "*"):
            for name in self._parts(path):
                try:
                    streams.append(self.describe(name))
                except WorkbenchError:
                    continue  # a damaged file is no reason to hide the others; reading it by name says what is wrong
        return streams

    def describe(self, stream: str, options: Mapping[str, Any] | None = None) -> Stream:
        chosen = options_of(options)
        if chosen.inventory:
            return Stream(name=stream, schema=INVENTORY, key=("path",), unique=(("path",),), kind="inventory")
        places = self._places(stream, chosen)
        readers = [self._closed(places[0], chosen)]
        schema, total = _with_file(readers[0].schema, chosen), readers[0].estimated_rows
        for place in places[1:]:
            if total is None:
                break
            rows = self._closed(place, chosen).estimated_rows
            total = None if rows is None else total + rows
        return Stream(name=stream, schema=schema, estimated_rows=total, kind="file")

    def read(self, request: ReadRequest) -> Reading:
        options = options_of(request.options)
        if options.inventory:
            return Inventory(self._root, request)
        return FilesReading(self._root, self._places(request.stream, options), request, options, self.settings)

    def whole_files(self, request: ReadRequest, schema: pa.Schema) -> list[ParquetFile] | None:
        options = options_of(request.options)
        if options.inventory:
            return None
        return whole_files(self._root, self._places(request.stream, options), request, options, schema)

    def _places(self, stream: str, options: FileOptions) -> list[Place]:
        return places_of(self._root, stream, options, owner=self.connection.id)

    def _closed(self, place: Place, options: FileOptions) -> FileReader:
        reader = FileReader(self._root, place, options, self.settings)
        reader.close()
        return reader

    def _parts(self, path: str) -> list[str]:
        """The path, or its sheets if it has several."""
        if format_of(path) != "excel":
            return [path]
        from contextlib import ExitStack

        from data_workbench.connectors.files.formats.excel import sheets
        from data_workbench.connectors.files.formats.opening import Opening

        with ExitStack() as stack:
            opening = Opening(
                path, lambda: self._root.open_read(path), FileOptions(), self.settings, stack, self._root.local(path)
            )
            try:
                names = sheets(opening)
            except WorkbenchError:
                return []
        return [f"{path}{SEPARATOR}{name}" for name in names] if len(names) > 1 else [path]


def _with_file(schema: pa.Schema, options: FileOptions) -> pa.Schema:
    if options.changes is None:
        return schema
    for item in _ADDED:
        if item.name in schema.names:
            raise SchemaConflict(
                f"the files have a column {item.name!r}, which `changes` adds", hint="leave `changes` out"
            )
        schema = schema.append(item)
    return schema


def shared_schema(root: Root, places: list[Place], options: FileOptions, settings: Settings) -> pa.Schema:
    """The schema of several files: of formats that tell their types all columns of all, otherwise that of the first.

    Raises:
        SchemaConflict: a column has types that have no common one.
    """
    first = FileReader(root, places[0], options, settings)
    first.close()
    if not first.format.is_typed:
        return first.schema
    schemas = [first.schema]
    for place in places[1:]:
        other = FileReader(root, place, options, settings)
        other.close()
        if not other.schema.equals(schemas[-1]):
            schemas.append(other.schema)
    try:
        return pa.unify_schemas(schemas, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise SchemaConflict(
            f"{places[0].name} and its neighbours do not fit together: {str(error).splitlines()[0][:200]}",
            hint="read files of different shape as different sources",
        ) from error


class FilesReading(Reading):
    """Files one after the other, all with one schema (see `shared_schema`).

    `rejections` grows while iterating: records of a CSV with too many or too few cells, lines of a JSONL that are no
    object, rows of a sheet with an error. Their key is {"file", "record" | "line" | "row"}; the header of a CSV is
    record 1, and a quoted line break does not count. They are not among the rows.
    """

    def __init__(
        self, root: Root, places: list[Place], request: ReadRequest, options: FileOptions, settings: Settings
    ) -> None:
        self._root, self._settings, self._options = root, settings, options
        self._is_pattern = len(places) > 1 or bool(MAGIC & set(request.stream))
        self.rejections = self._rejected = Rejections(options.max_rejected)
        self._changes: Changes | None = None
        self._places, first = places, places[0]
        cursor = request.cursor
        self._by_file = cursor is not None and cursor.column == MODIFIED and options.changes is not None
        if options.changes is not None:
            state = cursor.state if cursor is not None and self._by_file else None
            self._changes = Changes(root, options.changes, state, request.now)
            self._places = self._changes.fresh(places)
            request = replace(request, cursor=None) if self._by_file else request
        self._first = first
        chosen = self._places if first in self._places else [first, *self._places]
        self._inner = shared_schema(root, chosen, options, settings)
        self._full = _with_file(self._inner, options)
        self._selection = Selection(request, self._full)
        self.schema = self._selection.schema
        self._reader: FileReader | None = None

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for place in self._places:
            try:
                yield from self._read(place)
            except StreamUnknown as error:
                if not self._is_pattern or self._is_there(place.path):
                    raise
                raise StoreBusy(
                    f"{place.path} vanished while the files were read", hint="it is found, or not, by the next try"
                ) from error
            if self._selection.exhausted:
                self.close()
                return

    def position(self) -> dict[str, Any] | None:
        if self._by_file and self._changes is not None:
            return self._changes.position()
        return self._selection.position()

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()

    def _read(self, place: Place) -> Iterator[pa.RecordBatch]:
        before = self._root.facts(place.path)
        names = [name for name in self._selection.read_columns if name in self._inner.names] or self._inner.names[:1]
        self._reader = FileReader(
            self._root,
            place,
            self._options,
            self._settings,
            schema=self._known(place),
            columns=names,
            rejections=self._rejected,
        )
        for batch in self._reader:
            chosen = self._selection.apply(self._located(self._fitted(batch, place, names), place))
            yield from bounded(chosen, rows=self._settings.batch_rows, size=self._settings.batch_bytes)
            if self._selection.exhausted:
                return
        require_unchanged(self._root, place.path, before)
        if self._changes is not None:
            self._changes.note(place.path)

    def _known(self, place: Place) -> pa.Schema | None:
        """Of several CSV files the first tells the types."""
        is_csv = (self._options.format or format_of(place.member or place.path)) == "csv"
        return self._inner if is_csv and place != self._first else None

    def _is_there(self, path: str) -> bool:
        return self._root.exists(path)

    def _located(self, batch: pa.RecordBatch, place: Place) -> pa.RecordBatch:
        """The batch with the columns that tell its file, as far as they are wanted."""
        if self._changes is None:
            return batch
        values = {FILE: place.name, MODIFIED: self._changes.version(place.path).modified}
        for item in _ADDED:
            if item.name in self._selection.read_columns:
                batch = batch.append_column(item, pa.repeat(pa.scalar(values[item.name], item.type), batch.num_rows))
        return batch

    def _fitted(self, batch: pa.RecordBatch, place: Place, names: list[str]) -> pa.RecordBatch:
        """The batch in the schema of the first file; a column it lacks is null, one it adds is refused."""
        wanted = [self._inner.field(name) for name in names]
        if batch.schema.names == names and batch.schema.types == [item.type for item in wanted]:
            return batch
        added = [name for name in batch.schema.names if name not in self._inner.names]
        if added:
            raise SchemaConflict(
                f"{place.name} has the column {added[0]!r}, which {self._first.name} has not",
                hint=near_names(added[0], self._inner.names) or "read files of different shape as different sources",
            )
        try:
            columns = [
                batch.column(item.name).cast(item.type)
                if item.name in batch.schema.names
                else pa.nulls(batch.num_rows, item.type)
                for item in wanted
            ]
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise SchemaConflict(
                f"{place.name} does not have the types of {self._first.name}: {str(error).splitlines()[0][:200]}",
                hint="fix them with `options: {types: {…}}`",
            ) from error
        return pa.RecordBatch.from_arrays(columns, schema=pa.schema(wanted))
