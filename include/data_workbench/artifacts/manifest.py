"""The manifest: what makes a set of part files an artifact, and the way to read them."""

from __future__ import annotations

import base64
import builtins
import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from data_workbench.artifacts.places import Place
from data_workbench.errors import StateError

if TYPE_CHECKING:
    from pyarrow.dataset import Dataset
    from pyarrow.parquet import FileMetaData

FORMAT = 1
_BATCH_ROWS = 16_384
_BLOCK = 4 * 1024**2


@dataclass(frozen=True)
class Part:
    """Rows that are loaded at once: a Parquet file, or some rows of one that was taken over as it is.

    `bytes` and `crc32` are of the file as written, so damage is noticed before anything is decoded; `offset` counts the
    file's rows before the part. All rows of a file are in parts, which follow each other.
    """

    file: str
    rows: int
    bytes: int
    crc32: int
    offset: int = 0
    of: str | None = None
    """The artifact of the same run whose file it is, if not this one's."""

    def to_json(self) -> dict[str, Any]:
        """What stands in a manifest."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Manifest:
    """A finished artifact.

    `schema` keeps field metadata (the stores' own type names). An artifact without rows has no parts.
    `extra` is what the maker wants to keep with the content (a cursor position, counts), JSON values only.
    `checksum` names exactly these bytes: it covers the schema, every part and `extra`. For equality of content,
    whatever the order and the cut into parts, see `content_checksum`.
    """

    pipeline: str
    run_id: str
    name: str
    parts: tuple[Part, ...]
    schema: pa.Schema
    place: Place = field(compare=False, repr=False)
    extra: Mapping[str, Any] = field(default_factory=dict)
    _verified: set[str] = field(default_factory=set, compare=False, repr=False)

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.parts)

    @property
    def bytes(self) -> int:
        return sum(part.bytes for part in self.files)

    @property
    def files(self) -> list[Part]:
        """The first part of each file, in order."""
        return [part for part in self.parts if part.offset == 0]

    @property
    def checksum(self) -> str:
        digest = hashlib.sha256(self.schema.serialize())
        for part in self.parts:
            where = f",{part.offset}" if part.offset else ""
            digest.update(f"{part.rows},{part.bytes},{part.crc32}{where};".encode())
        if self.extra:
            digest.update(json.dumps(dict(self.extra), sort_keys=True).encode())
        return digest.hexdigest()

    @property
    def folder(self) -> str:
        """The artifact's folder within its place."""
        return f"{self.pipeline}/{self.run_id}/{self.name}"

    @property
    def address(self) -> str:
        """The artifact's absolute folder or URL: what XCom carries."""
        return self.place.address(self.folder)

    def path_of(self, part: Part) -> str:
        """A part's file within the place: in this artifact's folder, or in the one it was taken from."""
        return f"{self.pipeline}/{self.run_id}/{part.of or self.name}/{part.file}"

    def local_paths(self) -> list[Path] | None:
        """The files, for programs that read Parquet themselves; None where they are not on this machine."""
        paths = [self.place.local(self.path_of(part)) for part in self.files]
        return [path for path in paths if path is not None] if None not in paths else None

    # ------------------------------------------------------------------------------------------------ reading

    def tables(self, columns: Sequence[str] | None = None, *, first: int = 0) -> Iterator[pa.Table]:
        """One table for each part from `first` on, all columns or these, in this order.

        Raises:
            StateError: a file is missing or damaged.
        """
        import pyarrow.parquet as pq

        schema = self.select(columns)
        for _, group in groupby(self.parts[first:], key=self.path_of):
            parts = list(group)
            reader = pq.ParquetFile(pa.BufferReader(self._bytes_of(parts[0])))
            if parts[0].rows == reader.metadata.num_rows:
                yield _conform(reader.read(columns=_listed(columns)), schema)
                continue
            groups, before = _groups_from(reader.metadata, parts[0].offset)
            batches = reader.iter_batches(
                min(_BATCH_ROWS, max(part.rows for part in parts)), row_groups=groups, columns=_listed(columns)
            )
            cuts = _cut(batches, [before, *(part.rows for part in parts)])
            next(cuts)
            for cut in cuts:
                yield _conform(pa.Table.from_batches(cut), schema)

    def iter_batches(
        self, columns: Sequence[str] | None = None, batch_rows: int = _BATCH_ROWS
    ) -> Iterator[pa.RecordBatch]:
        """All rows in the order they were written, a batch of memory at a time."""
        import pyarrow.parquet as pq

        schema = self.select(columns)
        for _, group in groupby(self.parts, key=self.path_of):
            parts = list(group)
            reader = pq.ParquetFile(pa.BufferReader(self._bytes_of(parts[0])))
            rows = min(batch_rows, max(part.rows for part in parts))
            for batch in reader.iter_batches(batch_size=rows, columns=_listed(columns)):
                yield from _conform(pa.Table.from_batches([batch]), schema).to_batches()

    def reader(self, columns: Sequence[str] | None = None, batch_rows: int = _BATCH_ROWS) -> pa.RecordBatchReader:
        """`iter_batches` as Arrow's own stream, which can be read once."""
        return pa.RecordBatchReader.from_batches(self.select(columns), self.iter_batches(columns, batch_rows))

    def dataset(self) -> Dataset:
        """The parts as a pyarrow dataset, for engines that scan several times and push projections down.

        Verifies every file first, since such an engine would not.
        """
        from pyarrow import dataset

        if not self.parts:
            return dataset.dataset(self.schema.empty_table())
        for part in self.files:
            self._bytes_of(part)
        filesystem, base = self.place.arrow()
        files = [f"{base}/{self.path_of(part)}" for part in self.files]
        return dataset.dataset(files, schema=self.schema, format="parquet", filesystem=filesystem)

    def select(self, columns: Sequence[str] | None) -> pa.Schema:
        """The schema of these columns."""
        return self.schema if columns is None else pa.schema([self.schema.field(name) for name in columns])

    def verify(self) -> None:
        """Read every file's bytes. Raises StateError for the first that is missing or damaged."""
        self._verified.clear()
        for part in self.files:
            self._bytes_of(part)

    def copy_part(self, part: Part, folder: Path) -> Path:
        """Copy a part's file into a folder of this machine, a block of memory at a time.

        Raises:
            StateError: the file is missing or damaged; what was copied is not left there.
        """
        target = folder / "-".join([self.name, *([part.of] if part.of else []), part.file])
        size = crc32 = 0
        try:
            with self.place.open(self.path_of(part)) as stream, target.open("wb") as copy:
                while block := stream.read(_BLOCK):
                    size, crc32 = size + len(block), zlib.crc32(block, crc32)
                    copy.write(block)
        except FileNotFoundError as error:
            raise self._damaged(part, "is gone") from error
        if (size, crc32) != (part.bytes, part.crc32):
            target.unlink()
            raise self._damaged(part, "does not hold the bytes that were written")
        return target

    def _bytes_of(self, part: Part) -> pa.Buffer:
        path = self.path_of(part)
        try:
            content = self.place.map(path)
        except FileNotFoundError as error:
            raise self._damaged(part, "is gone") from error
        if content.size != part.bytes:
            raise self._damaged(part, f"has {content.size} bytes, not {part.bytes}")
        if path not in self._verified:  # once per process is enough for a file nobody may change
            if zlib.crc32(content) != part.crc32:
                raise self._damaged(part, "does not hold the bytes that were written")
            self._verified.add(path)
        return content

    def _damaged(self, part: Part, what: str) -> StateError:
        return StateError(
            f"the staged file {self.place.address(self.path_of(part))} {what}",
            hint="it is not read; start a new run of this pipeline, and check the disk if nobody touched the file",
            run_id=self.run_id,
        )

    # ------------------------------------------------------------------------------------------------ as JSON

    def to_json(self) -> str:
        """What stands in `manifest.json`."""
        return json.dumps(
            {
                "format": FORMAT,
                "pipeline": self.pipeline,
                "run_id": self.run_id,
                "name": self.name,
                "rows": self.rows,
                "bytes": self.bytes,
                "parts": [part.to_json() for part in self.parts],
                "schema": base64.b64encode(self.schema.serialize()).decode(),
                "checksum": self.checksum,
                "extra": dict(self.extra),
            },
            indent=1,
        )

    @classmethod
    def from_json(cls, text: str | builtins.bytes, place: Place) -> Manifest:
        """The reverse of `to_json`.

        Raises:
            StateError: it is not a manifest, or not as it was written.
        """
        try:
            values = json.loads(text)
            manifest = cls(
                pipeline=values["pipeline"],
                run_id=values["run_id"],
                name=values["name"],
                parts=tuple(Part(**part) for part in values["parts"]),
                schema=pa.ipc.read_schema(pa.py_buffer(base64.b64decode(values["schema"]))),
                place=place,
                extra=values.get("extra") or {},
            )
            intact = values["format"] == FORMAT and values["checksum"] == manifest.checksum
        except (ValueError, KeyError, TypeError, OSError, RecursionError) as error:
            raise _unreadable(place, type(error).__name__) from error
        if not intact:
            raise _unreadable(place, "its checksum or format differs")
        return manifest


def _unreadable(place: Place, why: str) -> StateError:
    return StateError(
        f"a manifest below {place.root} is damaged ({why})", hint="start a new run of this pipeline; see its folder"
    )


def _listed(columns: Sequence[str] | None) -> list[str] | None:
    return None if columns is None else list(columns)


def _groups_from(footer: FileMetaData, row: int) -> tuple[list[int], int]:
    """The row groups from the one with this row on, and how many of their rows come before it."""
    first = 0
    while first < footer.num_row_groups - 1 and row >= footer.row_group(first).num_rows:
        row -= footer.row_group(first).num_rows
        first += 1
    return list(range(first, footer.num_row_groups)), row


def _cut(batches: Iterable[pa.RecordBatch], sizes: Iterable[int]) -> Iterator[list[pa.RecordBatch]]:
    """Cut a stream of rows into pieces of these numbers of rows."""
    coming = iter(batches)
    rest: pa.RecordBatch | None = None
    for size in sizes:
        taken: list[pa.RecordBatch] = []
        while size:
            if rest is None or rest.num_rows == 0:
                rest = next(coming)
            taken.append(rest.slice(0, size))
            rest = rest.slice(taken[-1].num_rows)
            size -= taken[-1].num_rows
        yield taken


def _conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with exactly this schema: Parquet has no timestamp in seconds, and adds metadata of its own."""
    chosen = table.select(schema.names)
    if chosen.schema.types == schema.types:
        return pa.Table.from_arrays(chosen.columns, schema=schema)
    return chosen.cast(schema)
