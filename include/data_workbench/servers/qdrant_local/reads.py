"""Operations that look at points."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import qdrant_edge as edge

from data_workbench.servers.qdrant_local import bodies, configuration
from data_workbench.servers.qdrant_local.filters import parse_filter
from data_workbench.servers.qdrant_local.refusals import malformed, not_found, unsupported, wrong_input
from data_workbench.servers.qdrant_local.store import Collection

Json = dict[str, Any]

_DEFAULT_LIMIT = 10
_DIRECTIONS = {None: None, "asc": edge.Direction.Asc, "desc": edge.Direction.Desc}


def info(collection: Collection) -> Json:
    """State, counts and configuration of a collection."""
    with collection.shard() as shard:
        found = shard.info()
    schema = {
        name: {"data_type": str(index.data_type).rpartition(".")[2].lower(), "points": index.points}
        for name, index in found.payload_schema.items()
    }
    return {
        "status": "green",
        "optimizer_status": "ok",
        "indexed_vectors_count": found.indexed_vectors_count,
        "points_count": found.points_count,
        "segments_count": found.segments_count,
        "config": configuration.described(collection.config),
        "payload_schema": schema,
        "update_queue": {"length": 0},
    }


def retrieve(collection: Collection, raw: bytes) -> list[Json]:
    """The points that are there, of those asked for."""
    body = bodies.decode(raw, bodies.Retrieve)
    with collection.shard() as shard:
        found = shard.retrieve([*body.ids], _payload(body.with_payload), _vectors(body.with_vector))
    return [_record(one) for one in found]


def retrieve_one(collection: Collection, text: str) -> Json:
    """One point, by the id in a URL."""
    wanted: int | str = int(text) if text.isdigit() else text
    with collection.shard() as shard:
        found = shard.retrieve([wanted], True, True)
    if not found:
        raise not_found(f"Point with id {text} does not exists!")
    return _record(found[0])


def scroll(collection: Collection, raw: bytes) -> Json:
    """A page of points, and where the next begins."""
    body = bodies.decode(raw, bodies.Scroll)
    order = _order(body.order_by) if body.order_by is not None else None
    if order is not None and body.offset is not None:
        raise wrong_input("Cannot use an `offset` when using `order_by`. The alternative is `start_from`")
    request = edge.ScrollRequest(
        offset=body.offset,
        limit=_limit(body.limit),
        filter=parse_filter(body.filter),
        with_payload=_payload(body.with_payload),
        with_vector=_vectors(body.with_vector),
        order_by=order,
    )
    with collection.shard() as shard:
        points, following = shard.scroll(request)
    return {"points": [_record(one) for one in points], "next_page_offset": _plain_id(following)}


def query(collection: Collection, raw: bytes) -> Json:
    """The nearest points to a vector or to a point."""
    return _query(collection, bodies.decode(raw, bodies.Query))


def query_batch(collection: Collection, raw: bytes) -> list[Json]:
    """Several queries, answered in order."""
    return [_query(collection, one) for one in bodies.decode(raw, bodies.Queries).searches]


def count(collection: Collection, raw: bytes) -> Json:
    """How many points fit a filter."""
    body = bodies.decode(raw, bodies.Count)
    with collection.shard() as shard:
        return {
            "count": shard.count(edge.CountRequest(exact=body.exact is not False, filter=parse_filter(body.filter)))
        }


def facet(collection: Collection, raw: bytes) -> Json:
    """Values of an indexed payload member with their counts."""
    body = bodies.decode(raw, bodies.Facet)
    request = edge.FacetRequest(
        key=body.key, limit=_limit(body.limit), exact=bool(body.exact), filter=parse_filter(body.filter)
    )
    with collection.shard() as shard:
        return {"hits": [{"value": hit.value, "count": hit.count} for hit in shard.facet(request)]}


def _query(collection: Collection, body: bodies.Query) -> Json:
    with collection.shard() as shard:
        scoring, own_id = _scoring(shard, body)
        chosen = parse_filter(body.filter)
        if own_id is not None:
            # A point is not its own neighbour.
            others = edge.Filter(must_not=[edge.HasIdCondition({own_id})])
            chosen = others if chosen is None else edge.Filter(must=[chosen, others])
        request = edge.QueryRequest(
            limit=_limit(body.limit),
            offset=body.offset or 0,
            query=scoring,
            filter=chosen,
            score_threshold=body.score_threshold,
            with_payload=_payload(body.with_payload),
            with_vector=_vectors(body.with_vector),
            params=_params(body.params),
        )
        found = shard.query(request)
    return {"points": [_record(one) | {"version": one.version, "score": one.score} for one in found]}


def _scoring(shard: edge.EdgeShard, body: bodies.Query) -> tuple[Any, bodies.Id | None]:
    """What to score by, and the id of the point whose vector that is."""
    wanted = body.query
    if isinstance(wanted, dict):
        name: str
        value: Any
        name, value = next(iter(wanted.items()), ("", None))
        if name == "order_by":
            return _order(value), None
        if name == "sample":
            return edge.Sample.Random, None
        if name == "indices" or (name == "nearest" and isinstance(value, dict)):
            return edge.Query.Nearest(_sparse(wanted if name == "indices" else value), using=body.using), None
        if name != "nearest" or len(wanted) > 1:
            raise unsupported(f"query by {', '.join(wanted)}")
        wanted = value
    if wanted is None:
        return None, None
    if isinstance(wanted, list):
        vector = bodies.convert(wanted, list[bodies.Float32])
        return edge.Query.Nearest(vector, using=body.using), None
    if isinstance(wanted, bool) or not isinstance(wanted, int | str):
        raise malformed("a query is a vector, a point id or an object")
    return edge.Query.Nearest(_vector_of(shard, wanted, body.using), using=body.using), wanted


def _vector_of(shard: edge.EdgeShard, wanted: bodies.Id, using: str | None) -> Any:
    found = shard.retrieve([wanted], False, True)
    if not found:
        raise not_found(f"No point with id {wanted} found")
    vector: Any = found[0].vector
    if using:
        vector = vector.get(using) if isinstance(vector, dict) else None
    if vector is None:
        raise wrong_input(f"point {wanted} has no vector {using or ''}")
    return vector


def _sparse(body: Json) -> edge.SparseVector:
    if set(body) != {"indices", "values"}:
        raise unsupported(f"query by an object with {', '.join(sorted(body))}")
    return edge.SparseVector(indices=body["indices"], values=body["values"])


def _params(body: Json | None) -> edge.SearchParams | None:
    given = {name: value for name, value in (body or {}).items() if value is not None}
    for name in given:
        if name not in ("exact", "hnsw_ef", "indexed_only"):
            raise unsupported(f"search parameter {name}")
    return edge.SearchParams(**given) if given else None


def _order(body: str | Json) -> edge.OrderBy:
    if isinstance(body, str):
        return edge.OrderBy(key=body)
    return edge.OrderBy(
        key=body["key"], direction=_DIRECTIONS[body.get("direction")], start_from=body.get("start_from")
    )


def _limit(value: int | None) -> int:
    if value is None:
        return _DEFAULT_LIMIT
    if value < 1:
        raise malformed(f"limit: value {value} invalid, must be 1 or larger")
    return value


def _payload(selector: Any) -> Any:
    """Of `true`, a list of keys, `{"include": …}` and `{"exclude": …}`."""
    if isinstance(selector, dict):
        if set(selector) == {"include"}:
            return edge.PayloadSelector.Include(selector["include"])
        if set(selector) == {"exclude"}:
            return edge.PayloadSelector.Exclude(selector["exclude"])
        raise malformed("with_payload takes either include or exclude")
    return False if selector is None else selector


def _vectors(selector: Any) -> Any:
    return False if selector is None else selector


def _plain_id(value: Any) -> int | str | None:
    return str(value) if isinstance(value, UUID) else value


def _record(found: Any) -> Json:
    answer: Json = {"id": _plain_id(found.id), "payload": found.payload}
    if found.vector is not None:
        answer["vector"] = _plain_vector(found.vector)
    if found.order_value is not None:
        answer["order_value"] = found.order_value
    return answer


def _plain_vector(vector: Any) -> Any:
    if isinstance(vector, edge.SparseVector):
        return {"indices": vector.indices, "values": vector.values}
    if isinstance(vector, dict):
        return {name: _plain_vector(value) for name, value in vector.items()}
    return vector
