"""Files as streams: one file, a glob, or a folder that the workbench wrote."""

from __future__ import annotations

import fnmatch
import posixpath
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from data_workbench.connectors.base import (
    CanTellVitals,
    Health,
    Reading,
    ReadRequest,
    Rejection,
    Source,
    SourceCapabilities,
    Stream,
    Vital,
)
from data_workbench.connectors.files.client import Root
from data_workbench.connectors.files.folder import current_parts
from data_workbench.connectors.files.formats import ENDINGS, FileOptions, options_of, shape_of
from data_workbench.connectors.files.reading import FileReader
from data_workbench.connectors.selection import Selection, bounded
from data_workbench.errors import SchemaConflict, StreamUnknown, WorkbenchError

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connection
    from data_workbench.settings import Settings

_MAGIC = frozenset("*?[")


class FilesSource(Source, CanTellVitals):
    """Reads Parquet, CSV, JSONL and Arrow below the connection's root. A cursor filters what was read."""

    capabilities = SourceCapabilities(cursor=True)

    def __init__(self, connection: Connection, settings: Settings) -> None:
        super().__init__(connection, settings)
        self._root = Root(connection, settings)

    def check(self) -> Health:
        try:
            there = self._root.is_folder("")
        except WorkbenchError as error:
            return Health(ok=False, detail=error.message)
        url = self._root.config.url
        return Health(ok=there, detail=url if there else f"no folder {url}")

    def vitals(self) -> list[Vital]:
        """Room left and rights of a local folder; an object store tells neither."""
        free = self._root.free_bytes
        if free is None:
            return []
        least = self.settings.min_free_disk
        trouble = (
            None if free >= least else f"{free / 1e9:.1f} GB left: free some disk (runs stop below {least / 1e9:.1f})"
        )
        return [Vital("can write", self._root.is_writable), Vital("room left", float(free), "bytes", trouble)]

    def discover(self, pattern: str | None = None) -> list[Stream]:
        """Every file of a known format, two folders deep at most a thousand; those that cannot be read are left out."""
        streams = []
        for path in self._listed(pattern or "*"):
            try:
                streams.append(self.describe(path))
            except WorkbenchError:
                continue  # a damaged file is no reason to hide the others; reading it by name says what is wrong
        return streams

    def describe(self, stream: str, options: Mapping[str, Any] | None = None) -> Stream:
        chosen = options_of(options)
        paths = self._paths(stream)
        reader = FileReader(self._root, paths[0], chosen, self.settings)
        reader.close()
        total = reader.estimated_rows
        for path in paths[1:]:
            other = FileReader(self._root, path, chosen, self.settings) if total is not None else None
            if other is not None:
                other.close()
                total = None if total is None or other.estimated_rows is None else total + other.estimated_rows
        return Stream(name=stream, schema=reader.schema, estimated_rows=total, kind="file")

    def read(self, request: ReadRequest) -> Reading:
        return FilesReading(self._root, self._paths(request.stream), request, self.settings)

    def _paths(self, stream: str) -> list[str]:
        """The files a stream's name stands for.

        Raises:
            StreamUnknown: none, with near names.
        """
        if _MAGIC & set(stream) and not self._root.exists(stream):
            found = self._root.glob(stream)
        elif self._root.is_folder(stream):
            found = current_parts(self._root, stream)
        else:
            found = [stream] if self._root.exists(stream) else []
        if not found:
            near = get_close_matches(stream, self._listed("*"), n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(near)}?" if near else f"look below {self._root.config.url}"
            raise StreamUnknown(f"no file {stream!r} in connection {self.connection.id!r}", hint=hint)
        return found

    def _listed(self, pattern: str) -> list[str]:
        found = [path for depth in ("*", "*/*", "*/*/*") for path in self._root.glob(depth)]
        known = [path for path in found if any(ending in posixpath.basename(path).lower() for ending in ENDINGS)]
        return [path for path in sorted(known) if fnmatch.fnmatchcase(path, pattern)][:1000]


def shared_schema(root: Root, paths: list[str], options: FileOptions, settings: Settings) -> pa.Schema:
    """The schema of several files: of Parquet and Arrow all columns of all files, otherwise that of the first.

    Raises:
        SchemaConflict: a column has types that have no common one.
    """
    first = FileReader(root, paths[0], options, settings)
    first.close()
    if shape_of(paths[0], options).format not in ("parquet", "arrow"):
        return first.schema
    schemas = [first.schema]
    for path in paths[1:]:
        other = FileReader(root, path, options, settings)
        other.close()
        if not other.schema.equals(schemas[-1]):
            schemas.append(other.schema)
    try:
        return pa.unify_schemas(schemas, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise SchemaConflict(
            f"{paths[0]} and its neighbours do not fit together: {str(error).splitlines()[0][:200]}",
            hint="read files of different shape as different sources",
        ) from error


class FilesReading(Reading):
    """Files one after the other, all with one schema (see `shared_schema`).

    `rejections` grows while iterating: records of a CSV with too many or too few cells, lines of a JSONL that are no
    object. Their key is {"file", "record"} (the header is record 1; a quoted line break does not count) or
    {"file", "line"}. They are not among the rows.
    """

    def __init__(self, root: Root, paths: list[str], request: ReadRequest, settings: Settings) -> None:
        self._root, self._paths, self._settings = root, paths, settings
        self._options: FileOptions = options_of(request.options)
        self.rejections: list[Rejection] = []
        self._full = shared_schema(root, paths, self._options, settings)
        self._selection = Selection(request, self._full)
        self.schema = self._selection.schema
        self._reader: FileReader | None = None

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for path in self._paths:
            known = self._full if len(self._paths) > 1 and path != self._paths[0] and self._is_text(path) else None
            self._reader = FileReader(
                self._root,
                path,
                self._options,
                self._settings,
                schema=known,
                columns=self._selection.read_columns,
                rejections=self.rejections,
            )
            for batch in self._reader:
                chosen = self._selection.apply(self._fitted(batch, path))
                yield from bounded(chosen, rows=self._settings.batch_rows, size=self._settings.batch_bytes)
                if self._selection.exhausted:
                    self.close()
                    return

    def position(self) -> dict[str, Any] | None:
        return self._selection.position()

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()

    def _is_text(self, path: str) -> bool:
        return any(ending in path.lower() for ending in (".csv", ".tsv", ".txt")) or self._options.format == "csv"

    def _fitted(self, batch: pa.RecordBatch, path: str) -> pa.RecordBatch:
        """The batch in the schema of the first file; a column it lacks is null, one it adds is refused."""
        wanted = [self._full.field(name) for name in self._selection.read_columns]
        if batch.schema.names == [item.name for item in wanted] and batch.schema.types == [
            item.type for item in wanted
        ]:
            return batch
        added = [name for name in batch.schema.names if name not in self._full.names]
        if added:
            raise SchemaConflict(
                f"{path} has the column {added[0]!r}, which {self._paths[0]} has not",
                hint="read files of different shape as different sources",
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
                f"{path} does not have the types of {self._paths[0]}: {str(error).splitlines()[0][:200]}",
                hint="fix them with `options: {types: {…}}`",
            ) from error
        return pa.RecordBatch.from_arrays(columns, schema=pa.schema(wanted))
