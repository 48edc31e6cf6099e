"""From an OpenLineage event, ours or another's, to what the graph folds in.

An event is taken as it is: what a valid one may leave out is left out here, too. Nothing is looked up.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from data_workbench.metastore.lineage_facts import ColumnEdge, DatasetFact, Fact, Name, Shape, digest
from data_workbench.records.values import storable

_STOPS = re.compile(r"\\u(0000|d[89a-f])")
"""A NUL, or half of a surrogate pair, as JSON writes them."""
LONGEST_EXPRESSION = 2_000
"""Characters kept of a transformation's description."""


def read_fact(event: Mapping[str, Any]) -> Fact:
    """What an event tells.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: it is no valid event (`validation.findings` says where).
    """
    identity = digest(event)
    at = datetime.fromisoformat(event["eventTime"].upper())
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    if "job" not in event:
        dataset = event["dataset"]
        return Fact(identity, "dataset", at, event, datasets=(_dataset(dataset),))
    inputs, outputs = event.get("inputs") or [], event.get("outputs") or []
    run, job = event.get("run"), event["job"]
    run_facets = _facets(run or {})
    return Fact(
        id=identity,
        kind="run" if run is not None else "job",
        at=at,
        event=event,
        state=event.get("eventType") if run is not None else "COMPLETE",
        run_id=storable(run["runId"]).lower() if run is not None else f"job-event:{identity}",
        job=_name(job),
        parent=_parent(run_facets.get("parent")),
        origin=_origin(run_facets.get("workbench_run")),
        shape=_shape(inputs, outputs),
        datasets=(*(_dataset(one, written=False) for one in inputs), *map(_dataset, outputs)),
        job_facets=_facets(job),
        run_facets=run_facets,
    )


def _name(item: Mapping[str, Any]) -> Name:
    return Name(storable(item["namespace"]), storable(item["name"]))


def _dataset(item: Mapping[str, Any], *, written: bool = True) -> DatasetFact:
    return DatasetFact(_name(item), _facets(item), written)


def _facets(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """As they are, but for what PostgreSQL stops at when a question looks into JSON: it would stop at all questions."""
    found: Mapping[str, Any] = item.get("facets") or {}
    return _storable(found) if _STOPS.search(json.dumps(found)) else found


def _storable(value: Any) -> Any:
    match value:
        case str():
            return storable(value)
        case Mapping():
            return {storable(name): _storable(one) for name, one in value.items()}
        case list():
            return [_storable(one) for one in value]
    return value


def _origin(facet: Mapping[str, Any] | None) -> str | None:
    """Of our own events the run's id here; what others say under that name may be anything."""
    told = (facet or {}).get("runId")
    return storable(told) if isinstance(told, str) else None


def _parent(facet: Mapping[str, Any] | None) -> tuple[str, Name] | None:
    if not facet or facet.get("_deleted"):
        return None
    return storable(facet["run"]["runId"]).lower(), _name(facet["job"])


def _shape(inputs: list[Any], outputs: list[Any]) -> Shape:
    described = {}
    for one in outputs:
        facet = (one.get("facets") or {}).get("columnLineage")
        if facet and not facet.get("_deleted"):
            described[_name(one)] = facet
    edges = frozenset(edge for name, facet in described.items() for edge in _columns(name, facet))
    return Shape(frozenset(map(_name, inputs)), frozenset(map(_name, outputs)), frozenset(described), _merged(edges))


def _columns(output: Name, facet: Mapping[str, Any]) -> Iterator[ColumnEdge]:
    for column, told in facet["fields"].items():
        for origin in told.get("inputFields") or []:
            yield _edge(origin, output, storable(column), told)
    for origin in facet.get("dataset") or []:
        yield _edge(origin, output, None, {})


def _edge(origin: Mapping[str, Any], output: Name, column: str | None, told: Mapping[str, Any]) -> ColumnEdge:
    uses = origin.get("transformations") or []
    kinds = {storable(use.get("subtype") or use["type"]) for use in uses}
    if not kinds and told.get("transformationType"):
        kinds = {storable(told["transformationType"])}
    expressions = {storable(use["description"])[:LONGEST_EXPRESSION] for use in uses if use.get("description")}
    made = (tuple(sorted(kinds)), tuple(sorted(expressions)))
    return ColumnEdge(_name(origin), storable(origin["field"]), output, column, *made)


def _merged(edges: frozenset[ColumnEdge]) -> frozenset[ColumnEdge]:
    """One edge between two columns, however often an event names it."""
    grouped: dict[ColumnEdge, tuple[set[str], set[str]]] = {}
    for one in edges:
        kinds, expressions = grouped.setdefault(one._replace(kinds=(), expressions=()), (set(), set()))
        kinds.update(one.kinds)
        expressions.update(one.expressions)
    return frozenset(
        ends._replace(kinds=tuple(sorted(kinds)), expressions=tuple(sorted(expressions)))
        for ends, (kinds, expressions) in grouped.items()
    )
