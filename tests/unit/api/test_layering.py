"""Nodes do not lie upon each other, stand in their layers, and are ordered so that edges cross less."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest

from data_workbench.api.pages.layering import ACROSS, DOWN, HEIGHT, WIDTH, Layout, placed


def crossings(layout: Layout, edges: list[tuple[int, int]]) -> int:
    ends = [(layout.places[a][1], layout.places[b][1], layout.places[a][0]) for a, b in edges]
    return sum(
        1 for index, (a, b, x) in enumerate(ends) for c, d, y in ends[index + 1 :] if x == y and (a - c) * (b - d) < 0
    )


@pytest.mark.parametrize("seed", range(5))
def test_nodes_lie_apart_in_their_layers(seed: int) -> None:
    random = Random(seed)
    layers = [random.randint(-3, 4) for _ in range(200)]
    edges = [(a, b) for a in range(200) for b in random.sample(range(200), 2) if layers[b] == layers[a] + 1]
    layout = placed(layers, edges)
    assert len(set(layout.places)) == 200
    columns = {layer: {layout.places[node][0] for node in range(200) if layers[node] == layer} for layer in set(layers)}
    assert [len(found) for found in columns.values()] == [1] * len(columns)
    assert sorted(min(found) for found in columns.values()) == [n * (WIDTH + ACROSS) for n in range(len(columns))]
    assert max(x for x, _ in layout.places) + WIDTH == layout.width
    assert max(y for _, y in layout.places) + HEIGHT <= layout.height
    for column in columns.values():
        tops = sorted(y for x, y in layout.places if x in column)
        assert all(b - a == HEIGHT + DOWN for a, b in pairwise(tops))


def test_neighbours_stand_across_from_each_other() -> None:
    random, size = Random(1), 30
    across = random.sample(range(size), size)
    edges = [(0, 1 + number) for number in range(size)]
    edges += [(1 + number, 1 + size + across[number]) for number in range(size)]
    layers = [0, *[1] * size, *[2] * size]
    assert crossings(placed(layers, edges), edges) == 0


def test_nothing_and_one_alone_are_drawn() -> None:
    assert placed([0], []) == Layout([(0, 0)], WIDTH, HEIGHT)
    assert placed([], []).places == []
