"""The load of a collection: compare with what stands, embed only what must be, write in sized requests.

Every request is idempotent by point id, so a killed load is simply written again; points that stand as they should
cost one read. A replace writes a collection of its own behind an alias.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from data_workbench.connectors.base import Progress, Writer
from data_workbench.connectors.operations import Operations, split_operations
from data_workbench.connectors.qdrant.client import REQUEST_BYTES, Qdrant, Record
from data_workbench.connectors.qdrant.collections import create, switch
from data_workbench.connectors.qdrant.points import Points, make_points
from data_workbench.errors import SchemaConflict
from data_workbench.events import emit
from data_workbench.mapping.payload_floats import kept
from data_workbench.mapping.point_ids import PointId, point_ids
from data_workbench.records import marks
from data_workbench.records.accounting import WriteCounts

if TYPE_CHECKING:
    from data_workbench.embedding import Embedder
    from data_workbench.mapping.targets import CollectionTarget, LoadContext

CHUNK_ROWS = 1000
CHUNK_BYTES = 32 * 1024**2
_SAME_VECTOR = 1e-5
_NUMBER_BYTES = 22  # of a float32 written as a JSON double


class Switch:
    """What a replace does at its end: the alias, what it stood for, and the collection written."""

    def __init__(self, alias: str, physical: str, old: str | None) -> None:
        self.alias, self.physical, self.old = alias, physical, old


class QdrantWriter(Writer):
    """Writes one collection.

    Args:
        collection: where points go: the target's, or the one a replace makes.
        size: of its vectors; None until the first vectors tell, the collection is made then.
        embedder: for an `embed` target.
        switch_at_end: for a replace.
    """

    def __init__(
        self,
        store: Qdrant,
        target: CollectionTarget,
        context: LoadContext,
        *,
        collection: str,
        size: int | None,
        is_there: bool,
        embedder: Embedder | None,
        switch_at_end: Switch | None,
    ) -> None:
        self._store, self._target, self._context = store, target, context
        self._collection, self._size, self._is_there = collection, size, is_there
        self._embedder, self._switch = embedder, switch_at_end
        self.progress = Progress()
        self.rejections = []

    def write(self, part: pa.Table, index: int) -> WriteCounts:
        facts = {"destination": self._context.destination, "target": self._target.name, "part": index}
        emit("load.before_commit", **facts)
        asked = split_operations(part)
        counts = WriteCounts(out=asked.upserts.num_rows + asked.tombstones.num_rows)
        for number, rows in enumerate(_chunks(asked.upserts)):
            counts.add(self._upsert(rows, f"{index}/{number}"))
        self._remove(asked, counts)
        self.progress.parts = index + 1
        self.progress.counts.add(counts)
        emit("load.after_commit", **facts)
        return counts

    def finish(self) -> WriteCounts:
        if self._switch is not None and self._is_there:
            facts = {"destination": self._context.destination, "target": self._target.name, "part": None}
            emit("load.before_commit", **facts)
            switch(self._store, self._switch.alias, self._switch.physical, self._switch.old)
            emit("load.after_commit", **facts)
        self.progress.finished = True
        return self.progress.counts

    # ---------------------------------------------------------------------------------------------- upserts

    def _upsert(self, rows: pa.Table, place: str) -> WriteCounts:
        context = self._context
        origin = f"{context.pipeline}/{context.destination}/{context.run_id}/{context.target_index}/{place}"
        points = make_points(rows, self._target, context, size=self._size, origin=origin)
        self.rejections += points.rejections
        counts = WriteCounts(rejected=len(points.rejections))
        if not points.ids:
            return counts
        self._make_collection(points)
        if self._target.write != "merge":
            self._write(points, range(len(points.ids)))
            counts.inserted = len(points.ids)
            return counts
        found = self._standing(points.ids)
        whole, payload_only = self._differing(points, found)
        self._write(points, whole)
        self._write_payloads(points, payload_only)
        changed = len(whole) + len(payload_only)
        counts.inserted = sum(point not in found for point in points.ids)
        counts.updated = changed - counts.inserted
        counts.unchanged = len(points.ids) - changed
        return counts

    def _make_collection(self, points: Points) -> None:
        if self._is_there:
            return
        if self._size is None and points.vectors is not None:
            self._size = points.vectors.shape[1]
        if self._size is not None:
            create(self._store, self._collection, self._size)
            self._is_there = True

    def _standing(self, ids: list[PointId]) -> dict[PointId, Record]:
        vectors = self._target.vector is not None
        found = self._store.retrieve(self._collection, ids, vectors=vectors)
        return {one.id: one for one in found}

    def _differing(self, points: Points, found: dict[PointId, Record]) -> tuple[list[int], list[int]]:
        """Places of the points to write whole, and of those whose payload alone differs."""
        whole, payload_only = [], []
        for place, (point, payload) in enumerate(zip(points.ids, points.payloads, strict=True)):
            record = found.get(point)
            if record is None or not self._same_vector(record, payload, points, place):
                whole.append(place)
            elif _without_run(record.payload or {}) != _without_run(payload):
                payload_only.append(place)
        return whole, payload_only

    def _same_vector(self, record: Record, payload: dict[str, Any], points: Points, place: int) -> bool:
        standing = record.payload or {}
        if points.vectors is None:
            model = standing.get(marks.STAMP_MODEL)
            self._refuse_other_model(model)
            same_model = model == payload[marks.STAMP_MODEL]
            return same_model and standing.get(marks.STAMP_TEXT_HASH) == payload[marks.STAMP_TEXT_HASH]
        if not isinstance(record.vector, list):
            return False
        there, here = np.asarray(record.vector, np.float64), points.vectors[place].astype(np.float64)
        # A cosine collection gives back unit vectors: directions are compared.
        there, here = there / (np.linalg.norm(there) or 1.0), here / np.linalg.norm(here)
        return bool(np.abs(there - here).max() < _SAME_VECTOR)

    def _refuse_other_model(self, model: str | None) -> None:
        wanted = self._target.embed.model if self._target.embed else None
        if model not in (None, wanted) and not self._context.allows("model"):
            raise SchemaConflict(
                f"collection {self._target.collection!r} holds points of model {model!r}, "
                f"this load embeds with {wanted!r}",
                hint="allow it and embed all anew (`--allow model --full-refresh`), or write to another collection",
            )

    def _write(self, points: Points, places: range | list[int]) -> None:
        if not len(places):
            return
        if points.vectors is not None:
            vectors = points.vectors[list(places)]
        else:
            assert self._embedder is not None, "an embed target has an embedder"
            assert points.texts is not None, "and texts"
            vectors = self._embedder.embed([points.texts[place] for place in places])
        self._send_sized(points, list(places), vectors)

    def _send_sized(self, points: Points, places: list[int], vectors: np.ndarray) -> None:
        sizes = [vectors.shape[1] * _NUMBER_BYTES + _payload_bytes(points.payloads[place]) for place in places]
        for start, end in _requests(sizes):
            self._send(points, places[start:end], vectors[start:end])

    def _send(self, points: Points, places: list[int], vectors: np.ndarray) -> None:
        ids = [points.ids[place] for place in places]
        payloads = [points.payloads[place] for place in places]
        self._store.upsert(self._collection, ids, vectors.tolist(), payloads)

    def _write_payloads(self, points: Points, places: list[int]) -> None:
        """Write the points with the vectors they have: one request for many, where payloads alone are one each."""
        if not places:
            return
        ids = [points.ids[place] for place in places]
        found = self._store.retrieve(self._collection, ids, vectors=True, payload=False)
        vectors = {record.id: record.vector for record in found}
        there = [place for place in places if isinstance(vectors.get(points.ids[place]), list)]
        if there:
            self._send_sized(points, there, np.array([vectors[points.ids[place]] for place in there], np.float32))
        # Deleted by others in between: written as new.
        self._write(points, sorted(set(places) - set(there)))

    # ---------------------------------------------------------------------------------------------- deletes

    def _remove(self, asked: Operations, counts: WriteCounts) -> None:
        if self._target.write != "merge":
            counts.unchanged += asked.tombstones.num_rows
            return
        gone = self._delete(asked.tombstones)
        taken_back = self._delete(asked.retractions)
        counts.deleted += gone + taken_back
        counts.retracted += taken_back
        counts.unchanged += asked.tombstones.num_rows - gone

    def _delete(self, keys: pa.Table) -> int:
        if keys.num_rows == 0 or not self._is_there:
            return 0
        return delete_owned(self._store, self._collection, point_ids(keys, self._target.key), self._context.pipeline)


def delete_owned(store: Qdrant, collection: str, ids: list[PointId], pipeline: str) -> int:
    """Delete those of these points that the pipeline wrote; how many."""
    found = store.retrieve(collection, list(dict.fromkeys(ids)), payload=[marks.STAMP_PIPELINE])
    owned = [one.id for one in found if (one.payload or {}).get(marks.STAMP_PIPELINE) == pipeline]
    for start in range(0, len(owned), CHUNK_ROWS):
        store.delete_points(collection, owned[start : start + CHUNK_ROWS])
    return len(owned)


def _without_run(payload: dict[str, Any]) -> dict[str, Any]:
    """A payload for comparing: the run does not matter, an absent key is a null, and numbers are as exact as kept."""
    return {name: kept(value) for name, value in payload.items() if value is not None and name != marks.STAMP_RUN}


def _payload_bytes(payload: dict[str, Any]) -> int:
    return len(json.dumps(payload, ensure_ascii=False)) + 64


def _requests(sizes: list[int]) -> Iterator[tuple[int, int]]:
    """Ranges of points that fit into one request each."""
    start, total = 0, 0
    for place, size in enumerate(sizes):
        if place > start and (total + size > REQUEST_BYTES or place - start >= CHUNK_ROWS):
            yield start, place
            start, total = place, 0
        total += size
    if sizes:
        yield start, len(sizes)


def _chunks(rows: pa.Table) -> Iterator[pa.Table]:
    if rows.num_rows == 0:
        return
    step = max(1, min(CHUNK_ROWS, int(CHUNK_BYTES / max(rows.nbytes / rows.num_rows, 1))))
    for start in range(0, rows.num_rows, step):
        yield rows.slice(start, step)
