"""Vectors of half precision are kept as they were when they are written again to the engine itself."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import qdrant_edge as edge

from data_workbench.connectors.qdrant.half_precision import before_rounding

COSINE = {"distance": "Cosine", "datatype": "float16"}


def kept_by_the_engine(vectors: list[list[float]], folder: Path) -> list[list[float]]:
    """What a cosine collection of half precision makes of these."""
    half = edge.VectorStorageDatatype.Float16
    params = edge.EdgeVectorParams(size=len(vectors[0]), distance=edge.Distance.Cosine, datatype=half)
    shard = edge.EdgeShard.create(str(folder), edge.EdgeConfig(vectors=params))
    points = [edge.Point(id=n, vector=one, payload=None) for n, one in enumerate(vectors)]
    shard.update(edge.UpdateOperation.upsert_points(points))
    found, _ = shard.scroll(edge.ScrollRequest(limit=len(vectors), with_vector=True))
    shard.close()
    return [one.vector for one in found]


@pytest.mark.parametrize("size", [1, 2, 3, 8, 100])
def test_what_was_kept_is_kept_again(size: int, tmp_path: Path) -> None:
    draw = random.Random(size)
    kept = kept_by_the_engine([[draw.gauss(0, 1) for _ in range(size)] for _ in range(500)], tmp_path / "first")
    assert kept_by_the_engine(before_all(kept), tmp_path / "again") == kept
    if size in (2, 3):
        assert kept_by_the_engine(kept, tmp_path / "as they are") != kept, "that is why"


def before_all(vectors: list[list[float]]) -> list[Any]:
    return [before_rounding(one, COSINE) for one in vectors]


def test_other_vectors_stay_as_they_are() -> None:
    named: dict[str, Any] = {"a": [0.6, 0.7], "b": [[0.6, 0.7]], "s": {"indices": [1], "values": [0.5]}}
    configured = {"a": {"distance": "Dot", "datatype": "float16"}, "b": {"distance": "Cosine"}}
    assert before_rounding(named, configured) == named
    assert before_rounding([0.0, 0.0], COSINE) == [0.0, 0.0]
    assert before_rounding(None, COSINE) is None
    [several] = before_rounding({"b": [[0.6, 0.7]]}, {"b": COSINE})["b"]
    assert several != [0.6, 0.7]
