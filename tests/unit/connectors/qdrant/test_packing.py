"""Vectors of every kind come out of their packing as they went in."""

from __future__ import annotations

from typing import Any

import pytest

from data_workbench.connectors.qdrant.packing import packed, unpacked

VECTORS: dict[str, Any] = {
    "one": [0.5, -0.25],
    "none": None,
    "several": [[1.0, 2.0], [3.0, 4.0]],
    "named": {"a": [1.0], "b": [[1.0], [2.0]], "words": {"indices": [1, 5], "values": [0.5, 0.25]}},
    "named as the parts of a sparse one": {"indices": [1.5, 2.0], "values": [0.5, 0.25, 1.0]},
    "empty and sparse": {"words": {"indices": [], "values": []}},
}


@pytest.mark.parametrize("name", VECTORS)
def test_there_and_back(name: str) -> None:
    assert unpacked(packed(VECTORS[name])) == VECTORS[name]


def test_the_order_of_a_sparse_vector_means_nothing() -> None:
    other = {"words": {"indices": [5, 1], "values": [0.25, 0.5]}}
    assert packed(other) == packed({"words": VECTORS["named"]["words"]})
