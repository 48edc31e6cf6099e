"""Shapes of request bodies, decoded and checked in one go by msgspec.

Numbers outside float32 and nulls in vectors (what a JSON client makes of NaN) are refused while decoding.
Members that Qdrant knows and the local server does not are named in a 501.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import msgspec

from data_workbench.servers.qdrant_local.refusals import malformed, unsupported

_FLOAT32_MAX = 3.4028234663852886e38

Float32 = Annotated[float, msgspec.Meta(ge=-_FLOAT32_MAX, le=_FLOAT32_MAX)]
Id = int | str
Json = dict[str, Any]
Vector = list[Float32] | dict[str, Any]

Body = TypeVar("Body")

_UNKNOWN = "Object contains unknown field "


class Strict(msgspec.Struct, forbid_unknown_fields=True):
    """Base of all bodies."""


class Point(Strict):
    """One point to write."""

    id: Id
    vector: Vector
    payload: Json | None = None


class Columns(Strict):
    """Points as columns."""

    ids: list[Id]
    vectors: list[list[Float32]] | dict[str, list[Any]]
    payloads: list[Json | None] | None = None


class Upsert(Strict):
    """Either `points` or `batch`."""

    points: list[Point] | None = None
    batch: Columns | None = None
    update_filter: Any = None
    update_mode: str | None = None
    shard_key: None = None


class Selector(Strict):
    """Points by id or by filter."""

    points: list[Id] | None = None
    filter: Any = None
    shard_key: None = None


class SetPayload(Selector):
    """Members to set on points."""

    payload: Json = msgspec.field(default_factory=dict)
    key: str | None = None


class DeletePayload(Selector):
    """Members to remove from points."""

    keys: list[str] = msgspec.field(default_factory=list)


class PointVector(Strict):
    """A vector for a point that is there."""

    id: Id
    vector: Vector


class UpdateVectors(Strict):
    """Vectors of points that are there."""

    points: list[PointVector]
    update_filter: Any = None
    shard_key: None = None


class DeleteVectors(Selector):
    """Named vectors to remove from points."""

    vector: list[str] = msgspec.field(default_factory=list)


class Batch(Strict):
    """Writes in order."""

    operations: list[dict[str, msgspec.Raw]]


class CreateIndex(Strict):
    """A payload index."""

    field_name: str
    field_schema: str | Json | None = None


class Retrieve(Strict):
    """Points by id."""

    ids: list[Id]
    with_payload: Any = True
    with_vector: Any = False
    shard_key: None = None


class Scroll(Strict):
    """Points in the order of their ids, or of a payload member."""

    offset: Id | None = None
    limit: int | None = None
    filter: Any = None
    with_payload: Any = True
    with_vector: Any = False
    order_by: str | Json | None = None
    shard_key: None = None


class Query(Strict):
    """The nearest points."""

    query: Any = None
    using: str | None = None
    filter: Any = None
    params: Json | None = None
    score_threshold: float | None = None
    limit: int | None = None
    offset: int | None = None
    with_payload: Any = False
    with_vector: Any = False
    shard_key: None = None


class Queries(Strict):
    """Several queries."""

    searches: list[Query]


class Count(Strict):
    """How many points."""

    filter: Any = None
    exact: bool | None = True
    shard_key: None = None


class Facet(Strict):
    """Values of a payload member with their counts."""

    key: str
    limit: int | None = None
    filter: Any = None
    exact: bool | None = None
    shard_key: None = None


def decode(raw: bytes | msgspec.Raw, kind: type[Body]) -> Body:
    """Read a body.

    Raises:
        Refusal: it is not JSON, or not of this shape.
    """
    try:
        return msgspec.json.decode(raw or b"{}", type=kind)
    except msgspec.ValidationError as error:
        message = str(error)
        if message.startswith(_UNKNOWN):
            raise unsupported(f"{message.removeprefix(_UNKNOWN)} of {kind.__name__}") from error
        raise malformed(message) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise malformed(str(error)) from error


def decode_object(raw: bytes) -> Json:
    """Read a body that is any object."""
    return decode(raw, dict[str, Any])


def convert(value: Any, kind: type[Body]) -> Body:
    """Check a part of a body that was decoded without a type."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise malformed(str(error)) from error
