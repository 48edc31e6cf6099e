"""Collections as streams: the point's id, a column per payload key, and the vectors.

The id is the column `id`, the vector `vector` (named ones `vector_<name>`); where a payload key has that name already,
`point_id` and `point_vector`. Payload keys are found in the first `sample` points.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pydantic import Field

from data_workbench.connectors.base import (
    Health,
    Reading,
    ReadRequest,
    Source,
    SourceCapabilities,
    Stream,
    Vital,
)
from data_workbench.connectors.column_types import field_of
from data_workbench.connectors.options import read_options
from data_workbench.connectors.powers import CanSearch, CanTellVitals, Neighbour
from data_workbench.connectors.qdrant import vitals
from data_workbench.connectors.qdrant.client import PAGE, Qdrant, Record
from data_workbench.connectors.qdrant.collections import Shape, names, shape_of
from data_workbench.connectors.qdrant.payload_columns import column_of, payload_fields, vector_column
from data_workbench.connectors.selection import Selection, bounded
from data_workbench.errors import SchemaConflict, StreamUnknown, WorkbenchError
from data_workbench.mapping.point_ids import PointId
from data_workbench.records import marks
from data_workbench.records.definitions import Model

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connection
    from data_workbench.settings import Settings

_SEARCHES = 50
"""In one request."""
_NUMBER_BYTES = 16  # a float32 as JSON text and as a Python object on its way


class QdrantOptions(Model):
    """`options` of a source that reads points."""

    types: dict[str, str] = Field(default_factory=dict, description="payload key: type, instead of the found one")
    sample: int = Field(10_000, ge=1, le=10_000_000, description="Points looked at to find the payload keys")


@dataclass(frozen=True)
class Columns:
    """How a point's parts are called: id, payload keys, vectors (column name to vector name)."""

    identity: str
    payload: tuple[pa.Field, ...]
    vectors: Mapping[str, str]
    schema: pa.Schema


class QdrantSource(Source, CanTellVitals, CanSearch):
    """Reads collections and aliases by scrolling. A cursor filters what was read; keys by point id are fetched."""

    capabilities = SourceCapabilities(cursor=True)

    def __init__(self, connection: Connection, settings: Settings) -> None:
        super().__init__(connection, settings)
        self._store = Qdrant(connection)

    def check(self) -> Health:
        return check(self._store)

    def vitals(self) -> list[Vital]:
        return vitals.ask(self._store)

    def discover(self, pattern: str | None = None) -> list[Stream]:
        collections, aliases = names(self._store)
        wanted = [name for name in sorted([*collections, *aliases]) if fnmatch.fnmatchcase(name, pattern or "*")]
        return [self.describe(name) for name in wanted]

    def describe(self, stream: str, options: Mapping[str, Any] | None = None) -> Stream:
        chosen = _options(options)
        shape = self._shape(stream)
        collections, aliases = names(self._store)
        columns = self._columns(stream, shape, chosen)
        comment = f"alias of {aliases[stream]}" if stream in aliases else None
        return Stream(
            name=stream,
            schema=columns.schema,
            key=(columns.identity,),
            unique=((columns.identity,),),
            estimated_rows=shape.points,
            comment=comment,
            kind="collection" if stream in collections else "alias",
        )

    def read(self, request: ReadRequest) -> Reading:
        shape = self._shape(request.stream)
        columns = self._columns(request.stream, shape, _options(request.options))
        return QdrantReading(self._store, request, columns, shape, self.settings)

    def nearest(
        self, stream: str, column: str, vectors: Sequence[Sequence[float]], *, limit: int, exact: bool = False
    ) -> list[list[Neighbour]]:
        known = self._columns(stream, self._shape(stream), QdrantOptions()).vectors
        if column not in known:
            raise StreamUnknown(f"{stream!r} has no vectors {column!r}", hint=f"it has {', '.join(known) or 'none'}")
        found: list[list[Neighbour]] = []
        for start in range(0, len(vectors), _SEARCHES):
            chosen = [[float(number) for number in one] for one in vectors[start : start + _SEARCHES]]
            answers = self._store.search(stream, chosen, using=known[column], limit=limit, exact=exact)
            found += [[Neighbour(one["id"], one["score"]) for one in points] for points in answers]
        return found

    def close(self) -> None:
        self._store.close()

    def _shape(self, stream: str) -> Shape:
        try:
            return shape_of(self._store, stream)
        except StreamUnknown:
            collections, aliases = names(self._store)
            near = get_close_matches(stream, [*collections, *aliases], n=3, cutoff=0.5)
            raise StreamUnknown(
                f"no collection {stream!r} in connection {self.connection.id!r}",
                hint=f"did you mean {' or '.join(near)}?" if near else "`workbench discover` lists the collections",
            ) from None

    def _columns(self, stream: str, shape: Shape, options: QdrantOptions) -> Columns:
        sample: list[Record] = []
        for page in self._store.scroll(stream, page=min(PAGE, options.sample)):
            sample += page
            if len(sample) >= options.sample:
                break
        found = {item.name: item for item in payload_fields(record.payload or {} for record in sample)}
        found |= {name: field_of(name, kind) for name, kind in options.types.items()}
        identity = _free("id", "point_id", found)
        names_ = {
            _free("vector", "point_vector", found) if not name else f"vector_{name}": name for name in shape.sizes
        }
        numbers = all(isinstance(record.id, int) for record in sample)
        schema = pa.schema(
            [
                pa.field(identity, pa.uint64() if numbers and sample else pa.string()),
                *found.values(),
                *(pa.field(name, pa.list_(pa.float32())) for name in names_),
            ]
        )
        return Columns(identity, tuple(found.values()), names_, schema)


def check(store: Qdrant) -> Health:
    """Whether the server answers, with its version."""
    try:
        version = store.version()
        store.collections()
    except WorkbenchError as error:
        return Health(ok=False, detail=error.message)
    plain = ", API key over plain HTTP" if store.config.api_key and store.config.address.startswith("http://") else ""
    return Health(ok=True, detail=f"Qdrant {version} over REST at {store.config.address}{plain}", version=version)


class QdrantReading(Reading):
    """A scroll, or points fetched by id."""

    def __init__(self, store: Qdrant, request: ReadRequest, columns: Columns, shape: Shape, settings: Settings) -> None:
        self._store, self._request, self._columns, self._settings = store, request, columns, settings
        by_id = request.keys is not None and request.keys.column_names == [columns.identity]
        self._ids = _ids(request.keys) if by_id else None
        self._selection = Selection(request, columns.schema)
        self.schema = self._selection.schema
        self._wanted = set(self._selection.read_columns)
        self._vectors = [name for name in columns.vectors if name in self._wanted]
        numbers = sum(shape.sizes[columns.vectors[name]] for name in self._vectors)
        self._page = max(10, min(PAGE, settings.batch_rows, settings.batch_bytes // (1 + numbers * _NUMBER_BYTES)))

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for records in self._pages():
            chosen = self._selection.apply(self._batch(records))
            yield from bounded(chosen, rows=self._settings.batch_rows, size=self._settings.batch_bytes)
            if self._selection.exhausted:
                return

    def position(self) -> dict[str, Any] | None:
        return self._selection.position()

    def _pages(self) -> Iterator[list[Record]]:
        stream, vectors = self._request.stream, bool(self._vectors)
        if self._ids is None:
            yield from self._store.scroll(stream, vectors=vectors, page=self._page)
            return
        for start in range(0, len(self._ids), self._page):
            found = list(self._store.retrieve(stream, self._ids[start : start + self._page], vectors=vectors))
            if found:
                yield found

    def _batch(self, records: list[Record]) -> pa.RecordBatch:
        payloads = [record.payload or {} for record in records]
        self._refuse_unknown_keys(payloads)
        columns: list[pa.Array] = []
        payload = {item.name: item for item in self._columns.payload}
        for name in self._selection.read_columns:
            if name in payload:
                columns.append(column_of([one.get(name) for one in payloads], payload[name]))
            elif name in self._columns.vectors:
                columns.append(vector_column([_vector(one, self._columns.vectors[name]) for one in records]))
            else:
                columns.append(self._identities(records))
        schema = pa.schema([self._columns.schema.field(name) for name in self._selection.read_columns])
        return pa.RecordBatch.from_arrays(columns, schema=schema)

    def _identities(self, records: list[Record]) -> pa.Array:
        kind = self._columns.schema.field(self._columns.identity).type
        if pa.types.is_string(kind):
            return pa.array([str(record.id) for record in records], kind)
        if not all(isinstance(record.id, int) for record in records):
            raise SchemaConflict(
                f"{self._request.stream!r} has numbers and UUIDs as point ids",
                hint="raise `options: {sample: …}` until both kinds are among the first points",
            )
        return pa.array([record.id for record in records], kind)

    def _refuse_unknown_keys(self, payloads: list[dict[str, Any]]) -> None:
        if self._request.columns is not None:
            return
        known = {item.name for item in self._columns.payload}
        met = {name for payload in payloads for name in payload if not name.startswith(marks.PREFIX)}
        if met - known:
            raise SchemaConflict(
                f"{self._request.stream!r}: points further on have the payload key {min(met - known)!r}",
                hint=f"declare it with `options: {{types: {{{min(met - known)}: text}}}}`, raise `sample`, "
                "or name the columns you want",
            )


def _vector(record: Record, name: str) -> Any:
    vector: Any = record.vector
    if isinstance(vector, dict):
        return vector.get(name)
    return vector if name == "" else None


def _ids(keys: pa.Table | None) -> list[PointId]:
    """Point ids from a key column: numbers as they are, digits in text as numbers, the rest as UUIDs."""
    if keys is None:
        return []
    values = keys.column(0).unique().drop_null().to_pylist()
    return [int(value) if str(value).isdigit() else str(value) for value in values]


def _free(name: str, otherwise: str, taken: Mapping[str, Any]) -> str:
    if name not in taken:
        return name
    return otherwise if otherwise not in taken else f"_{otherwise}"


def _options(values: Mapping[str, Any] | None) -> QdrantOptions:
    return read_options(QdrantOptions, values, where="options of a Qdrant source")
