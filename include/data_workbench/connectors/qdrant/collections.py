"""Collections and aliases: what exists, with which vectors and models, and how a replace switches."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from data_workbench.errors import FatalError, SchemaConflict, Unsupported
from data_workbench.records import marks

if TYPE_CHECKING:
    from data_workbench.connectors.qdrant.client import Qdrant
    from data_workbench.mapping.targets import CollectionTarget, LoadContext


@dataclass(frozen=True)
class Shape:
    """A collection's vectors: sizes by name, the unnamed one under ""."""

    sizes: dict[str, int]
    distances: dict[str, str]
    points: int | None

    @property
    def size(self) -> int | None:
        """Of the unnamed vector."""
        return self.sizes.get("")


def names(store: Qdrant) -> tuple[list[str], dict[str, str]]:
    """Collections, and what each alias stands for."""
    return store.collections(), store.aliases()


def shape_of(store: Qdrant, collection: str) -> Shape:
    """What a collection (or alias) holds.

    Raises:
        StreamUnknown: there is none of that name.
    """
    told = store.collection(collection)
    given: dict[str, Any] = told["config"]["params"].get("vectors") or {}
    vectors = {"": given} if isinstance(given.get("size"), int) else given
    return Shape(
        sizes={name: int(params["size"]) for name, params in vectors.items()},
        distances={name: str(params["distance"]) for name, params in vectors.items()},
        points=told.get("points_count"),
    )


def create(store: Qdrant, collection: str, size: int) -> None:
    """A collection with one unnamed cosine vector; one that came into being meanwhile is as good."""
    try:
        store.create_collection(collection, size=size)
    except FatalError as error:
        if "already exists" not in error.message:
            raise


def check_size(target: CollectionTarget, shape: Shape, size: int | None) -> None:
    """Refuse a collection whose vectors are not the target's.

    Raises:
        SchemaConflict: named vectors, or another size.
    """
    if shape.size is None:
        raise SchemaConflict(
            f"collection {target.collection!r} has the named vectors {', '.join(shape.sizes) or '(none)'}, "
            "one unnamed is wanted",
            hint="write to another collection",
        )
    if size is not None and shape.size != size:
        raise SchemaConflict(
            f"collection {target.collection!r} has vectors of size {shape.size}, this load makes {size}",
            hint="write to another collection, or use `write: replace` behind an alias",
        )


def other_model(store: Qdrant, collection: str, model: str) -> str | None:
    """The name of a model other than `model` that points carry, if any does."""
    stamp = marks.STAMP_MODEL
    others = {"must_not": [{"key": stamp, "match": {"value": model}}, {"is_empty": {"key": stamp}}]}
    try:
        found = next(iter(store.scroll(collection, payload=[stamp], page=1, only=others)), [])
    except FatalError:  # strict mode forbids filters without an index: look at the first page
        first = next(iter(store.scroll(collection, payload=[stamp])), [])
        found = [one for one in first if (one.payload or {}).get(stamp) not in (None, model)]
    return str((found[0].payload or {}).get(stamp)) if found else None


def check_model(store: Qdrant, target: CollectionTarget, context: LoadContext) -> None:
    """Refuse to mix the vectors of two models in one collection.

    Raises:
        SchemaConflict: points carry another model and the run does not allow the change.
    """
    if target.embed is None or context.allows("model"):
        return
    other = other_model(store, target.collection, target.embed.model)
    if other is not None:
        raise SchemaConflict(
            f"collection {target.collection!r} holds points of model {other!r}, this load embeds with "
            f"{target.embed.model!r}",
            hint="allow it and embed all anew (`--allow model --full-refresh`), or write to another collection",
        )


def physical_name(target: CollectionTarget, context: LoadContext) -> str:
    """The collection a replace writes: the same when the run starts again."""
    run = re.sub(r"[^A-Za-z0-9-]+", "-", context.run_id)[:60].strip("-")
    identity = f"{context.pipeline}/{context.destination}/{context.run_id}/{context.target_index}"
    return f"{target.collection}__{run}_{hashlib.sha256(identity.encode()).hexdigest()[:8]}"


def refuse_plain(target: CollectionTarget, collections: list[str]) -> None:
    """A replace needs the name to be an alias, or free.

    Raises:
        Unsupported: a collection has it.
    """
    if target.collection in collections:
        raise Unsupported(
            f"{target.collection!r} is a collection, not an alias: it cannot be replaced at once",
            hint=f"use `write: merge`, or once move its points to another collection and drop it; "
            f"`{target.collection}` then becomes an alias",
        )


def switch(store: Qdrant, alias: str, physical: str, old: str | None) -> None:
    """Let the alias stand for `physical`, in one step, and drop what it stood for if a replace made that."""
    steps: list[dict[str, Any]] = [{"delete_alias": {"alias_name": alias}}] if old else []
    steps.append({"create_alias": {"collection_name": physical, "alias_name": alias}})
    store.change_aliases(steps)
    if old is not None and old != physical and old.startswith(f"{alias}__"):
        store.delete_collection(old)
