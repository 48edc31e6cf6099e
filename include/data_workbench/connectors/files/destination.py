"""Rows to files and folders: append, replace and merge, seen as a whole or not at all."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from data_workbench.connectors.base import Change, Destination, DestinationCapabilities, Health, Writer
from data_workbench.connectors.files.client import Root
from data_workbench.connectors.files.folder import Manifest, current_parts, read_manifest
from data_workbench.connectors.files.formats.table import FORMATS, compression_of
from data_workbench.connectors.files.options import FileOptions
from data_workbench.connectors.files.reading import FileReader
from data_workbench.connectors.files.standing import OLD, Standing
from data_workbench.connectors.files.streams import Place
from data_workbench.connectors.files.writing import Current, FreshWriter, MergeWriter, Output, remove_parts
from data_workbench.connectors.powers import CanAdoptParts, CanDelete, CanFindUnique, CanReadBack
from data_workbench.connectors.selection import semi_join
from data_workbench.errors import AccessDenied, Unsupported, WorkbenchError
from data_workbench.mapping.targets import FileTarget
from data_workbench.records import marks
from data_workbench.records.accounting import WriteCounts

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connection
    from data_workbench.mapping.targets import LoadContext, Target
    from data_workbench.settings import Settings

_APPEND_HINT = "write to a `folder:` (each run adds part files), or use `write: replace` or `merge`"
# One row may be as large as this when a CSV or JSONL of ours is read back.
_OWN_ROW_BYTES = 256 * 1024**2


class FilesDestination(Destination, CanReadBack, CanDelete, CanFindUnique, CanAdoptParts):
    """Writes below the connection's root.

    Files have no place for a stamp per row. A folder's manifest tells which pipeline wrote each part; all rows of a
    single file are the pipeline's that writes it.
    """

    capabilities = DestinationCapabilities(
        dispositions=frozenset({"append", "replace", "merge"}),
        targets=frozenset({"file"}),
        replace="manifest",
        deletes=True,
    )

    def __init__(self, connection: Connection, settings: Settings) -> None:
        super().__init__(connection, settings)
        self._root = Root(connection, settings)

    def check(self) -> Health:
        url = self._root.config.url
        try:
            there = self._root.is_folder("")
        except WorkbenchError as error:
            return Health(ok=False, detail=error.message)
        return Health(ok=True, detail=url if there else f"{url} will be created")

    def plan(self, target: Target, schema: pa.Schema) -> list[Change]:
        wanted = _file_target(target)
        problem = self._problem(wanted)
        if problem is not None:
            return [Change("refuse", wanted.path, problem.message)]
        if not self._root.exists(wanted.path):
            return [Change("create", wanted.path, f"{wanted.format}, {len(schema)} columns")]
        if wanted.write == "append":
            return [Change("none", wanted.path, "adds part files")]
        how = "manifest switch" if wanted.is_folder else "rename"
        if wanted.write == "replace":
            return [Change("replace", wanted.path, f"what stands there is replaced by {how}", "replace")]
        return [Change("none", wanted.path, f"{wanted.write} by {how}")]

    def open(self, target: Target, schema: pa.Schema, context: LoadContext) -> Writer:
        wanted = _file_target(target)
        problem = self._problem(wanted)
        if problem is not None:
            raise problem
        if wanted.write != "merge":
            return FreshWriter(self._root, wanted, schema, context, self._manifest(wanted))
        return self._merging(wanted, schema, context)

    def _merging(self, target: FileTarget, schema: pa.Schema, context: LoadContext) -> MergeWriter:
        manifest = self._manifest(target)
        written = self._with_older_columns(target, schema)
        standing = Standing(target.key, schema.names, self.settings)
        try:
            return MergeWriter(
                self._root,
                target,
                written,
                context,
                manifest,
                standing=standing,
                files=self._current(target, manifest, context),
                rows_of=lambda path: self._file_rows(path, target, written),
                required=frozenset(schema.names),
            )
        except BaseException:
            standing.close()
            raise

    def _current(self, target: FileTarget, manifest: Manifest | None, context: LoadContext) -> list[Current]:
        """What stands: one file is the pipeline's, a folder's parts are their writers'."""
        files = []
        for number, path in enumerate(self._paths(target)):
            owner = manifest.owners.get(posixpath.basename(path)) if manifest is not None else context.pipeline
            files.append(Current(path, owner, OLD if owner == context.pipeline else OLD - 1 - number))
        return files

    def adopt(
        self, target: Target, schema: pa.Schema, context: LoadContext, parts: Sequence[Path]
    ) -> WriteCounts | None:
        wanted = _file_target(target)
        adoptable = wanted.format == "parquet" and wanted.write != "merge" and self._root.config.is_local
        if not adoptable or not parts or (not wanted.is_folder and len(parts) > 1) or self._problem(wanted):
            return None
        footers = [pq.read_metadata(part) for part in parts]
        if not all(footer.schema.to_arrow_schema().equals(schema) for footer in footers):
            return None
        manifest = self._manifest(wanted)
        done = manifest.counts_of(context) if manifest is not None else None
        if done is not None:
            return done
        rows = sum(footer.num_rows for footer in footers)
        counts = WriteCounts(out=rows, inserted=rows)
        output = Output(self._root, wanted, schema, context)
        try:
            for part in parts:
                output.begin().adopt(Path(part))
            replaced = manifest.parts if manifest is not None and wanted.write == "replace" else []
            output.publish(_emptied(manifest) if replaced else manifest, counts)
        finally:
            output.discard()
        remove_parts(self._root, wanted, replaced, context)
        return counts

    def read_back(
        self,
        target: Target,
        schema: pa.Schema,
        context: LoadContext,
        keys: pa.Table | None,
    ) -> Iterator[pa.RecordBatch]:
        wanted = _file_target(target)
        matching = None if keys is None else keys.select(wanted.key).cast(_fields(schema, wanted.key))
        for file in self._current(wanted, self._manifest(wanted), context):
            owned = file.origin == OLD
            for batch in self._file_rows(file.path, wanted, schema):
                found = batch if matching is None else semi_join(batch, matching)
                if found.num_rows:
                    yield found.append_column(marks.OWNED, pa.array([owned] * found.num_rows, pa.bool_()))

    def delete(self, target: Target, schema: pa.Schema, context: LoadContext, keys: pa.Table) -> int:
        wanted = _file_target(target)
        manifest = self._manifest(wanted)
        if manifest is not None and manifest.foreign:
            raise _foreign(wanted, manifest)
        with self._merging(wanted, schema, context) as writer:
            gone = writer.remove(keys.select(wanted.key).cast(_fields(schema, wanted.key)))
            if gone:
                writer.finish()
            return gone

    def find_unique(self, target: Target, columns: tuple[str, ...], values: pa.Table) -> pa.Table:
        wanted = _file_target(target)
        names = list(dict.fromkeys([*wanted.key, *columns]))
        found: list[pa.RecordBatch] = []
        schema: pa.Schema | None = None
        for path in self._paths(wanted):
            reader = FileReader(self._root, Place(path), self._own_options(wanted), self.settings, columns=names)
            schema = pa.schema([reader.schema.field(name) for name in names])
            wished = values.select(list(columns)).cast(_fields(schema, columns))
            found += [semi_join(batch.select(names), wished) for batch in reader]
        if schema is None:
            return pa.table({name: pa.array([], pa.string()) for name in names})
        return pa.Table.from_batches(found, schema)

    def _problem(self, target: FileTarget) -> WorkbenchError | None:
        """Why a load of this target is refused, if it is."""
        self._root.check_writable()
        self._root.full(target.path)
        problem = _unwritable(target)
        if problem is not None:
            return problem
        if not target.is_folder:
            if target.write == "append":
                return Unsupported(f"{target.path!r}: append to one file is not possible at once", hint=_APPEND_HINT)
            return None
        if self._root.exists(target.path) and not self._root.is_folder(target.path):
            return AccessDenied(f"{target.path!r} is a file, a folder is wanted", hint="use `file:` or another name")
        manifest = self._manifest(target)
        if target.write != "append" and manifest is not None and manifest.foreign:
            return _foreign(target, manifest)
        return None

    def _manifest(self, target: FileTarget) -> Manifest | None:
        """The manifest of a folder, made of the files that lie there if it has none; None for a file."""
        if not target.is_folder:
            return None
        found = read_manifest(self._root, target.path)
        if found is None:
            there = [posixpath.basename(path) for path in self._paths(target)]
            found = Manifest(there)
        return found

    def _paths(self, target: FileTarget) -> list[str]:
        if not self._root.exists(target.path):
            return []
        return current_parts(self._root, target.path) if target.is_folder else [target.path]

    def _own_options(self, target: FileTarget) -> FileOptions:
        return FileOptions(
            format=target.format,  # type: ignore[arg-type]  # a target's format is one of the table's
            compression=_own_compression(target),
            encoding="utf-8",
            delimiter=",",
            nulls=[""],
            max_row_bytes=_OWN_ROW_BYTES,
            max_ratio=100_000,
            max_rejected=0,
        )

    def _file_rows(self, path: str, target: FileTarget, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """Rows of one file with `schema`; a column the file lacks is null."""
        for batch in FileReader(self._root, Place(path), self._own_options(target), self.settings, schema=schema):
            columns = [
                batch.column(item.name).cast(item.type)
                if item.name in batch.schema.names
                else pa.nulls(batch.num_rows, item.type)
                for item in schema
            ]
            yield pa.RecordBatch.from_arrays(columns, schema=schema)

    def _with_older_columns(self, target: FileTarget, schema: pa.Schema) -> pa.Schema:
        """The schema a merge writes: columns that only older rows have are kept."""
        older: dict[str, pa.Field] = {}
        for path in self._paths(target):
            reader = FileReader(self._root, Place(path), self._own_options(target), self.settings)
            reader.close()
            older |= {item.name: item for item in reader.schema if item.name not in schema.names}
        return pa.schema([*schema, *older.values()], schema.metadata)


def _file_target(target: Target) -> FileTarget:
    if not isinstance(target, FileTarget):
        raise Unsupported(f"a files connection takes `file` or `folder`, not a {target.kind}")
    return target


def _unwritable(target: FileTarget) -> WorkbenchError | None:
    """Why the format or the ending is not written, if so."""
    form, compression = FORMATS[target.format], compression_of(target.path)
    if not form.is_written:
        return Unsupported(f"{target.path!r}: {form.title} is read, not written", hint="choose another format")
    if target.is_folder or compression is None:
        return None
    if compression == "zip":
        return Unsupported(f"{target.path!r}: archives are read, not written", hint="end the name in .gz or .zst")
    if not form.is_text:
        return Unsupported(f"{target.path!r}: {form.title} files compress inside", hint="leave the last ending out")
    return None


def _own_compression(target: FileTarget) -> Any:
    return (None if target.is_folder else compression_of(target.path)) or "none"


def _emptied(manifest: Manifest | None) -> Manifest:
    return Manifest(content=manifest.content if manifest is not None else None)


def _fields(schema: pa.Schema, names: Sequence[str]) -> pa.Schema:
    return pa.schema([pa.field(name, schema.field(name).type) for name in names])


def _foreign(target: FileTarget, manifest: Manifest) -> AccessDenied:
    return AccessDenied(
        f"folder {target.path!r} holds files that the workbench did not write ({manifest.foreign[0]!r})",
        hint="write to an empty folder, or use `write: append`, which leaves them alone",
    )
