"""The points of rows in Qdrant: payload and vectors bit for bit, under the id that pipelines make of a row's key."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from data_workbench.archive.policy import VectorPart
from data_workbench.connectors.qdrant.client import Qdrant
from data_workbench.connectors.qdrant.half_precision import before_rounding
from data_workbench.connectors.qdrant.packing import packed, unpacked
from data_workbench.errors import Unsupported
from data_workbench.mapping.lossless_values import to_line

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connection
    from data_workbench.mapping.point_ids import PointId

PAGE = 256
Line = dict[str, Any]


class EntityPoints:
    """The collection of a policy. Close it when done."""

    def __init__(self, connection: Connection, part: VectorPart) -> None:
        if connection.kind != "qdrant":
            raise Unsupported(
                f"connection {connection.id!r} is of type {connection.kind!r}", hint="vectors are in Qdrant"
            )
        self._server, self._collection = Qdrant(connection), part.collection

    def close(self) -> None:
        """Close connections."""
        self._server.close()

    def read(self, ids: Sequence[PointId]) -> Iterator[Line]:
        """Lines of the points that are there."""
        for start in range(0, len(ids), PAGE):
            for point in self._server.retrieve(self._collection, ids[start : start + PAGE], vectors=True):
                yield {"id": point.id, "payload": point.payload or {}, "vector": packed(point.vector)}

    def remove(self, points: Iterable[Line]) -> tuple[int, int]:
        """Delete points that are still as they were archived; how many, and how many stay."""
        removed = kept = 0
        for page in _pages(points):
            now = {line["id"]: to_line(line) for line in self.read([one["id"] for one in page])}
            same = [one["id"] for one in page if now.get(one["id"]) == to_line(one)]
            if same:
                self._server.delete_points(self._collection, same)
            removed, kept = removed + len(same), kept + len(now) - len(same)
        return removed, kept

    def put(self, points: Iterable[Line]) -> int:
        """Write points that are not there; how many."""
        made = 0
        vectors: dict[str, Any] | None = None
        for page in _pages(points):
            there = {one.id for one in self._server.retrieve(self._collection, [p["id"] for p in page], payload=False)}
            lacking = [one for one in page if one["id"] not in there]
            if not lacking:
                continue
            if vectors is None:  # asked late: rows without points come back though the collection is gone
                vectors = self._server.collection(self._collection)["config"]["params"].get("vectors") or {}
            body = {"points": [_to_put(one, vectors) for one in lacking]}
            self._server.ask("PUT", "collections", self._collection, "points", body=body, wait="true")
            made += len(lacking)
        return made


def _to_put(point: Line, vectors: dict[str, Any]) -> Line:
    return {
        **point,
        "vector": {} if point["vector"] is None else before_rounding(unpacked(point["vector"]), vectors),
    }


def _pages(points: Iterable[Line]) -> Iterator[list[Line]]:
    waiting = iter(points)
    while page := list(islice(waiting, PAGE)):
        yield page
