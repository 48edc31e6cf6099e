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
from data_workbench.connectors.files.failures import translated
from data_workbench.connectors.files.folder import Manifest, first_manifest, load_id, part_name, write_manifest
from data_workbench.connectors.files.formats.opening import Encoder, open_encoder
from data_workbench.connectors.files.formats.table import FORMATS, compression_of
from data_workbench.connectors.files.packing import packed
from data_workbench.connectors.files.publication import Publication
from data_workbench.connectors.files.standing import OLD, Standing
from data_workbench.connectors.operations import split_operations
from data_workbench.errors import SchemaConflict, Unsupported
from data_workbench.events import emit
from data_workbench.records.accounting import WriteCounts

if TYPE_CHECKING:
    from data_workbench.connectors.files.client import Root
    from data_workbench.mapping.targets import FileTarget, LoadContext


class Output:
    """Files written aside until `publish`: one file, or parts of a folder cut at `part_rows`."""

    def __init__(
        self,
        root: Root,
        target: FileTarget,
        schema: pa.Schema,
        context: LoadContext,
        taken: frozenset[str] = frozenset(),
    ) -> None:
        self._root, self._target, self._schema, self._context = root, target, schema, context
        self._taken = taken
        self._sealed: list[Publication] = []
        self._owners: dict[str, str] = {}

    def write(self, tables: Iterator[pa.Table], owner: str | None = None) -> None:
        """Write one file of all tables."""
        publication = self.begin(owner)
        content = Content(publication, self._target, self._schema)
        try:
            for table in tables:
                content.write(table)
        finally:
            content.close()

    def publish(self, kept: Manifest | None, counts: WriteCounts) -> None:
        """Let everything be seen; in a folder beside the parts that `kept` names."""
        with committing(self._context, self._target, None):
            if kept is not None and kept.content is None:
                kept = first_manifest(self._root, self._target.path, kept, self._context)
            for publication in self._sealed:
                publication.publish()
            if kept is not None:
                others = [part for part in kept.parts if part not in self._owners]
                owners = kept.keeping(others).owners | self._owners
                switched = Manifest([*others, *self._owners], owners, content=kept.content)
                write_manifest(self._root, self._target.path, switched, self._context, counts)
        self._sealed = []

    def discard(self) -> None:
        """Forget what was not published."""
        for publication in self._sealed:
            publication.discard()
        self._sealed = []

    def begin(self, owner: str | None = None) -> Publication:
        """The next file: the only one, or the next part of a folder with a name that is not taken."""
        path = self._target.path
        if self._target.is_folder:
            index = len(self._owners)
            ending = FORMATS[self._target.format].endings[0].lstrip(".")
            while (name := part_name(self._context, index, ending)) in {*self._taken, *self._owners}:
                index += 1
            self._owners[name] = owner or self._context.pipeline
            path = posixpath.join(path, name)
        publication = Publication(self._root, path, load_id(self._context))
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

    resumes = False

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
        self._rows = Content(self._output.begin(), target, schema) if not target.is_folder else None

    def close(self) -> None:
        if self._rows is not None:
            self._rows.close()
        super().close()

    def write(self, part: pa.Table, index: int) -> WriteCounts:
        asked = split_operations(part)
        counts = asked.ignoring_deletes()
        rows = self._shaped(asked.upserts)
        with committing(self._context, self._target, index):
            if self._rows is not None:
                self._rows.write(rows)
            else:
                self._output.write(iter([rows]))
        self._counts.add(counts)
        return counts

    def finish(self) -> WriteCounts:
        if self.progress.finished and self._counts == WriteCounts():
            return self.progress.counts
        if self._rows is not None:
            self._rows.close()
        old = self._manifest.parts if self._manifest else []
        if self._manifest is not None and self._target.write == "replace":
            if self._counts.inserted == 0:
                self._output.write(iter([self._schema.empty_table()]))
            self._manifest = Manifest(content=self._manifest.content)
        self._output.publish(self._manifest, self._counts)
        remove_parts(self._root, self._target, old if self._target.write == "replace" else [], self._context)
        self.progress = Progress(counts=self._counts, finished=True)
        return self._counts


class Content:
    """The rows of one file: encoded, compressed if its name says so, sealed by `close`."""

    def __init__(self, publication: Publication, target: FileTarget, schema: pa.Schema) -> None:
        self._publication, self._format = publication, target.format
        self._is_open = True
        compression = None if target.is_folder else compression_of(target.path)
        self._packed = packed(target.path, publication.handle, compression) if compression else None
        self._encoder: Encoder = open_encoder(target.format, self._packed or publication.handle, schema)

    def write(self, rows: pa.Table) -> None:
        """Add rows."""
        with translated(self._publication.path):
            try:
                self._encoder.write(rows)
            except pa.ArrowException as error:
                raise Unsupported(
                    f"{self._publication.path}: {FORMATS[self._format].title} cannot hold this: "
                    f"{(str(error).splitlines() or [''])[0][:200]}",
                    hint="cast the column in a step, or choose another format",
                ) from error

    def close(self) -> None:
        """Write what ends the file; safe to call twice."""
        if self._is_open:
            self._is_open = False
            with translated(self._publication.path):
                self._encoder.close()
                if self._packed is not None:
                    self._packed.close()
            self._publication.seal()


def remove_parts(root: Root, target: FileTarget, old: list[str], context: LoadContext) -> None:
    """Delete parts that are no longer named; those of this very load have just been written again."""
    for part in old:
        if load_id(context) not in part:
            root.remove(posixpath.join(target.path, part))


class Current:
    """A file that stands, and the pipeline it belongs to; `origin` is how `Standing` knows its rows."""

    def __init__(self, path: str, owner: str | None, origin: int) -> None:
        self.path, self.owner, self.origin = path, owner, origin


class MergeWriter(FilesWriter):
    """Merge by key: parts are compared with what stands, and what changed is rewritten once at the end.

    The pipeline's own rows become one file; files of other pipelines are rewritten only if a row of theirs went over.

    Args:
        files: what stands.
        rows_of: reads one of them, with `schema`.
        required: columns a part must have; the others of `schema` only older rows know.
    """

    def __init__(
        self,
        root: Root,
        target: FileTarget,
        schema: pa.Schema,
        context: LoadContext,
        manifest: Manifest | None,
        *,
        standing: Standing,
        files: list[Current],
        rows_of: Callable[[str], Iterator[pa.RecordBatch]],
        required: frozenset[str],
    ) -> None:
        super().__init__(root, target, schema, context, manifest)
        self._required = required
        self._standing, self._files, self._rows_of = standing, files, rows_of
        self._output = Output(root, target, schema, context, frozenset(manifest.parts) if manifest else frozenset())
        self._parts: list[int] = []
        self._is_loaded = False

    def write(self, part: pa.Table, index: int) -> WriteCounts:
        self._load()
        counts, fresh = self._standing.merge(split_operations(part), index)
        with committing(self._context, self._target, index):
            if fresh.num_rows:
                import pyarrow.feather as feather

                feather.write_feather(self._shaped(fresh), str(self._aside(index)), compression="lz4")
                self._parts.append(index)
        self._counts.add(counts)
        return counts

    def remove(self, keys: pa.Table) -> int:
        """Delete the pipeline's rows with these keys; how many there were."""
        self._load()
        return self._standing.delete(keys)

    def finish(self) -> WriteCounts:
        if not self._is_loaded and self.progress.finished:
            return self.progress.counts
        self._load()
        if self._standing.changed or not self._files:
            self._rewrite()
        self.progress = Progress(counts=self._counts, finished=True)
        return self._counts

    def close(self) -> None:
        super().close()
        self._standing.close()

    def _load(self) -> None:
        if not self._is_loaded:
            for file in self._files:
                self._standing.load(self._rows_of(file.path), file.origin)
            self._is_loaded = True

    def _rewrite(self) -> None:
        kept: list[str] = []
        self._output.write(self._own_rows())
        for file in self._files:
            if file.origin == OLD:
                continue
            if self._standing.is_untouched(file.origin):
                kept.append(posixpath.basename(file.path))
            else:
                self._output.write(self._current(file), file.owner)
        self._output.publish(self._manifest.keeping(kept) if self._manifest is not None else None, self._counts)
        old = self._manifest.parts if self._manifest is not None else []
        for part in old:
            if part not in kept:
                self._root.remove(posixpath.join(self._target.path, part))

    def _aside(self, index: int) -> Path:
        return self._standing.scratch / f"part-{index}.arrow"

    def _current(self, file: Current) -> Iterator[pa.Table]:
        for batch in self._rows_of(file.path):
            yield pa.Table.from_batches([self._standing.current(batch, file.origin)])

    def _own_rows(self) -> Iterator[pa.Table]:
        import pyarrow.ipc as ipc

        for file in self._files:
            if file.origin == OLD:
                yield from self._current(file)
        for index in self._parts:
            with pa.memory_map(str(self._aside(index))) as handle:
                reader = ipc.open_file(handle)
                for number in range(reader.num_record_batches):
                    yield pa.Table.from_batches([self._standing.current(reader.get_batch(number), index)])
