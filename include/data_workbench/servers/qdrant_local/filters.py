"""Filters from JSON into the engine's objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy
import qdrant_edge as edge

from data_workbench.servers.qdrant_local.refusals import malformed, unsupported

Json = dict[str, Any]

_MATCHES: dict[str, Callable[[Any], Any]] = {
    "value": edge.MatchValue,
    "text": edge.MatchText,
    "text_any": edge.MatchTextAny,
    "phrase": edge.MatchPhrase,
    "prefix": edge.MatchPrefix,
    "any": edge.MatchAny,
    "except": edge.MatchExcept,
}
_DEEPEST = 32


def parse_filter(body: Any, depth: int = 0) -> edge.Filter | None:
    """The engine's filter; None for none.

    Raises:
        Refusal: a condition is malformed or unknown.
    """
    if body is None:
        return None
    if not isinstance(body, dict):
        raise malformed("a filter must be an object")
    if depth > _DEEPEST:
        raise malformed(f"filters are nested deeper than {_DEEPEST}")
    unknown = set(body) - {"must", "should", "must_not", "min_should"}
    if unknown:
        raise malformed(f"unknown field `{min(unknown)}`, expected one of `should`, `min_should`, `must`, `must_not`")
    parts: dict[str, Any] = {name: _conditions(body.get(name), depth) for name in ("must", "should", "must_not")}
    if (least := body.get("min_should")) is not None:
        conditions = _conditions(least["conditions"], depth) or []
        parts["min_should"] = edge.MinShould(conditions=conditions, min_count=least["min_count"])
    return edge.Filter(**parts)


def _conditions(body: Any, depth: int) -> list[Any] | None:
    if body is None:
        return None
    return [_condition(one, depth) for one in (body if isinstance(body, list) else [body])]


def _condition(body: Any, depth: int) -> Any:
    if not isinstance(body, dict):
        raise malformed("a condition must be an object")
    if "key" in body:
        return _field(body)
    if "has_id" in body:
        return edge.HasIdCondition(set(body["has_id"]))
    if "has_vector" in body:
        return edge.HasVectorCondition(body["has_vector"])
    if "is_empty" in body:
        return edge.IsEmptyCondition(body["is_empty"]["key"])
    if "is_null" in body:
        return edge.IsNullCondition(body["is_null"]["key"])
    if "nested" in body:
        inner = body["nested"]
        return edge.NestedCondition(inner["key"], parse_filter(inner["filter"], depth + 1) or edge.Filter())
    if set(body) & {"must", "should", "must_not", "min_should"} or not body:
        return parse_filter(body, depth + 1)
    raise unsupported(f"filter condition with {', '.join(sorted(body))}")


def _field(body: Json) -> edge.FieldCondition:
    given = {name: value for name, value in body.items() if value is not None}
    parsed: dict[str, Any] = {"key": given.pop("key")}
    for name, value in given.items():
        parsed[name] = _FIELD_PARTS.get(name, _unknown(name))(value)
    if len(parsed) == 1:
        raise malformed(f"the condition on {parsed['key']!r} is empty")
    return edge.FieldCondition(**parsed)


def _unknown(name: str) -> Callable[[Any], Any]:
    def refuse(_: Any) -> Any:
        raise unsupported(f"filter on a field by {name}")

    return refuse


def _match(body: Json) -> Any:
    for name, make in _MATCHES.items():
        if name in body:
            value = body[name]
            if name == "value" and isinstance(value, float):
                raise malformed("a match takes a string, an integer or a boolean; use a range for floats")
            # The engine's binding takes Python's bool for an integer, but NumPy's for what it is.
            return make(numpy.bool_(value) if isinstance(value, bool) else value)
    raise malformed(f"a match needs one of {', '.join(_MATCHES)}")


def _range(body: Json) -> Any:
    bounds = {name: body[name] for name in ("gt", "gte", "lt", "lte") if body.get(name) is not None}
    if any(isinstance(bound, str) for bound in bounds.values()):
        return edge.RangeDateTime(**bounds)
    return edge.RangeFloat(**{name: float(bound) for name, bound in bounds.items()})


def _point(body: Json) -> edge.GeoPoint:
    return edge.GeoPoint(lon=body["lon"], lat=body["lat"])


def _box(body: Json) -> edge.GeoBoundingBox:
    return edge.GeoBoundingBox(top_left=_point(body["top_left"]), bottom_right=_point(body["bottom_right"]))


def _radius(body: Json) -> edge.GeoRadius:
    return edge.GeoRadius(center=_point(body["center"]), radius=body["radius"])


def _values_count(body: Json) -> edge.ValuesCount:
    return edge.ValuesCount(**{name: body[name] for name in ("lt", "gt", "lte", "gte") if body.get(name) is not None})


_FIELD_PARTS: dict[str, Callable[[Any], Any]] = {
    "match": _match,
    "range": _range,
    "geo_bounding_box": _box,
    "geo_radius": _radius,
    "values_count": _values_count,
    "is_empty": bool,
    "is_null": bool,
}
