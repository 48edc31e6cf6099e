"""Collections and aliases on disk.

<data>/registry.json    names, configurations, aliases; replaced as a whole, so a kill leaves the old or the new
<data>/shards/<id>/     one engine shard per collection; ids are never used twice
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import qdrant_edge as edge

from data_workbench.servers.qdrant_local import configuration
from data_workbench.servers.qdrant_local.refusals import conflict, invalid, malformed, not_found, wrong_input

log = logging.getLogger(__name__)

Json = dict[str, Any]

_FORBIDDEN = set('<>:"/\\|?*\0')


class Collection:
    """One shard with its lock: the engine may be read by many, but must not be closed under them."""

    def __init__(self, name: str, config: Json, shard: edge.EdgeShard, folder: Path) -> None:
        self.name = name
        self.config = config
        self.folder = folder
        self.sizes = configuration.vector_sizes(config)
        self._shard: edge.EdgeShard | None = shard
        self._lock = threading.RLock()
        self._operations = 0

    @contextmanager
    def shard(self) -> Iterator[edge.EdgeShard]:
        """The engine, for one operation."""
        with self._lock:
            if self._shard is None:
                raise _no_collection(self.name)
            yield self._shard

    def update(self, operations: list[edge.UpdateOperation], *, wait: bool) -> Json:
        """Apply writes in order; with `wait` they are on disk when this returns."""
        with self.shard() as shard:
            for operation in operations:
                shard.update(operation)
            if wait:
                shard.flush()
            self._operations += 1
            return {"operation_id": self._operations, "status": "completed" if wait else "acknowledged"}

    def close(self) -> None:
        """Write what is pending and let go of the files."""
        with self._lock:
            if self._shard is not None:
                self._shard.flush()
                self._shard.close()
                self._shard = None


class Store:
    """All collections of one data folder, which only one process may open."""

    def __init__(self, data: Path) -> None:
        self._registry = data / "registry.json"
        self._shards = data / "shards"
        self._shards.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._collections: dict[str, Collection] = {}
        self._aliases: dict[str, str] = {}
        self._load()

    def collection(self, name: str) -> Collection:
        """By its name or an alias."""
        with self._lock:
            found = self._collections.get(self._aliases.get(name, name))
            if found is None:
                raise _no_collection(name)
            return found

    def names(self) -> list[str]:
        """All collections."""
        with self._lock:
            return sorted(self._collections)

    def has(self, name: str) -> bool:
        """Whether a collection or an alias has this name."""
        with self._lock:
            return self._aliases.get(name, name) in self._collections

    def create(self, name: str, body: Json) -> bool:
        """A new, empty collection."""
        _check_name(name)
        config = configuration.checked(body)
        engine = configuration.engine_config(config)
        with self._lock:
            if name in self._collections:
                raise conflict(f"Collection `{name}` already exists!")
            if name in self._aliases:
                raise conflict(f"Can't create collection with name {name}. Alias with the same name already exists")
            folder = self._shards / uuid.uuid4().hex
            shard = edge.EdgeShard.create(str(folder), engine)
            self._collections[name] = Collection(name, config, shard, folder)
            self._save()
        log.info("created collection %s", name)
        return True

    def change(self, name: str, body: Json) -> bool:
        """Set a collection's metadata; its other parameters tune what the local server does not have."""
        with self._lock:
            found = self.collection(name)
            given = {key: value for key, value in body.items() if value is not None}
            metadata = given.pop("metadata", None)
            if metadata is not None:
                # As the real server: members are merged, a null removes one.
                merged = found.config.get("metadata", {}) | metadata
                found.config["metadata"] = {key: value for key, value in merged.items() if value is not None}
            for key in ("hnsw_config", "optimizers_config"):
                if key in given:
                    found.config[key] = found.config.get(key, {}) | given.pop(key)
            if given:
                raise malformed(f"cannot change {', '.join(sorted(given))}")
            self._save()
        return True

    def delete(self, name: str) -> bool:
        """Remove a collection with its aliases; False if there is none."""
        with self._lock:
            found = self._collections.pop(name, None)
            if found is None:
                return False
            self._aliases = {alias: target for alias, target in self._aliases.items() if target != name}
            self._save()
        found.close()
        shutil.rmtree(found.folder)
        log.info("deleted collection %s", name)
        return True

    def aliases(self, collection: str | None = None) -> list[Json]:
        """Pairs of alias and collection."""
        with self._lock:
            return [
                {"alias_name": alias, "collection_name": target}
                for alias, target in sorted(self._aliases.items())
                if collection is None or target == collection
            ]

    def change_aliases(self, actions: list[Json]) -> bool:
        """All of the actions, or none."""
        with self._lock:
            changed = dict(self._aliases)
            for action in actions:
                self._apply_alias(action, changed)
            self._aliases = changed
            self._save()
        return True

    def _apply_alias(self, action: Json, aliases: dict[str, str]) -> None:
        match action:
            case {"create_alias": {"collection_name": str(target), "alias_name": str(alias)}}:
                _check_name(alias)
                if alias in self._collections:
                    raise conflict(f"Collection `{alias}` already exists!")
                if target not in self._collections:
                    raise _no_collection(target)
                aliases[alias] = target
            case {"delete_alias": {"alias_name": str(alias)}}:
                aliases.pop(alias, None)
            case {"rename_alias": {"old_alias_name": str(old), "new_alias_name": str(new)}}:
                _check_name(new)
                if old not in aliases:
                    raise not_found(f"Alias {old} does not exists!")
                if new in self._collections:
                    raise conflict(f"Collection `{new}` already exists!")
                aliases[new] = aliases.pop(old)
            case _:
                raise malformed("an action is one of create_alias, delete_alias, rename_alias with its names")

    def close(self) -> None:
        """Flush and close all collections."""
        with self._lock:
            for collection in self._collections.values():
                collection.close()

    def _load(self) -> None:
        if self._registry.exists():
            noted = json.loads(self._registry.read_text())
            self._aliases = noted["aliases"]
            for name, entry in noted["collections"].items():
                folder = self._shards / entry["folder"]
                shard = edge.EdgeShard.load(str(folder))
                self._collections[name] = Collection(name, entry["config"], shard, folder)
        # A kill between making a shard and noting it, or between the two steps of a delete, leaves a folder behind.
        known = {collection.folder for collection in self._collections.values()}
        for folder in self._shards.iterdir():
            if folder not in known:
                shutil.rmtree(folder)

    def _save(self) -> None:
        noted = {
            "collections": {
                name: {"folder": one.folder.name, "config": one.config} for name, one in self._collections.items()
            },
            "aliases": self._aliases,
        }
        draft = self._registry.with_suffix(".draft")
        with draft.open("w") as stream:
            json.dump(noted, stream)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(self._registry)


def _no_collection(name: str) -> Exception:
    return not_found(f"Collection `{name}` doesn't exist!")


def _check_name(name: str) -> None:
    if not 1 <= len(name.encode()) <= 255:
        raise invalid("collection name must be from 1 to 255 bytes long")
    found = _FORBIDDEN & set(name)
    if found:
        raise invalid(f"collection name cannot contain {min(found)!r}")
    if name in (".", ".."):
        raise wrong_input("collection name cannot be a relative folder")
