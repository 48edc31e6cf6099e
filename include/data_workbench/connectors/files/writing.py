"""Loads of a file or folder: everything is written aside, and one rename or one manifest lets it be seen.

A load that was killed begins again at its first part: nothing of it had been seen. A folder's manifest notes the load
that made it, so one that was killed after the switch is found finished.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from data_workbench.connectors.base import Progress, Writer
from data_workbench.connectors.files.encoding import open_encoder
from data_workbench.connectors.files.folder import Manifest, load_id, part_name, write_manifest
from data_workbench.connectors.files.standing import OLD, Standing
from data_workbench.connectors.operations import split_operations
from data_workbench.errors import SchemaConflict
from data_workbench.events import emit
from data_workbench.records.accounting import WriteCounts

if TYPE_CHECKING:
    from data_workbench.connectors.files.client import Publication, Root
    from data_workbench.mapping.targets import FileTarget, LoadContext


class Output:
    """Files written aside until `publish`: one file, or parts of a folder cut at `part_rows`."""

    def __init__(self, root: Root, target: FileTarget, schema: pa.Schema, context: LoadContext) -> None:
        self._root, self._target, self._schema, self._context = root, target, schema, context
        self._sealed: list[Publication] = []
        self._names: list[str] = []

    def write(self, tables: Iterator[pa.Table]) -> None:
        """Write one file of all tables."""
        publication = self.begin()
        encoder = open_encoder(self._target.format, publication.handle, self._schema)
        try:
            for table in tables:
                encoder.write(table)
        finally:
            encoder.close()
        publication.seal()

    def adopt(self, staged: Callable[[Publication], bool]) -> bool:
        """Let a staged file become the next file."""
        return staged(self.begin())

    def publish(self, manifest: Manifest | None, counts: WriteCounts) -> None:
        """Let everything be seen; for a folder with the parts that `manifest` keeps."""
        with committing(self._context, self._target, None):
            for publication in self._sealed:
                publication.publish()
            if manifest is not None:
                kept = [part for part in manifest.parts if part not in self._names]
                switched = Manifest([*kept, *self._names], [part for part in manifest.foreign if part in kept])
                write_manifest(self._root, self._target.path, switched, self._context, counts)
        self._sealed = []

    def discard(self) -> None:
        """Forget what was not published."""
        for publication in self._sealed:
            publication.discard()
        self._sealed = []

    def begin(self) -> Publication:
        """The next file: the only one, or the next part of a folder."""
        path = self._target.path
        if self._target.is_folder:
            name = part_name(self._context, len(self._names), self._target.format)
            self._names.append(name)
            path = posixpath.join(path, name)
        publication = self._root.publication(path, load_id(self._context))
        self._sealed.append(publication)
        return publication


@contextmanager
def committing(context: LoadContext, target: FileTarget, part: int | None) -> Iterator[None]:
    """Tell the moments before and after a commit; `part` is None for the one that publishes."""
    emit("load.before_commit", destination=context.destination, target=target.name, part=part)
    yield
    emit("load.after_commit", destination=context.destination, target=target.name, part=part)


class FilesWriter(Writer):
    """What append, replace and merge share.

    Args:
        manifest: of a folder as it stands; None for a file.
    """

    def __init__(
        self, root: Root, target: FileTarget, schema: pa.Schema, context: LoadContext, manifest: Manifest | None
    ) -> None:
        self._root, self._target, self._schema, self._context = root, target, schema, context
        self._manifest = manifest
        self._required = frozenset(schema.names)
        self._output = Output(root, target, schema, context)
        self.rejections = []
        done = manifest.counts_of(context) if manifest is not None else None
        self.progress = Progress(counts=done or WriteCounts(), finished=done is not None)
        self._counts = WriteCounts()

    def close(self) -> None:
        self._output.discard()

    def _shaped(self, part: pa.Table) -> pa.Table:
        absent = sorted(self._required - set(part.column_names))
        if absent:
            raise SchemaConflict(f"{self._target.path}: a part lacks the columns {', '.join(absent)}")
        for item in self._schema:
            if item.name not in part.column_names:
                part = part.append_column(item, pa.nulls(part.num_rows, item.type))
        try:
            return part.select(self._schema.names).cast(self._schema)
        except pa.ArrowInvalid as error:
            raise SchemaConflict(f"{self._target.path}: a part does not fit: {str(error)[:200]}") from error


class FreshWriter(FilesWriter):
    """Append and replace: rows are encoded as they come."""

    def __init__(
        self, root: Root, target: FileTarget, schema: pa.Schema, context: LoadContext, manifest: Manifest | None
    ) -> None:
        super().__init__(root, target, schema, context, manifest)
        self._rows = _OneFile(self._output.begin(), target.format, schema) if not target.is_folder else None

    def close(self) -> None:
        if self._rows is not None:
            self._rows.close()
        super().close()

    def write(self, part: pa.Table, index: int) -> WriteCounts:
        asked = split_operations(part)
        counts = asked.ignoring_deletes()
        if self.progress.finished:
            return counts
        rows = self._shaped(asked.upserts)
        with committing(self._context, self._target, index):
            if self._rows is not None:
                self._rows.write(rows)
            else:
                self._output.write(iter([rows]))
        self._counts.add(counts)
        return counts

    def finish(self) -> WriteCounts:
        if self.progress.finished:
            return self.progress.counts
        if self._rows is not None:
            self._rows.close()
        old = self._manifest.parts if self._manifest else []
        if self._manifest is not None and self._target.write == "replace":
            if self._counts.inserted == 0:
                self._output.write(iter([self._schema.empty_table()]))
            self._manifest = Manifest()
        self._output.publish(self._manifest, self._counts)
        remove_parts(self._root, self._target, old if self._target.write == "replace" else [], self._context)
        self.progress = Progress(counts=self._counts, finished=True)
        return self._counts


class _OneFile:
    """The one file of a load, open until the last part."""

    def __init__(self, publication: Publication, kind: str, schema: pa.Schema) -> None:
        self._publication = publication
        self._is_open = True
        self._encoder = open_encoder(kind, publication.handle, schema)

    def write(self, rows: pa.Table) -> None:
        self._encoder.write(rows)

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._encoder.close()
            self._publication.seal()


def remove_parts(root: Root, target: FileTarget, old: list[str], context: LoadContext) -> None:
    """Delete parts that are no longer named; those of this very load have just been written again."""
    for part in old:
        if load_id(context) not in part:
            root.remove(posixpath.join(target.path, part))


class MergeWriter(FilesWriter):
    """Merge by key: parts are compared with what stands, and the file or folder is rewritten once at the end.

    Args:
        standing_rows: reads the rows as they stand, with `schema`.
        required: columns a part must have; the others of `schema` only older rows know.
    """

    def __init__(
        self,
        root: Root,
        target: FileTarget,
        schema: pa.Schema,
        context: LoadContext,
        manifest: Manifest | None,
        standing: Standing,
        standing_rows: Callable[[], Iterator[pa.RecordBatch]],
        required: frozenset[str],
    ) -> None:
        super().__init__(root, target, schema, context, manifest)
        self._required = required
        self._standing, self._old_rows = standing, standing_rows
        self._parts: list[int] = []
        if not self.progress.finished:
            standing.load(standing_rows())

    def write(self, part: pa.Table, index: int) -> WriteCounts:
        asked = split_operations(part)
        if self.progress.finished:
            return WriteCounts()
        counts, fresh = self._standing.merge(asked, index)
        with committing(self._context, self._target, index):
            if fresh.num_rows:
                import pyarrow.feather as feather

                feather.write_feather(self._shaped(fresh), str(self._aside(index)), compression="lz4")
                self._parts.append(index)
        self._counts.add(counts)
        return counts

    def finish(self) -> WriteCounts:
        if self.progress.finished:
            return self.progress.counts
        exists = self._root.exists(self._target.path) and (self._manifest is None or bool(self._manifest.parts))
        if self._standing.changed or not exists:
            old = self._manifest.parts if self._manifest else []
            self._output.write(self._result())
            self._output.publish(Manifest() if self._manifest is not None else None, self._counts)
            remove_parts(self._root, self._target, old, self._context)
        self.progress = Progress(counts=self._counts, finished=True)
        return self._counts

    def close(self) -> None:
        super().close()
        self._standing.close()

    def _aside(self, index: int) -> Path:
        return self._standing.scratch / f"part-{index}.arrow"

    def _result(self) -> Iterator[pa.Table]:
        import pyarrow.ipc as ipc

        for batch in self._old_rows():
            yield pa.Table.from_batches([self._standing.current(batch, OLD)])
        for index in self._parts:
            with pa.memory_map(str(self._aside(index))) as handle:
                reader = ipc.open_file(handle)
                for number in range(reader.num_record_batches):
                    yield pa.Table.from_batches([self._standing.current(reader.get_batch(number), index)])
