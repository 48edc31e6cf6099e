"""Rows to points: append, merge, and replace behind an alias; read back for reconciliation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from data_workbench.connectors.base import Change, Destination, DestinationCapabilities, Health, Writer
from data_workbench.connectors.powers import CanDelete, CanFindUnique, CanReadBack
from data_workbench.connectors.qdrant.client import Qdrant, Record
from data_workbench.connectors.qdrant.collections import (
    check_model,
    check_size,
    create,
    names,
    other_model,
    physical_name,
    refuse_plain,
    shape_of,
)
from data_workbench.connectors.qdrant.payload_columns import lenient_column, vector_column
from data_workbench.connectors.qdrant.points import payload_columns
from data_workbench.connectors.qdrant.source import check
from data_workbench.connectors.qdrant.writing import QdrantWriter, Switch, delete_owned
from data_workbench.connectors.selection import semi_join
from data_workbench.errors import StreamUnknown, Unsupported, WorkbenchError
from data_workbench.mapping.point_ids import point_ids
from data_workbench.mapping.targets import CollectionTarget
from data_workbench.records import marks

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connection
    from data_workbench.embedding import Embedder
    from data_workbench.mapping.targets import LoadContext, Target
    from data_workbench.settings import Settings

VECTOR = "_wb_vector"
_READ_BACK_PAGE = 500


class QdrantDestination(Destination, CanReadBack, CanDelete, CanFindUnique):
    """Writes collections with one unnamed vector. A payload has exactly the target's columns, and four stamps."""

    capabilities = DestinationCapabilities(
        dispositions=frozenset({"append", "replace", "merge"}),
        targets=frozenset({"collection"}),
        replace="alias",
        deletes=True,
        longest_name=255,
    )

    def __init__(self, connection: Connection, settings: Settings) -> None:
        super().__init__(connection, settings)
        self._store = Qdrant(connection)

    def check(self) -> Health:
        return check(self._store)

    def close(self) -> None:
        self._store.close()

    def plan(self, target: Target, schema: pa.Schema) -> list[Change]:
        wanted = _collection_target(target)
        size = _size(wanted, schema)
        collections, aliases = names(self._store)
        if wanted.collection not in collections and wanted.collection not in aliases:
            dimension = f"{size} dimensions" if size else "as many dimensions as its vectors have"
            return [Change("create", wanted.collection, f"cosine, {dimension}")]
        try:
            if wanted.write == "replace":
                refuse_plain(wanted, collections)
                return [Change("replace", wanted.collection, "replaced by alias switch", "replace")]
            check_size(wanted, shape_of(self._store, wanted.collection), size)
            other = other_model(self._store, wanted.collection, wanted.embed.model) if wanted.embed else None
        except WorkbenchError as error:
            return [Change("refuse", wanted.collection, error.message)]
        if other is not None and wanted.embed is not None:
            detail = f"holds points of model {other!r}, this load embeds with {wanted.embed.model!r}"
            return [Change("embed_anew", wanted.collection, detail, "model")]
        return [Change("none", wanted.collection)]

    def open(self, target: Target, schema: pa.Schema, context: LoadContext) -> Writer:
        wanted = _collection_target(target)
        size = _size(wanted, schema)
        collections, aliases = names(self._store)
        embedder = self._embedder(wanted)
        if wanted.write == "replace":
            refuse_plain(wanted, collections)
            return self._replacing(wanted, context, size, embedder, collections, aliases.get(wanted.collection))
        is_there = wanted.collection in collections or wanted.collection in aliases
        if is_there:
            shape = shape_of(self._store, wanted.collection)
            check_size(wanted, shape, size)
            check_model(self._store, wanted, context)
            size = shape.size
        elif size is not None:
            create(self._store, wanted.collection, size)
            is_there = True
        return QdrantWriter(
            self._store,
            wanted,
            context,
            collection=wanted.collection,
            size=size,
            is_there=is_there,
            embedder=embedder,
            switch_at_end=None,
        )

    def read_back(
        self, target: Target, schema: pa.Schema, context: LoadContext, keys: pa.Table | None
    ) -> Iterator[pa.RecordBatch]:
        wanted = _collection_target(target)
        fields = [schema.field(name) for name in payload_columns(wanted, schema.names)]
        try:
            for records in self._records(wanted, schema, keys):
                yield _read_back_batch(records, fields, context.pipeline)
        except StreamUnknown:
            return  # nothing was written yet

    def delete(self, target: Target, schema: pa.Schema, context: LoadContext, keys: pa.Table) -> int:
        wanted = _collection_target(target)
        try:
            ids = point_ids(_keys(wanted, schema, keys), wanted.key)
            return delete_owned(self._store, wanted.collection, ids, context.pipeline)
        except StreamUnknown:
            return 0

    def find_unique(self, target: Target, columns: tuple[str, ...], values: pa.Table) -> pa.Table:
        wanted = _collection_target(target)
        kept = list(dict.fromkeys([*wanted.key, *columns]))
        fields = [values.schema.field(name) if name in columns else None for name in kept]
        found: list[pa.RecordBatch] = []
        try:
            for records in self._store.scroll(wanted.collection, payload=kept):
                batch = _payload_batch(records, kept, fields)
                found.append(semi_join(batch, values.select(list(columns))))
        except StreamUnknown:
            pass
        tables = [pa.Table.from_batches([batch]) for batch in found if batch.num_rows]
        if not tables:
            return pa.table(
                {
                    name: pa.array([], item.type if item else pa.string())
                    for name, item in zip(kept, fields, strict=True)
                }
            )
        return pa.concat_tables(tables, promote_options="permissive")

    def _embedder(self, target: CollectionTarget) -> Embedder | None:
        if target.embed is None:
            return None
        from data_workbench.embedding import open_embedder

        return open_embedder(target.embed.model, self.settings)

    def _replacing(
        self,
        target: CollectionTarget,
        context: LoadContext,
        size: int | None,
        embedder: Embedder | None,
        collections: list[str],
        old: str | None,
    ) -> Writer:
        physical = physical_name(target, context)
        is_there = physical in collections
        if is_there:
            # What a killed load of this run left stays: the points noted as written are in it and come no second time.
            size = shape_of(self._store, physical).size
        elif size is None and old is not None:
            size = shape_of(self._store, old).size
        if not is_there and size is not None:
            create(self._store, physical, size)
            is_there = True
        return QdrantWriter(
            self._store,
            target,
            context,
            collection=physical,
            size=size,
            is_there=is_there,
            embedder=embedder,
            switch_at_end=Switch(target.collection, physical, old),
        )

    def _records(self, target: CollectionTarget, schema: pa.Schema, keys: pa.Table | None) -> Iterator[list[Record]]:
        if keys is None:
            yield from self._store.scroll(target.collection, vectors=True, page=_READ_BACK_PAGE)
            return
        ids = list(dict.fromkeys(point_ids(_keys(target, schema, keys), target.key)))
        for start in range(0, len(ids), _READ_BACK_PAGE):
            page = list(self._store.retrieve(target.collection, ids[start : start + _READ_BACK_PAGE], vectors=True))
            if page:
                yield page


def _collection_target(target: Target) -> CollectionTarget:
    if not isinstance(target, CollectionTarget):
        raise Unsupported(f"Qdrant takes a `collection`, not a {target.kind}")
    return target


def _size(target: CollectionTarget, schema: pa.Schema) -> int | None:
    """The size of the vectors, where the model or the column's type tells it."""
    if target.embed is not None:
        from data_workbench.embedding import check_model as dimension_of

        return dimension_of(target.embed.model)
    kind = schema.field(target.vector or "").type
    return int(kind.list_size) if pa.types.is_fixed_size_list(kind) else None


def _keys(target: CollectionTarget, schema: pa.Schema, keys: pa.Table) -> pa.Table:
    """The key columns with the types, and the store's type names, that the rows were written with."""
    return keys.select(list(target.key)).cast(pa.schema([schema.field(name) for name in target.key]))


def _payload_batch(records: list[Record], kept: list[str], fields: list[pa.Field | None]) -> pa.RecordBatch:
    payloads = [record.payload or {} for record in records]
    columns = []
    for name, item in zip(kept, fields, strict=True):
        values = [payload.get(name) for payload in payloads]
        columns.append(lenient_column(values, item) if item is not None else pa.array(values))
    return pa.RecordBatch.from_arrays(columns, names=kept)


def _read_back_batch(records: list[Record], fields: list[pa.Field], pipeline: str) -> pa.RecordBatch:
    payloads = [record.payload or {} for record in records]
    columns = [lenient_column([payload.get(item.name) for payload in payloads], item) for item in fields]
    owned = [payload.get(marks.STAMP_PIPELINE) == pipeline for payload in payloads]
    vectors = vector_column([_unnamed_vector(record) for record in records])
    stamps = [
        pa.array([_text(payload.get(name)) for payload in payloads], pa.string())
        for name in (marks.STAMP_MODEL, marks.STAMP_TEXT_HASH)
    ]
    schema = pa.schema(
        [
            *fields,
            pa.field(marks.OWNED, pa.bool_()),
            pa.field(VECTOR, pa.list_(pa.float32())),
            pa.field(marks.STAMP_MODEL, pa.string()),
            pa.field(marks.STAMP_TEXT_HASH, pa.string()),
        ]
    )
    return pa.RecordBatch.from_arrays([*columns, pa.array(owned, pa.bool_()), vectors, *stamps], schema=schema)


def _unnamed_vector(record: Record) -> Any:
    """A point's unnamed vector; None for a point that has only named ones."""
    return record.vector if isinstance(record.vector, list) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
