"""Lineage over HTTP as a graph, in the form of Marquez: what is around a dataset, a job or a column."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from data_workbench.api.services.lineage import standing
from data_workbench.errors import UsageError
from data_workbench.metastore import lineage_reading as reading
from data_workbench.metastore.lineage_facts import Name

if TYPE_CHECKING:
    from data_workbench.lineage.graph import Direction, Graph

_INPUT = ("namespace", "dataset", "field")
_Edges = dict[str, tuple[set[str], set[str]]]
"""Of each node by its id: where edges come from, and where they go to."""


def neighbourhood(
    node: str, *, depth: int, direction: Literal["both", "upstream", "downstream"], as_of: str | None
) -> list[dict[str, Any]]:
    """Datasets and jobs around a node, in the form of Marquez.

    Raises:
        UsageError: there is no such node.
    """
    with standing(as_of) as (graph, _):
        kind, number = _node(node, graph)
        ways = _ways(direction)
        start = {number} if kind == "dataset" else None
        near: set[int] = set()
        for way in ways:
            begun = start or (graph.inputs if way == "upstream" else graph.outputs)[number]
            near |= begun | set(graph.reach(begun, way, depth=depth - (kind == "job")).datasets if depth else ())
        jobs = {number} if kind == "job" else set()
        return _marquez(graph, near, jobs)


def _node(node: str, graph: Graph) -> tuple[str, int]:
    kind, _, rest = node.partition(":")
    known = {"dataset": graph.by_name, "job": {name: at for at, name in enumerate(graph.jobs)}}.get(kind)
    if known is None:
        raise UsageError(f"{node[:200]!r} is no node", hint="write it as dataset:NAMESPACE:NAME or job:NAMESPACE:NAME")
    parts = rest.split(":")
    for cut in range(1, len(parts)):
        found = known.get(Name(":".join(parts[:cut]), ":".join(parts[cut:])))
        if found is not None:
            return kind, found
    raise UsageError(f"lineage knows no node {node[:200]!r}", hint="see /data/lineage/datasets and /data/lineage/jobs")


def _marquez(graph: Graph, datasets: set[int], jobs: set[int]) -> list[dict[str, Any]]:
    """Nodes with their edges: those of jobs lead from a dataset and to one."""
    between: _Edges = {}
    told: dict[str, Name] = {}
    for source, job, target in graph.edges():
        if (source in datasets and target in datasets) or job in jobs:
            ends = [_id("dataset", graph.datasets[source]), _id("dataset", graph.datasets[target])]
            middle = _id("job", graph.jobs[job])
            told |= {ends[0]: graph.datasets[source], ends[1]: graph.datasets[target], middle: graph.jobs[job]}
            between.setdefault(ends[0], (set(), set()))[1].add(middle)
            between.setdefault(middle, (set(), set()))[0].add(ends[0])
            between[middle][1].add(ends[1])
            between.setdefault(ends[1], (set(), set()))[0].add(middle)
    for one in datasets:
        told.setdefault(_id("dataset", graph.datasets[one]), graph.datasets[one])
    for one in jobs:
        told.setdefault(_id("job", graph.jobs[one]), graph.jobs[one])
    return [
        _shown(identity, identity.partition(":")[0].upper(), {"namespace": name.namespace, "name": name.name}, between)
        for identity, name in sorted(told.items())
    ]


def _shown(identity: str, kind: str, data: dict[str, Any], between: _Edges) -> dict[str, Any]:
    before, after = between.get(identity, (set(), set()))
    return {
        "id": identity,
        "type": kind,
        "data": data,
        "inEdges": [{"origin": one, "destination": identity} for one in sorted(before)],
        "outEdges": [{"origin": identity, "destination": one} for one in sorted(after)],
    }


def _ways(direction: Literal["both", "upstream", "downstream"]) -> tuple[Direction, ...]:
    return ("upstream", "downstream") if direction == "both" else (direction,)


def _id(kind: str, name: Name) -> str:
    return f"{kind}:{name.namespace}:{name.name}"


# -------------------------------------------------------------------------------------------------------- columns


def columns_around(
    node: str, *, depth: int, direction: Literal["both", "upstream", "downstream"], as_of: str | None
) -> list[dict[str, Any]]:
    """Columns that one is made of, and that are made of it; of a dataset, of all its columns that lineage names.

    Raises:
        UsageError: there is no such node.
    """
    with standing(as_of) as (graph, store):
        start = _fields(node, graph)
        near = set(start)
        for way in _ways(direction):
            for one in start if depth else ():
                near |= {
                    (at, name) for at, name in graph.reach_column(one, way, depth=depth).columns if name is not None
                }
        types = reading.fields_at(store, sorted({graph.ids[dataset] for dataset, _ in near}), graph.at)
        return _column_graph(graph, near, types)


def _fields(node: str, graph: Graph) -> set[tuple[int, str]]:
    kind, _, rest = node.partition(":")
    if kind == "dataset":
        number = _node(node, graph)[1]
        return {(number, name) for name in graph.columns_of(number)}
    if kind != "datasetField":
        hint = "write it as datasetField:NAMESPACE:NAME:COLUMN or dataset:NAMESPACE:NAME"
        raise UsageError(f"{node[:200]!r} is no node", hint=hint)
    parts = rest.split(":")
    for first in range(1, len(parts)):
        for last in range(first + 1, len(parts)):
            dataset = graph.by_name.get(Name(":".join(parts[:first]), ":".join(parts[first:last])))
            column = ":".join(parts[last:])
            if dataset is not None and column in graph.columns_of(dataset):
                return {(dataset, column)}
    raise UsageError(
        f"lineage knows no column {node[:200]!r}", hint="see /data/lineage/columns?node=dataset:NAMESPACE:NAME"
    )


def _column_graph(graph: Graph, near: set[tuple[int, str]], types: dict[str, Any]) -> list[dict[str, Any]]:
    between: _Edges = defaultdict(lambda: (set(), set()))
    inputs: dict[str, set[tuple[str, str, str]]] = defaultdict(set)
    for source, given, target, made in _column_ways(graph, near):
        ends = _field_id(graph, source, given), _field_id(graph, target, made)
        between[ends[0]][1].add(ends[1])
        between[ends[1]][0].add(ends[0])
        inputs[ends[1]].add((*graph.datasets[source], given))
    found = []
    for dataset, column in sorted(near):
        identity, name = _field_id(graph, dataset, column), graph.datasets[dataset]
        kinds = {str(one.get("name")): one.get("type") for one in types.get(graph.ids[dataset], ())}
        data = {
            "namespace": name.namespace,
            "dataset": name.name,
            "field": column,
            "fieldType": kinds.get(column),
            "inputFields": [dict(zip(_INPUT, one, strict=True)) for one in sorted(inputs[identity])],
        }
        found.append(_shown(identity, "DATASET_FIELD", data, between))
    return found


def _column_ways(graph: Graph, near: set[tuple[int, str]]) -> Iterator[tuple[int, str, int, str]]:
    """Ways among these columns; what decides which rows there are leads to all columns of its dataset."""
    columns: dict[int, set[str]] = defaultdict(set)
    for dataset, column in near:
        columns[dataset].add(column)
    for source, given, _, target, made in graph.column_edges():
        if given is not None and (source, given) in near:
            for one in columns.get(target, ()) if made is None else columns.get(target, set()) & {made}:
                yield source, given, target, one


def _field_id(graph: Graph, dataset: int, column: str) -> str:
    name = graph.datasets[dataset]
    return f"datasetField:{name.namespace}:{name.name}:{column}"
