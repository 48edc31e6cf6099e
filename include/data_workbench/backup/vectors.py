"""Qdrant's collections into a set and out again: points with vectors bit for bit, configuration, indexes, aliases.

Logical, so that any server that speaks the API can be read and filled. Vectors are kept as the store holds them (cosine
collections normalise on write; a normalised vector is left as it is when written again) as 32-bit floats, which hold
every element type Qdrant has (https://qdrant.tech/documentation/concepts/vectors/#datatypes).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from data_workbench.backup.content import Reader
from data_workbench.backup.exports import CountedExport, joined
from data_workbench.backup.fingerprints import Multiset, digest
from data_workbench.backup.manifest import Content, StoredStore
from data_workbench.connectors.qdrant.client import Qdrant
from data_workbench.connectors.qdrant.half_precision import before_rounding
from data_workbench.connectors.qdrant.packing import packed, unpacked
from data_workbench.errors import SchemaConflict, StateError
from data_workbench.events import emit
from data_workbench.mapping.lossless_values import to_line

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connection

_PAGE = 256
_PART_BYTES = 2 * 1024**2
"""Of lines in one request: as JSON numbers a vector takes four times as much, and servers take 32 MB by default."""
_STRICT = "strict_mode_config"
_UNFINISHED = ".unfinished_restore"
"""End of an alias that a collection made beside has until it is whole: what a killed restore left is known by it."""
_SECTIONS = {
    "hnsw_config": "hnsw_config",
    "optimizer_config": "optimizers_config",
    "wal_config": "wal_config",
    "quantization_config": "quantization_config",
    "strict_mode_config": _STRICT,
    "metadata": "metadata",
}


class VectorExport(CountedExport):
    """All collections of a server."""

    kind = "qdrant"
    ending = "jsonl"

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self.name = connection.id
        self._server = Qdrant(connection)

    def version(self) -> str | None:
        return self._server.version()

    def now(self) -> dict[str, int]:
        return {
            name: self._server.ask("POST", "collections", name, "points", "count", body={"exact": True})["count"]
            for name in self._server.collections()
        }

    def read(self, stream: str, seen: Multiset) -> Iterator[bytes]:
        return joined(_points(self._server, stream, seen))

    def details(self, paths: Mapping[str, str]) -> dict[str, Any]:
        described = {name: {"file": path, **_description(self._server, name)} for name, path in paths.items()}
        return {"collections": described, "aliases": self._server.aliases()}

    def close(self) -> None:
        super().close()
        self._server.close()


def _description(server: Qdrant, name: str) -> dict[str, Any]:
    """A collection's configuration as a request to make it takes it, and its payload indexes."""
    told = server.collection(name)
    config = told["config"]
    body = {**config["params"], **{ours: config.get(theirs) for theirs, ours in _SECTIONS.items()}}
    indexes = {
        field: one.get("params") or one["data_type"] for field, one in (told.get("payload_schema") or {}).items()
    }
    return {"config": {key: value for key, value in body.items() if value not in (None, {})}, "indexes": indexes}


def _points(server: Qdrant, name: str, seen: Multiset) -> Iterator[bytes]:
    strict = server.collection(name)["config"].get("strict_mode_config") or {}
    most = strict.get("max_query_limit") if strict.get("enabled") else None
    for page in server.scroll(name, vectors=True, page=min(_PAGE, most or _PAGE)):
        for point in page:
            line = to_line({"id": point.id, "payload": point.payload or {}, "vector": packed(point.vector)})
            seen.add(digest(line))
            yield line


# ------------------------------------------------------------------------------------------------------ restoring


class VectorRestore:
    """Collections out of a set: in place of those of the same names, or beside them under a prefix."""

    def __init__(self, connection: Connection, stored: StoredStore, reader: Reader, *, prefix: str = "") -> None:
        self._server = Qdrant(connection)
        self._stored, self._reader, self._prefix = stored, reader, prefix

    def check(self) -> None:
        """Ask whether the server answers, and whether names are free, before anything is touched.

        Raises:
            SchemaConflict: beside, a collection of that name is there already, and is not what a killed restore left.
        """
        aliases = self._server.aliases()
        left = set(self._unfinished(aliases))
        there = {*self._server.collections(), *(one for one, name in aliases.items() if name not in left)} - left
        wanted = [*self._stored.streams, *self._stored.details["aliases"]]
        taken = sorted(there & {self._prefix + name for name in wanted}) if self._prefix else []
        if taken:
            raise SchemaConflict(
                f"there is a collection or an alias {taken[0]!r} already",
                hint="restore beside with another name; one that is left of a restore which was killed can be deleted",
            )

    def restore(self) -> dict[str, Any]:
        """Make and fill every collection, and compare; in place, collections the set does not have are removed.

        Raises:
            StateError: what stands there is not what was stored.
        """
        described = self._stored.details["collections"]
        if self._prefix:
            for name in self._unfinished(self._server.aliases()):
                self._server.delete_collection(name)
        else:
            self._remove_all()
            emit("backup.emptied", store=self._stored.connection)
        for name, one in described.items():
            self._create(self._prefix + name, one)
            self._fill(self._prefix + name, one)
        self._point_aliases()
        found = self.contents()
        differing = [name for name, want in self._stored.streams.items() if found.get(name) != want]
        if differing:
            raise StateError(
                f"{len(differing)} restored collections differ from the set, the first: {differing[0]!r}",
                hint="does somebody write to it meanwhile? Stop them and restore again",
            )
        marks = [one + _UNFINISHED for one in self._unfinished(self._server.aliases())]
        self._change_aliases([{"delete_alias": {"alias_name": one}} for one in marks])
        return {"collections": sorted(self._prefix + name for name in described), "replaced": None}

    def contents(self) -> dict[str, Content]:
        """What the set's collections hold on this server now."""
        there = set(self._server.collections())
        found = {}
        for name in self._stored.streams:
            if self._prefix + name in there:
                seen = Multiset()
                for _ in _points(self._server, self._prefix + name, seen):
                    pass
                found[name] = Content(count=seen.count, fingerprint=seen.fingerprint)
        return found

    def close(self) -> None:
        """Close connections."""
        self._server.close()

    def _remove_all(self) -> None:
        for name in self._server.collections():
            self._server.delete_collection(name)

    def _unfinished(self, aliases: Mapping[str, str]) -> list[str]:
        """Collections of ours that a killed restore under this prefix left; an alias is gone with its collection."""
        ours = [self._prefix + name for name in self._stored.streams]
        return [name for name in ours if self._prefix and aliases.get(name + _UNFINISHED) == name]

    def _create(self, name: str, described: dict[str, Any]) -> None:
        config = {key: value for key, value in described["config"].items() if key != _STRICT}
        self._server.ask("PUT", "collections", name, body=config)
        if self._prefix:
            self._change_aliases([_pointing(name + _UNFINISHED, name)])
        for field, schema in described["indexes"].items():
            body = {"field_name": field, "field_schema": schema}
            self._server.ask("PUT", "collections", name, "index", body=body, wait="true")

    def _fill(self, name: str, described: dict[str, Any]) -> None:
        self._put_lines(name, described, self._reader.lines(self._stored.file(described["file"])))
        # Limits of what others may ask for bind them again, once all is written.
        if _STRICT in described["config"]:
            self._server.ask("PATCH", "collections", name, body={_STRICT: described["config"][_STRICT]})

    def _put_lines(self, name: str, described: Mapping[str, Any], lines: Iterable[bytes]) -> int:
        """Write points as the set has them; how many."""
        vectors = described["config"].get("vectors") or {}
        waiting: list[dict[str, Any]] = []
        count = size = 0
        for line in lines:
            point = json.loads(line)
            # A point without vectors has an empty map of them.
            vector = {} if point["vector"] is None else before_rounding(unpacked(point["vector"]), vectors)
            waiting.append({**point, "vector": vector})
            count, size = count + 1, size + len(line)
            if len(waiting) == _PAGE or size >= _PART_BYTES:
                self._put(name, waiting)
                waiting, size = [], 0
        if waiting:
            self._put(name, waiting)
        return count

    def _put(self, name: str, points: list[dict[str, Any]]) -> None:
        self._server.ask("PUT", "collections", name, "points", body={"points": points}, wait="true")
        emit("backup.restored", store=self._stored.connection, count=len(points))

    def _point_aliases(self) -> None:
        aliases = self._stored.details["aliases"]
        self._change_aliases([_pointing(self._prefix + one, self._prefix + name) for one, name in aliases.items()])

    def _change_aliases(self, actions: list[dict[str, dict[str, str]]]) -> None:
        if actions:
            self._server.change_aliases(actions)


def _pointing(alias: str, collection: str) -> dict[str, dict[str, str]]:
    return {"create_alias": {"alias_name": alias, "collection_name": collection}}
