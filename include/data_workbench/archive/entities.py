"""Whole entities: what rows have in graph and vectors, archived with them, removed after them, and joined again.

The rows decide. Graph and points are read before the manifest is written and removed once the rows have left their
table; both steps may be done again, so a kill between them is mended by the next run. Of rows that stayed in the table
nothing is removed. What changed meanwhile stays, and is counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from data_workbench.archive.graph import EntityGraph, Line
from data_workbench.archive.lines import LineFile, read_lines
from data_workbench.archive.manifest import ExtraFacts, Manifest
from data_workbench.archive.points import EntityPoints
from data_workbench.archive.policy import Policy
from data_workbench.archive.shelf import Shelf
from data_workbench.mapping.graph_values import rows_of
from data_workbench.mapping.lossless_values import encoded, to_line
from data_workbench.mapping.point_ids import point_ids

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connections


@dataclass
class Beside:
    """Nodes, relationships and points that were removed or made, and those that stay or wait."""

    nodes: int = 0
    relationships: int = 0
    points: int = 0
    kept: int = 0
    waiting: int = 0


class Entities:
    """Graph and vectors of a policy's rows; nothing where the policy names none. Use as a context manager."""

    def __init__(self, policy: Policy, key: Sequence[str], connections: Connections) -> None:
        self._key = list(key)
        self._stack = ExitStack()
        self._graph = self._points = None
        if policy.graph is not None:
            self._graph = EntityGraph(connections.get(policy.graph.connection), policy.graph, key)
            self._stack.callback(self._graph.close)
        if policy.vectors is not None:
            self._points = EntityPoints(connections.get(policy.vectors.connection), policy.vectors)
            self._stack.callback(self._points.close)

    def __enter__(self) -> Entities:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def is_any(self) -> bool:
        """Whether there is anything beside the rows."""
        return self._graph is not None or self._points is not None

    def write(self, keys: pa.Table, shelf: Shelf, policy: str, archive: str) -> tuple[ExtraFacts, ...]:
        """Put what these rows have beside them on the shelf."""
        made = []
        if self._graph is not None:
            file = LineFile("graph")
            for line in self._graph.read(self._tuples(keys)):
                file.add(line)
            made.append(file.put(shelf, policy, archive))
        if self._points is not None:
            file = LineFile("vectors")
            for line in self._points.read(point_ids(keys, self._key)):
                file.add(line)
            made.append(file.put(shelf, policy, archive))
        return tuple(made)

    def remove(self, shelf: Shelf, manifest: Manifest, keys: pa.Table) -> Beside:
        """Remove what the rows with these keys had; they have left their table."""
        done = Beside()
        if self._graph is not None:
            mine = self._own(keys)
            nodes = (line for line in read_lines(shelf, manifest, "graph") if line["kind"] == "node")
            done.nodes, kept = self._graph.remove(line for line in nodes if to_line({"k": line["key"]}) in mine)
            done.kept += kept
        if self._points is not None:
            ids = set(point_ids(keys, self._key))
            points = (line for line in read_lines(shelf, manifest, "vectors") if line["id"] in ids)
            done.points, kept = self._points.remove(points)
            done.kept += kept
        return done

    def put_back(self, shelf: Shelf, manifest: Manifest, keys: pa.Table, done: Beside) -> set[bytes]:
        """Make nodes and points again that the rows with these keys had; what names the nodes, for `join`.

        The rows stand in their table.
        """
        stubs: set[bytes] = set()
        if self._graph is not None:
            mine = self._own(keys)
            nodes = [line for line in read_lines(shelf, manifest, "graph")
                     if line["kind"] == "node" and to_line({"k": line["key"]}) in mine]  # fmt: skip
            done.nodes += self._graph.put_nodes(nodes)
            stubs = {to_line(line["stub"]) for line in nodes}
        if self._points is not None:
            ids = set(point_ids(keys, self._key))
            points = (line for line in read_lines(shelf, manifest, "vectors") if line["id"] in ids)
            done.points += self._points.put(points)
        return stubs

    def join(self, shelf: Shelf, all_of: Iterable[Manifest], stubs: set[bytes], done: Beside) -> None:
        """Make relationships of these nodes again, where both ends are there.

        Args:
            all_of: manifests of all archives of the policy: a relationship between rows of two archives is kept with
                the one that left first.
        """
        if self._graph is not None and stubs:
            done.relationships, done.waiting = self._graph.join(_touching(shelf, all_of, stubs))

    def _tuples(self, keys: pa.Table) -> list[tuple[Any, ...]]:
        return [tuple(row[name] for name in self._key) for row in rows_of(keys.select(self._key))]

    def _own(self, keys: pa.Table) -> set[bytes]:
        return {to_line({"k": [encoded(value) for value in key]}) for key in self._tuples(keys)}


def _touching(shelf: Shelf, manifests: Iterable[Manifest], stubs: set[bytes]) -> Iterator[Line]:
    seen: set[bytes] = set()
    for manifest in manifests:
        for line in read_lines(shelf, manifest, "graph"):
            if line["kind"] != "relationship" or not {to_line(line["start"]), to_line(line["end"])} & stubs:
                continue
            # Neo4j gives the ids of what was deleted to others: only with all else they tell one from another.
            whole = to_line({name: value for name, value in line.items() if name != "key"})
            if whole not in seen:
                seen.add(whole)
                yield line
