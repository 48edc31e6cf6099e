"""What the page "Lineage" draws: datasets and jobs around one dataset, in layers, and the way of one column."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from data_workbench.api.services.lineage import standing
from data_workbench.errors import UsageError
from data_workbench.lineage.events import pipeline_of
from data_workbench.metastore import lineage_reading as reading
from data_workbench.metastore.lineage_facts import Name

if TYPE_CHECKING:
    from data_workbench.lineage.graph import Direction, Graph
    from data_workbench.metastore import Metastore

Way = Literal["both", "upstream", "downstream"]
SHOWN = 24
"""Nodes of a layer that are drawn; the others are one, until it is opened."""
LISTED = 200


@dataclass
class Node:
    """A dataset, a job (of the workbench: a whole pipeline), or those of a layer that are not drawn.

    Args:
        layer: even for datasets, odd for jobs; 0 is the one in focus, what it is made of is to the left.
        columns: those that the column in question reaches, or is made of; '*' for all.
        hidden: what is not drawn.
    """

    kind: Literal["dataset", "job", "more"]
    name: Name
    layer: int
    pipeline: str | None = None
    columns: list[str] = field(default_factory=list)
    hidden: list[Name] = field(default_factory=list)
    is_hot: bool = False
    """Whether the column in question goes through it."""
    is_focus: bool = False


@dataclass(frozen=True)
class Edge:
    """From a node to another, by their numbers; hot where the column in question goes along."""

    source: int
    target: int
    hot: bool


@dataclass
class View:
    """Everything around a dataset."""

    focus: Name
    column: str | None
    nodes: list[Node]
    edges: list[Edge]
    reached: list[tuple[Name, int]]
    """Datasets with the number of jobs between, negative for those it is made of; nearest first."""
    count: int
    """How many are reached in all."""
    columns: list[dict[str, Any]]
    """Of the dataset in focus: name, type."""
    owners: list[str]
    as_of: str | None


def overview(search: str | None, namespace: str | None) -> tuple[list[dict[str, Any]], int, list[dict[str, Any]]]:
    """Datasets that a search finds, how many there are, and all namespaces that have some."""
    with standing() as (_, store):
        found, count = reading.listed(store, "datasets", namespace=namespace, search=search, limit=LISTED, offset=0)
        spaces = [one for one in reading.namespaces(store) if one["datasets"]]
    return found, count, spaces


def around(
    focus: Name, *, column: str | None, depth: int | None, way: Way, opened: Collection[int], as_of: str | None
) -> View:
    """What is around a dataset.

    Raises:
        UsageError: lineage does not know it, or the moment is none.
    """
    with standing(as_of) as (graph, store):
        number = graph.by_name.get(focus)
        if number is None:
            raise UsageError(f"lineage knows no dataset {focus.name!r} of {focus.namespace!r}")
        layers = _layers(graph, number, depth, way)
        hits = _hits(graph, number, column, depth, way) if column else {}
        drawn = _Drawn(graph, number, layers, hits, opened)
        drawn.add_edges()
        if way != "upstream":
            drawn.add_readers()
        reached = sorted(((graph.datasets[one], at // 2) for one, at in layers.items() if at), key=_nearest)
        return View(
            focus,
            column,
            *drawn.cut(),
            reached[:LISTED],
            len(reached),
            _columns(graph, store, number),
            reading.owners(store, [graph.ids[number]]).get(graph.ids[number], []),
            as_of,
        )


def _nearest(item: tuple[Name, int]) -> tuple[int, bool, Name]:
    return abs(item[1]), item[1] > 0, item[0]


def _ways(way: Way) -> tuple[Direction, ...]:
    return ("upstream", "downstream") if way == "both" else (way,)


def _layers(graph: Graph, focus: int, depth: int | None, way: Way) -> dict[int, int]:
    """Each dataset's layer; one that is behind and before the focus is drawn where it is nearer."""
    found = {focus: 0}
    for direction in _ways(way):
        sign = 2 if direction == "downstream" else -2
        for one, hops in graph.reach([focus], direction, depth=depth).datasets.items():
            if one not in found or abs(found[one]) > 2 * hops:
                found[one] = sign * hops
    return found


def _hits(graph: Graph, focus: int, column: str, depth: int | None, way: Way) -> dict[int, set[str]]:
    """Columns by dataset that a column reaches or is made of; '*' for a whole dataset."""
    found: dict[int, set[str]] = defaultdict(set)
    found[focus].add(column)
    for direction in _ways(way):
        for dataset, name in graph.reach_column((focus, column), direction, depth=depth).columns:
            found[dataset].add("*" if name is None else name)
    return found


def _columns(graph: Graph, store: Metastore, focus: int) -> list[dict[str, Any]]:
    known = reading.fields_at(store, [graph.ids[focus]], graph.at).get(graph.ids[focus], [])
    told = {str(one.get("name")): one.get("type") for one in known}
    return [{"name": name, "type": told.get(name)} for name in dict.fromkeys([*told, *graph.columns_of(focus)])]


class _Drawn:
    """Nodes and edges as they are found."""

    def __init__(
        self, graph: Graph, focus: int, layers: dict[int, int], hits: dict[int, set[str]], opened: Collection[int]
    ) -> None:
        self._graph, self._layers, self._hits, self._opened = graph, layers, hits, opened
        self.nodes: dict[tuple[str, Name, int], Node] = {}
        self.edges: dict[tuple[tuple[str, Name, int], tuple[str, Name, int]], bool] = {}
        self._hot = self._hot_ways()
        for dataset, layer in layers.items():
            name = graph.datasets[dataset]
            columns = sorted(hits.get(dataset, ()))
            self.nodes["dataset", name, layer] = Node(
                "dataset", name, layer, columns=columns, is_focus=dataset == focus
            )

    def _hot_ways(self) -> set[tuple[int, int, int]]:
        """Ways between datasets that the column in question goes."""
        hits = self._hits
        found = {
            (source, job, target)
            for source, given, job, target, made in self._graph.column_edges()
            if source in hits and target in hits
            if {given, "*"} & hits[source] and ({made, "*"} & hits[target] or made is None)
        }
        wholes = {one for one, columns in hits.items() if "*" in columns}
        return found | {way for way in self._graph.edges() if way[0] in hits and way[2] in wholes}

    def add_edges(self) -> None:
        for source, job, target in self._graph.edges():
            if source in self._layers and target in self._layers:
                hot = (source, job, target) in self._hot
                middle = self._job(job, self._layers[source] + 1)
                self._join(self._dataset(source), middle, hot=hot)
                self._join(middle, self._dataset(target), hot=hot)

    def add_readers(self) -> None:
        """Jobs of others that read what is drawn from the focus on, and write nothing."""
        for job, read in self._graph.inputs.items():
            if self._graph.outputs.get(job) or pipeline_of(self._graph.jobs[job]):
                continue
            for source in read & self._layers.keys():
                if self._layers[source] >= 0:
                    self._join(self._dataset(source), self._job(job, self._layers[source] + 1), hot=False)

    def _dataset(self, dataset: int) -> tuple[str, Name, int]:
        return "dataset", self._graph.datasets[dataset], self._layers[dataset]

    def _job(self, job: int, layer: int) -> tuple[str, Name, int]:
        name = self._graph.jobs[job]
        pipeline = pipeline_of(name)
        shown = Name(name.namespace, pipeline) if pipeline else name
        self.nodes.setdefault(("job", shown, layer), Node("job", shown, layer, pipeline))
        return "job", shown, layer

    def _join(self, a: tuple[str, Name, int], b: tuple[str, Name, int], *, hot: bool) -> None:
        self.edges[a, b] = self.edges.get((a, b), False) or hot

    def cut(self) -> tuple[list[Node], list[Edge]]:
        """Nodes and edges that are drawn: of large layers the first, and one that stands for the others."""
        degree: dict[tuple[str, Name, int], int] = defaultdict(int)
        hot = set()
        for (a, b), is_hot in self.edges.items():
            degree[a] += 1
            degree[b] += 1
            hot |= {a, b} if is_hot else set()
        layers: dict[int, list[tuple[str, Name, int]]] = defaultdict(list)
        for key in self.nodes:
            layers[key[2]].append(key)
        nodes: list[Node] = []
        place: dict[tuple[str, Name, int], int] = {}
        for layer, keys in sorted(layers.items()):
            for key in keys:
                self.nodes[key].is_hot = key in hot
            keys.sort(key=lambda key: (key not in hot, -degree[key], key[1]))
            most = len(keys) if layer in self._opened or len(keys) <= SHOWN + 1 else SHOWN
            for key in keys[:most]:
                place[key] = len(nodes)
                nodes.append(self.nodes[key])
            if keys[most:]:
                place |= dict.fromkeys(keys[most:], len(nodes))
                nodes.append(Node("more", Name("", ""), layer, hidden=[key[1] for key in keys[most:]]))
        joined: dict[tuple[int, int], bool] = {}
        for (a, b), is_hot in self.edges.items():
            ends = place[a], place[b]
            joined[ends] = joined.get(ends, False) or is_hot
        return nodes, [Edge(*ends, is_hot) for ends, is_hot in joined.items()]
