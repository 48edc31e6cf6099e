"""What only a graph has: how many relationships a node has, and into which pieces the graph falls."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from data_workbench.connectors.powers import CanTellShape, Degree

_LARGEST: Final = 10
_LEVELS: Final = (0.0, 0.25, 0.5, 0.75, 0.95, 1.0)


def degrees(counts: np.ndarray[Any, Any]) -> dict[str, Any]:
    """How often each node occurs, as least, quartiles, greatest and mean; `without` has no relationship."""
    if not len(counts):
        return {"nodes": 0, "without": 0, "mean": None, "quantiles": {}}
    levels = np.quantile(counts, _LEVELS)
    return {
        "nodes": len(counts),
        "without": int((counts == 0).sum()),
        "mean": round(float(counts.mean()), 4),
        "quantiles": {str(level): float(value) for level, value in zip(_LEVELS, levels, strict=True)},
    }


def components(starts: np.ndarray[Any, Any], ends: np.ndarray[Any, Any], alone: int = 0) -> dict[str, Any]:
    """The weakly connected pieces of a graph given as edges; nodes without an edge are pieces of their own.

    Each node takes over the least number among its neighbours and that one's own, until nothing changes: a handful of
    passes over arrays, whatever the graph.
    """
    nodes, places = np.unique(np.concatenate([starts, ends]), return_inverse=True)
    one, other = places[: len(starts)], places[len(starts) :]
    root = np.arange(len(nodes))
    while True:
        least = np.minimum(root[one], root[other])
        before = root.copy()
        np.minimum.at(root, root[one], least)
        np.minimum.at(root, root[other], least)
        while True:
            shorter = root[root]
            if np.array_equal(shorter, root):
                break
            root = shorter
        if np.array_equal(before, root):
            break
    sizes = np.sort(np.unique(root, return_counts=True)[1])[::-1] if len(nodes) else np.zeros(0, np.int64)
    return {
        "count": len(sizes) + alone,
        "largest": [int(size) for size in sizes[:_LARGEST]] or ([1] if alone else []),
        "alone": alone,
    }


def on_cycles(batches: Iterable[pa.RecordBatch]) -> list[int]:
    """The nodes from which a way leads back to themselves, of any length.

    Nodes that nothing leads to, or that lead nowhere, are taken away again and again; what is left is small, and
    Tarjan's algorithm finds the cycles in it.
    """
    edges = list(batches)
    starts, ends = _column(edges, "start"), _column(edges, "end")
    while len(starts):
        kept = np.isin(starts, ends) & np.isin(ends, starts)
        if kept.all():
            break
        starts, ends = starts[kept], ends[kept]
    follows: dict[int, list[int]] = {}
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        follows.setdefault(start, []).append(end)
    return sorted(node for piece in _circles(follows) for node in piece)


def _circles(follows: Mapping[int, Sequence[int]]) -> Iterator[list[int]]:
    """Strongly connected pieces of more than one node, and nodes that follow themselves."""
    number: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []
    waiting: set[int] = set()
    for root in follows:
        work = [(root, iter(follows[root]))] if root not in number else []
        while work:
            node, rest = work[-1]
            if node not in number:
                number[node] = low[node] = len(number)
                stack.append(node)
                waiting.add(node)
            for other in rest:
                if other not in number:
                    work.append((other, iter(follows.get(other, ()))))
                    break
                if other in waiting:
                    low[node] = min(low[node], number[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == number[node]:
                    piece = [stack.pop()]
                    while piece[-1] != node:
                        piece.append(stack.pop())
                    waiting.difference_update(piece)
                    if len(piece) > 1 or node in follows.get(node, ()):
                        yield piece


def of_edges(starts: np.ndarray[Any, Any], ends: np.ndarray[Any, Any]) -> dict[str, Any]:
    """The shape of one relationship type: degrees of the nodes it touches, loops, repeated pairs, pieces."""
    pairs = np.stack([starts, ends], axis=1) if len(starts) else np.zeros((0, 2), np.int64)
    return {
        "relationships": len(starts),
        "out_degree": degrees(np.unique(starts, return_counts=True)[1]),
        "in_degree": degrees(np.unique(ends, return_counts=True)[1]),
        "loops": int((starts == ends).sum()),
        "repeated": int(len(pairs) - len(np.unique(pairs, axis=0))),
        "components": components(starts, ends),
    }


def of_nodes(source: CanTellShape, stream: str, nodes: int) -> dict[str, Any]:
    """The shape around a label's nodes."""
    found: dict[str, list[Degree]] = {}
    for one in source.degrees(stream):
        found.setdefault(f"{one.type} {one.direction}", []).append(one)
    edges = list(source.inner_edges(stream))
    starts, ends = (_column(edges, name) for name in ("start", "end"))
    touched = len(np.unique(np.concatenate([starts, ends])))
    return {
        "degrees": {name: degrees(_spread(told)) for name, told in found.items()},
        "inner_relationships": len(starts),
        "components": components(starts, ends, alone=max(0, nodes - touched)),
    }


def _spread(told: Sequence[Degree]) -> np.ndarray[Any, Any]:
    return np.repeat([one.degree for one in told], [one.nodes for one in told])


def _column(batches: Sequence[pa.RecordBatch], name: str) -> np.ndarray[Any, Any]:
    parts = [one.column(name).to_numpy() for one in batches]
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def numbers_of(ids: Iterable[pa.Array]) -> np.ndarray[Any, Any]:
    """Nodes as numbers: the last part of Neo4j's element ids."""
    import pyarrow.compute as pc

    parts = [pc.replace_substring_regex(one, "^.*:", "").cast(pa.int64()).to_numpy(zero_copy_only=False) for one in ids]
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)
