"""Operations that change points."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import qdrant_edge as edge

from data_workbench.servers.qdrant_local import bodies
from data_workbench.servers.qdrant_local.filters import parse_filter
from data_workbench.servers.qdrant_local.refusals import malformed, unsupported, wrong_input
from data_workbench.servers.qdrant_local.store import Collection

Operation = edge.UpdateOperation
Raw = bytes | msgspec.Raw

_MODES = {
    "upsert": edge.UpdateMode.Upsert,
    "insert_only": edge.UpdateMode.InsertOnly,
    "update_only": edge.UpdateMode.UpdateOnly,
}
_INDEXES = {name.lower(): getattr(edge.PayloadSchemaType, name) for name in (
    "Keyword", "Integer", "Float", "Geo", "Text", "Bool", "Datetime", "Uuid"
)}  # fmt: skip


def upsert(collection: Collection, raw: Raw) -> Operation:
    """Insert points, or replace those with the same id."""
    body = bodies.decode(raw, bodies.Upsert)
    if (body.points is None) == (body.batch is None):
        raise malformed("give either points or batch")
    if body.update_mode is not None and body.update_mode not in _MODES:
        raise malformed(f"unknown update_mode {body.update_mode!r}, expected one of {', '.join(_MODES)}")
    listed = body.points if body.points is not None else _rows(body.batch or bodies.Columns([], []))
    points = [edge.Point(id=_id(one.id), vector=_vector(collection, one.vector), payload=one.payload) for one in listed]
    mode = _MODES[body.update_mode] if body.update_mode else None
    return Operation.upsert_points(points, condition=parse_filter(body.update_filter), update_mode=mode)


def delete(_: Collection, raw: Raw) -> Operation:
    """Remove points by id or by filter."""
    return _select(bodies.decode(raw, bodies.Selector), Operation.delete_points, Operation.delete_points_by_filter)


def set_payload(_: Collection, raw: Raw) -> Operation:
    """Set members, keep the others."""
    body = bodies.decode(raw, bodies.SetPayload)
    by_id, by_filter = Operation.set_payload, Operation.set_payload_by_filter
    return _select(body, by_id, by_filter, body.payload, body.key)


def overwrite_payload(_: Collection, raw: Raw) -> Operation:
    """Replace the whole payload."""
    body = bodies.decode(raw, bodies.SetPayload)
    by_id, by_filter = Operation.overwrite_payload, Operation.overwrite_payload_by_filter
    return _select(body, by_id, by_filter, body.payload, body.key)


def delete_payload(_: Collection, raw: Raw) -> Operation:
    """Remove members."""
    body = bodies.decode(raw, bodies.DeletePayload)
    return _select(body, Operation.delete_payload, Operation.delete_payload_by_filter, body.keys)


def clear_payload(_: Collection, raw: Raw) -> Operation:
    """Remove all members."""
    return _select(bodies.decode(raw, bodies.Selector), Operation.clear_payload, Operation.clear_payload_by_filter)


def update_vectors(collection: Collection, raw: Raw) -> Operation:
    """Replace vectors of points that are there."""
    body = bodies.decode(raw, bodies.UpdateVectors)
    vectors = [edge.PointVectors(id=_id(one.id), vector=_vector(collection, one.vector)) for one in body.points]
    return Operation.update_vectors(vectors, condition=parse_filter(body.update_filter))


def delete_vectors(_: Collection, raw: Raw) -> Operation:
    """Remove named vectors."""
    body = bodies.decode(raw, bodies.DeleteVectors)
    return _select(body, Operation.delete_vectors, Operation.delete_vectors_by_filter, body.vector)


Write = Callable[[Collection, Raw], Operation]

BATCHED: dict[str, Write] = {
    "upsert": upsert,
    "delete": delete,
    "set_payload": set_payload,
    "overwrite_payload": overwrite_payload,
    "delete_payload": delete_payload,
    "clear_payload": clear_payload,
    "update_vectors": update_vectors,
    "delete_vectors": delete_vectors,
}
"""Operations by their name in a batch."""


def batch(collection: Collection, raw: Raw) -> list[Operation]:
    """Several writes, parsed all before the first is applied."""
    parsed = []
    for item in bodies.decode(raw, bodies.Batch).operations:
        if len(item) != 1:
            raise malformed("each operation is an object with one member")
        name, body = next(iter(item.items()))
        if name not in BATCHED:
            raise unsupported(f"{name} in a batch")
        parsed.append(BATCHED[name](collection, body))
    return parsed


def create_index(_: Collection, raw: Raw) -> Operation:
    """Index a payload member."""
    body = bodies.decode(raw, bodies.CreateIndex)
    schema = body.field_schema.get("type") if isinstance(body.field_schema, dict) else body.field_schema
    if schema is None:
        raise malformed("field_schema is missing")
    if schema not in _INDEXES:
        raise malformed(f"unknown field_schema {schema!r}, expected one of {', '.join(_INDEXES)}")
    return Operation.create_field_index(body.field_name, _INDEXES[schema])


def _rows(columns: bodies.Columns) -> list[bodies.Point]:
    vectors: Sequence[Any]
    if isinstance(columns.vectors, dict):
        names = list(columns.vectors)
        lengths = {len(column) for column in columns.vectors.values()}
        vectors = [dict(zip(names, row, strict=False)) for row in zip(*columns.vectors.values(), strict=False)]
    else:
        lengths = {len(columns.vectors)}
        vectors = columns.vectors
    payloads = columns.payloads or [None] * len(columns.ids)
    if lengths != {len(columns.ids)} or len(payloads) != len(columns.ids):
        raise wrong_input("ids, vectors and payloads of a batch must be equally many")
    return [bodies.Point(*row) for row in zip(columns.ids, vectors, payloads, strict=True)]


def _id(value: bodies.Id) -> bodies.Id:
    if isinstance(value, int) and not 0 <= value < 2**64:
        raise malformed(f"value {value} is not a valid point ID, valid values are an unsigned integer or a UUID")
    return value


def _vector(collection: Collection, vector: bodies.Vector) -> Any:
    if isinstance(vector, list):
        _check_size(collection, "", vector)
        return vector
    return {name: _named(collection, name, value) for name, value in vector.items()}


def _named(collection: Collection, name: str, value: Any) -> Any:
    if isinstance(value, dict):
        sparse = bodies.convert(value, _Sparse)
        return edge.SparseVector(indices=sparse.indices, values=sparse.values)
    dense = bodies.convert(value, list[bodies.Float32])
    _check_size(collection, name, dense)
    return dense


class _Sparse(bodies.Strict):
    indices: list[int]
    values: list[bodies.Float32]


def _check_size(collection: Collection, name: str, vector: list[float]) -> None:
    expected = collection.sizes.get(name)
    if expected is None:
        raise wrong_input(f"Not existing vector name error: {name}")
    if len(vector) != expected:
        raise wrong_input(f"Vector dimension error: expected dim: {expected}, got {len(vector)}")


def _select(body: bodies.Selector, by_id: Any, by_filter: Any, *arguments: Any) -> Operation:
    if body.points is not None:
        return by_id([_id(one) for one in body.points], *arguments)
    chosen = parse_filter(body.filter)
    if chosen is None:
        raise malformed("give points or filter")
    return by_filter(chosen, *arguments)
