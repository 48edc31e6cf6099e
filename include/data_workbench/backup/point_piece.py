"""A collection out of a set, or the points of a key in it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from data_workbench.backup.manifest import Content
from data_workbench.backup.pieces import Key
from data_workbench.backup.vectors import VectorRestore
from data_workbench.errors import SchemaConflict, StateError, UsageError

if TYPE_CHECKING:
    from data_workbench.backup.content import Reader
    from data_workbench.backup.manifest import StoredStore
    from data_workbench.connectors.connections import Connection


class PointPiece(VectorRestore):
    """One collection: made anew as a whole, or brought in line for a key."""

    def __init__(
        self, connection: Connection, stored: StoredStore, reader: Reader, collection: str, key: Key | None
    ) -> None:
        only = {collection: stored.streams[collection]}
        aliases = {one: name for one, name in stored.details["aliases"].items() if name == collection}
        described = {collection: stored.details["collections"][collection]}
        details = {**stored.details, "collections": described, "aliases": aliases}
        super().__init__(connection, stored.model_copy(update={"streams": only, "details": details}), reader)
        self._collection, self._key = collection, key

    def check(self) -> None:
        """Ask whether the server answers, and with a key, whether the collection is there.

        Raises:
            StateError: it is not: it must come back as a whole.
            SchemaConflict: its vectors are of another size or distance now.
            UsageError: a value of the key is none that Qdrant can look for.
        """
        there = self._server.collections()
        if self._key is None:
            return
        if self._collection not in there:
            raise StateError(f"there is no collection {self._collection!r}", hint="restore it without --key")
        wrong = next((name for name, one in self._key.items() if not isinstance(one, str | int | bool)), None)
        if wrong is not None:
            raise UsageError(f"{wrong} of the key is no text, whole number or truth", hint='such as {"id": 7}')
        nested = next((name for name in self._key if "." in name or "[" in name), None)
        if nested is not None:
            raise UsageError(f"{nested!r} is within a payload, not a key of it", hint='such as {"id": 7}')
        now = _vectors(self._server.collection(self._collection)["config"]["params"])
        then = _vectors(self._stored.details["collections"][self._collection]["config"])
        if now != then:
            raise SchemaConflict(
                f"collection {self._collection!r} takes other vectors ({_words(now)}) than in the set ({_words(then)})",
                hint="restore it without --key: the collection is made anew",
            )

    def restore(self) -> dict[str, Any]:
        """Do it, and compare; in the end the collection, or the points of the key, are those of the set."""
        if self._key is None:
            before = self.contents().get(self._collection, Content(count=0, fingerprint=""))
            told = super().restore()
            return {
                "written": self._stored.streams[self._collection].count,
                "removed": before.count,
                "replaced": None,
                **told,
            }
        wanted = {"must": [{"key": name, "match": {"value": value}} for name, value in self._key.items()]}
        body = {"filter": wanted}
        removed = self._server.ask(
            "POST", "collections", self._collection, "points", "count", body={**body, "exact": True}
        )
        self._server.ask("POST", "collections", self._collection, "points", "delete", body=body, wait="true")
        written = self._fill_some()
        found = self._server.ask(
            "POST", "collections", self._collection, "points", "count", body={**body, "exact": True}
        )
        if found["count"] != written:
            raise StateError(
                f"{found['count']} points of the key stand in {self._collection!r}, the set has {written}",
                hint="does somebody write to it meanwhile? Stop them and restore again",
            )
        return {"written": written, "removed": removed["count"], "replaced": None}

    def _fill_some(self) -> int:
        described = self._stored.details["collections"][self._collection]
        return self._put_lines(self._collection, described, filter(self._is_meant, self._lines()))

    def _is_meant(self, line: bytes) -> bool:
        return has_key(json.loads(line)["payload"], self._key or {})

    def _lines(self) -> Iterator[bytes]:
        file = self._stored.details["collections"][self._collection]["file"]
        return self._reader.lines(self._stored.file(file))

    def _remove_all(self) -> None:
        """Only what is brought back makes room."""
        if self._collection in self._server.collections():
            self._server.delete_collection(self._collection)


def has_key(payload: Mapping[str, Any], key: Key) -> bool:
    """Whether a point has these values, as Qdrant's filter has it: one of a list is enough, and 1 is not true."""
    for name, value in key.items():
        found = payload.get(name)
        held = found if isinstance(found, list) else [found]
        if not any(type(one) is type(value) and one == value for one in held):
            return False
    return True


def _vectors(params: Mapping[str, Any]) -> dict[str, tuple[int, str]]:
    """Size and distance of a collection's vectors by name; a single one has none."""
    told = params.get("vectors") or {}
    named = {"": told} if "size" in told else told
    return {name: (one["size"], one["distance"]) for name, one in named.items()}


def _words(vectors: Mapping[str, tuple[int, str]]) -> str:
    return (
        ", ".join(f"{name} {size} {distance}".strip() for name, (size, distance) in sorted(vectors.items())) or "none"
    )
