"""Nodes in layers, placed so that few edges cross: by the mean place of neighbours in the layer nearer to the focus."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 236, 46
"""Of a node, in the drawing's units."""
ACROSS, DOWN = 84, 14
"""Between layers, and between nodes of one."""
_SWEEPS = 3


@dataclass(frozen=True)
class Layout:
    """Where nodes stand, by their numbers, and how large the drawing is."""

    places: list[tuple[int, int]]
    width: int
    height: int


def placed(layers: Sequence[int], edges: Sequence[tuple[int, int]]) -> Layout:
    """Place nodes given by their layers; the drawing begins at 0, 0."""
    rows = _ordered(layers, edges)
    columns = {layer: number for number, layer in enumerate(sorted(rows))}
    tallest = max((len(row) for row in rows.values()), default=1)
    height = tallest * (HEIGHT + DOWN) - DOWN
    places = [(0, 0)] * len(layers)
    for layer, row in rows.items():
        top = (height - (len(row) * (HEIGHT + DOWN) - DOWN)) // 2
        for number, node in enumerate(row):
            places[node] = (columns[layer] * (WIDTH + ACROSS), top + number * (HEIGHT + DOWN))
    return Layout(places, max(1, len(rows)) * (WIDTH + ACROSS) - ACROSS, height)


def _ordered(layers: Sequence[int], edges: Sequence[tuple[int, int]]) -> dict[int, list[int]]:
    """Nodes of each layer from top to bottom; the order given decides between equals."""
    rows: dict[int, list[int]] = defaultdict(list)
    for node, layer in enumerate(layers):
        rows[layer].append(node)
    near: dict[int, list[int]] = defaultdict(list)
    for a, b in edges:
        near[a].append(b)
        near[b].append(a)
    at = {node: number - len(row) / 2 for row in rows.values() for number, node in enumerate(row)}
    for _ in range(_SWEEPS):
        for layer in sorted(rows, key=abs):
            row = rows[layer]
            row.sort(key=lambda node: _mean(node, layer, near, layers, at))
            for number, node in enumerate(row):
                at[node] = number - len(row) / 2
    return dict(rows)


def _mean(node: int, layer: int, near: dict[int, list[int]], layers: Sequence[int], at: dict[int, float]) -> float:
    inner = [at[one] for one in near[node] if abs(layers[one]) < abs(layer)] or [at[one] for one in near[node]]
    return sum(inner) / len(inner) if inner else at[node]
