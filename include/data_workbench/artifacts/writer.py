"""Writing an artifact: rows are cut into parts here, and encoded by `encoder.py` beside the reading."""

from __future__ import annotations

from dataclasses import replace
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self

import pyarrow as pa

from data_workbench.artifacts.encoder import Encoder, Limits
from data_workbench.artifacts.manifest import Manifest, Part
from data_workbench.artifacts.takeover import Takeover
from data_workbench.errors import SchemaConflict, StateError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Lane:
    """One order of rows within an artifact, encoded by threads of its own."""

    def __init__(self, manifest: Manifest, limits: Limits, guard: Callable[[], None], prefix: str = "") -> None:
        self._draft = manifest
        self._limits = limits
        self._pending: list[pa.RecordBatch] = []
        self._pending_rows = 0
        self._pending_bytes = 0
        self._encoder = Encoder(manifest, limits, guard, prefix)

    def write(self, batch: pa.RecordBatch | pa.Table) -> None:
        """Add rows.

        Raises:
            SchemaConflict: the batch has another schema.
            ResourceExhausted: the disk is nearly full.
        """
        if not batch.schema.equals(self._draft.schema, check_metadata=False):
            raise SchemaConflict(
                f"artifact {self._draft.name!r} has columns {_told(self._draft.schema)}, "
                f"a batch came with {_told(batch.schema)}",
                hint="this is a defect of a step or connector: report it",
                run_id=self._draft.run_id,
            )
        for piece in batch.to_batches() if isinstance(batch, pa.Table) else [batch]:
            self._add(piece)

    def finish(self) -> list[Part]:
        """Write what is left; the parts, in order."""
        self._flush()
        return self._encoder.finish()

    def abandon(self) -> None:
        """Stop encoding; safe to call twice and after `finish`."""
        self._encoder.abandon()

    def _add(self, batch: pa.RecordBatch) -> None:
        start = 0
        while start < batch.num_rows:
            piece = batch.slice(start, self._limits.part_rows - self._pending_rows)
            start += piece.num_rows
            self._pending.append(piece)
            self._pending_rows += piece.num_rows
            self._pending_bytes += piece.nbytes
            # A part is read back as one table: wide rows cut it before part_rows does.
            if self._pending_rows >= self._limits.part_rows or self._pending_bytes >= self._limits.part_bytes:
                self._flush()

    def _flush(self) -> None:
        if self._pending:
            self._encoder.put(pa.Table.from_batches(self._pending, schema=self._draft.schema))
        self._pending, self._pending_rows, self._pending_bytes = [], 0, 0


class ArtifactWriter:
    """Takes batches of one schema and leaves a finished artifact behind, or nothing.

        with store.begin(pipeline, run_id, name, schema) as writer:
            for batch in batches:
                writer.write(batch)
            manifest = writer.finish()

    Leaving the block without `finish` abandons it: the files stay unfinished, the next `begin` removes them.
    """

    def __init__(self, manifest: Manifest, token: str, limits: Limits, guard: Callable[[], None]) -> None:
        self._draft = manifest
        self._token = token
        self._limits = limits
        self._guard = guard
        self._adopted: list[Part] = []
        self._lanes: list[Lane] = []
        self._takeover = Takeover(manifest, limits, guard)
        self._last = Lane(manifest, limits, guard)

    def lane(self) -> Lane:
        """Another lane, whose rows stand after those of the lanes before it and before what `write` takes.

        Lanes are written by a thread each, at the same time.
        """
        lane = Lane(self._draft, self._limits, self._guard, f"lane-{len(self._lanes):03d}-")
        self._lanes.append(lane)
        return lane

    def adopt(self, other: Manifest, index: int) -> None:
        """Take a part, a whole file, of another finished artifact of the same run as it is; it stands before others."""
        part = other.parts[index]
        self._adopted.append(replace(part, of=part.of or other.name))

    @property
    def takes_files(self) -> bool:
        """Whether files can be taken over: they are read again from where they have been copied to."""
        return self._draft.place.local(self._draft.folder) is not None

    def take(self, stream: IO[bytes], seen: Callable[[pa.RecordBatch], None]) -> None:
        """Take over a Parquet file of the artifact's schema as it is; its rows stand before what `write` takes.

        Args:
            stream: its bytes.
            seen: is told each batch, once it has been found sound.

        Raises:
            pyarrow.ArrowInvalid, OSError: the file is damaged.
            ResourceExhausted: the disk is nearly full.
            StateError: it cannot be written.
        """
        self._takeover.take(stream, seen)

    def write(self, batch: pa.RecordBatch | pa.Table) -> None:
        """Add rows.

        Raises:
            SchemaConflict: the batch has another schema.
            ResourceExhausted: the disk is nearly full.
        """
        self._last.write(batch)

    def finish(self, extra: Mapping[str, Any] | None = None) -> Manifest:
        """Write what is left, then the manifest: from then on the artifact exists.

        Args:
            extra: kept in the manifest beside the content; JSON values only.

        Raises:
            StateError: another process has begun the same artifact in the meantime.
        """
        parts = [part for one in self._in_order() for part in one.finish()]
        manifest = Manifest(
            pipeline=self._draft.pipeline,
            run_id=self._draft.run_id,
            name=self._draft.name,
            parts=(*self._adopted, *parts),
            schema=self._draft.schema,
            place=self._draft.place,
            extra=dict(extra or {}),
        )
        place, folder = manifest.place, manifest.folder
        if place.read(f"{folder}/writer") != self._token.encode():
            raise StateError(
                f"artifact {manifest.address} was begun again by another process while this one wrote it",
                hint="nothing was published by this process; look at the other one's log",
                run_id=manifest.run_id,
            )
        place.publish(f"{folder}/manifest.json", manifest.to_json().encode())
        return manifest

    def abandon(self) -> None:
        """Stop encoding; safe to call twice and after `finish`."""
        for one in self._in_order():
            one.abandon()

    def _in_order(self) -> list[Lane | Takeover]:
        return [*self._lanes, self._takeover, self._last]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abandon()


def _told(schema: pa.Schema) -> str:
    return ", ".join(f"{item.name} {item.type}" for item in schema)
